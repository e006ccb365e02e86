"""A registry on loopback: a sparse index and the packages behind it, as cargo asks for them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Registry:
    """What a running registry has, and what it was asked for. `status` is its answer to all, if not 0."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    status: int = 0

    @property
    def index(self) -> str:
        return f"sparse+{self.address}/index/"

    def publish(self, name: str, version: str, **dependencies: str) -> None:
        """Offer a package; of a dependency the value is its version requirement."""
        archive = _archive(name, version, dependencies)
        self.files[f"/dl/{name}/{version}/download"] = archive
        needs = [
            {"name": other, "req": requirement, "features": [], "optional": False, "default_features": True}
            | {"target": None, "kind": "normal"}
            for other, requirement in dependencies.items()
        ]
        row = {"name": name, "vers": version, "deps": needs, "features": {}, "yanked": False}
        row["cksum"] = hashlib.sha256(archive).hexdigest()
        path = f"/index/{_index_path(name)}"
        self.files[path] = self.files.get(path, b"") + json.dumps(row).encode() + b"\n"


def _index_path(name: str) -> str:
    if len(name) <= 3:
        return f"{len(name)}/{name[0]}/{name}" if len(name) == 3 else f"{len(name)}/{name}"
    return f"{name[:2]}/{name[2:4]}/{name}"


def _archive(name: str, version: str, dependencies: dict[str, str]) -> bytes:
    lines = [f'[package]\nname = "{name}"\nversion = "{version}"\nedition = "2021"\n[dependencies]\n']
    lines += [f'{other} = "{requirement}"\n' for other, requirement in dependencies.items()]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path, text in (("Cargo.toml", "".join(lines)), ("src/lib.rs", f'pub const VERSION: &str = "{version}";\n')):
            entry = tarfile.TarInfo(f"{name}-{version}/{path}")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


@contextmanager
def running() -> Iterator[Registry]:
    """Serve a registry until the end of the block."""
    registry = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            registry.asked.append(f"{self.command} {self.path}")
            content = registry.files.get(self.path)
            self.send_response(registry.status or (200 if content is not None else 404))
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content or b"")

        do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    registry.address = f"http://127.0.0.1:{server.server_port}"
    registry.files["/index/config.json"] = json.dumps({"dl": f"{registry.address}/dl"}).encode()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
