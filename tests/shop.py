"""Two checkouts and a folder as their store: what an attacker who may write to it would do, and what is taken then."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from calling import Said, call, environment, small_workspace
from conftest import write
from doit_cargo.sharing import action, result, wire
from doit_cargo.sharing.wire import Digest, OutputFile


class Shop:
    """Two checkouts and a folder as their store; `publish` fills it, `take` has the other one build."""

    def __init__(self, folder: Path) -> None:
        self.store, self.a, self.b = folder / "store", folder / "a", folder / "b"
        for root in (self.a, self.b):
            small_workspace(root)
            subprocess.run(["cargo", "generate-lockfile", "--offline"], cwd=root, env=environment(), check=True)
            write(root / "app/src/bin/app.rs", 'fn main() { println!("right"); }\n')

    def configure(self, store: str = "", more: str = "") -> None:
        for root in (self.a, self.b):
            write(root / "profiles/pack.toml", f'[share]\nstore = "{store or self.store}"\n{more}')

    def publish(self, **variables: str) -> Said:
        return call(self.a, "doit-cargo", "build", "SHARE=write", **variables)

    def refused(self) -> str:
        """Return why the other checkout would fetch nothing, without building anything."""
        said = call(self.b, "doit-cargo", "share", "why", "build")
        assert (said.status, "would be fetched" in said.out) == (0, False), said.out + said.err
        return said.out

    def fresh(self) -> None:
        """Have the other checkout know nothing."""
        for name in ("target", ".doit-cargo", ".logs"):
            shutil.rmtree(self.b / name, ignore_errors=True)

    def take(self, *words: str, **variables: str) -> Said:
        said = call(self.b, "doit-cargo", "build", *words, **variables)
        assert said.status == 0, said.out + said.err
        output = subprocess.run([self.b / "target/release/app"], capture_output=True, text=True, check=True).stdout
        assert output == "right\n", said.out
        return said

    # --- what an attacker who may write to the store would do ---

    def entries(self) -> dict[Path, list[OutputFile]]:
        paths = [path for path in (self.store / "ac").rglob("*") if path.is_file()]
        return {path: wire.read_action_result(path.read_bytes()) for path in paths}

    def the_result(self) -> tuple[Path, list[OutputFile]]:
        [found] = [(path, files) for path, files in self.entries().items() if files[-1].path == result.NAME]
        return found

    def forge(self, change: Callable[[dict[str, object]], None]) -> None:
        """Change what the result says of itself, and keep that as if it were right; the signature stays as it was."""
        path, files = self.the_result()
        data = json.loads(files[-1].content)
        change(data)
        content = action.text(data)
        self.keep(content)
        said = OutputFile(result.NAME, Digest.of(content), content=content)
        path.write_bytes(wire.action_result([*files[:-1], said]))

    def keep(self, content: bytes) -> Digest:
        blob = Digest.of(content)
        write(self.store / "cas" / blob.hash[:2] / blob.hash, "").write_bytes(content)
        return blob


def opened(folder: Path) -> Shop:
    """Return a shop that holds one result."""
    shop = Shop(folder)
    shop.configure()
    assert "shared: 1 file" in shop.publish().out
    return shop


@contextmanager
def borrowed(shop: Shop) -> Iterator[Shop]:
    """Lend a shop, whose other checkout knows nothing; afterwards its store is what it was."""
    kept = shop.store.with_name("kept")
    shutil.copytree(shop.store, kept)
    shop.fresh()
    yield shop
    shutil.rmtree(shop.store)
    kept.rename(shop.store)
    shop.configure()
    shutil.rmtree(shop.store.with_name("signed"), ignore_errors=True)
