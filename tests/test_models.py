"""Models: the inventory of a folder, the check of it, downloads from a hub; and what is wrong with each."""

from __future__ import annotations

import hashlib
import json
import signal
import struct
from pathlib import Path

import pytest
from calling import Said
from calling import forked_call as call
from conftest import Spec, make_workspace, needs_cargo, write
from model_files import Hub, gguf, put, safetensors, small_gguf, text
from serving import started, until

pytestmark = needs_cargo

SPEC: Spec = {"mistralrs-core": {}, "mistralrs-server": {"bins": {"mistralrs-server": []}}}
SIZE = len(small_gguf())
SHARD = safetensors({"a": ("F32", [100], 400)})
ROW = ("model", "format", "architecture", "quantisation", "parameters", "context", "size", "problem")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_workspace(tmp_path / "ws", SPEC)


def inventory(root: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((root / "MODEL_INVENTORY.json").read_text())["models"]
    return found


def cells(said: Said) -> list[list[str]]:
    """Return the lines of the tables in what was said, as cells."""
    lines = [line for line in said.out.splitlines() if not line.startswith((".. ", "ok ", "-- "))]
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]


def summary(said: Said) -> str:
    """Return the last line that doit-cargo itself wrote."""
    return [line for line in (said.out + said.err).splitlines() if line[:3] in ("ok ", "!! ", "-- ")][-1]


# --- the inventory ---------------------------------------------------------------------------------------------------


def fill(folder: Path) -> None:
    """Write a GGUF file, and a model of two safetensors shards with a config."""
    put(folder / "tiny.gguf", small_gguf())
    put(folder / "acme/two/model-00001-of-00002.safetensors", safetensors({"a": ("BF16", [10, 20], 400)}))
    put(folder / "acme/two/model-00002-of-00002.safetensors", safetensors({"b": ("BF16", [30], 60)}))
    put(folder / "acme/two/config.json", b'{"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}')


def test_the_inventory_says_what_the_heads_say(root: Path) -> None:
    fill(root / "models")
    said = call(root, "doit-cargo", "model_inventory")
    assert said.status == 0, said.err
    two, tiny = inventory(root)
    shards = sorted((root / "models/acme/two").glob("*.safetensors"))
    assert {key: two[key] for key in ("name", "path", "format", "architecture", "quantisation", "parameters")} == {
        "name": "two",
        "path": "acme/two/model-00001-of-00002.safetensors",
        "format": "safetensors",
        "architecture": "Qwen2ForCausalLM",
        "quantisation": "BF16",
        "parameters": 230,
    }
    assert two["files"] == [
        {
            "path": f"acme/two/{path.name}",
            "size_bytes": path.stat().st_size,
            "modified_ns": path.stat().st_mtime_ns,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in shards
    ]
    assert {key: tiny[key] for key in tiny if key not in ("files", "size_bytes")} == {
        "name": "tiny",
        "path": "tiny.gguf",
        "format": "gguf",
        "architecture": "qwen2",
        "quantisation": "Q4_K_M",
        "parameters": 4096 + 256,
        "context_length": 32768,
        "size_gb": 0.0,
        "problem": "",
    }
    assert cells(said)[:3] == [
        list(ROW),
        [
            "acme/two/model-00001-of-00002.safetensors",
            "safetensors",
            "Qwen2ForCausalLM",
            "BF16",
            "230",
            "-",
            f"{two['size_bytes']} bytes",
        ],
        ["tiny.gguf", "gguf", "qwen2", "Q4_K_M", "4.35 k", "32768", f"{SIZE / 1e3:.1f} kB"],
    ]
    assert summary(said) == "ok model_inventory  MODEL_INVENTORY.json: 2 models, 4.4 kB"


def test_the_inventory_is_skipped_until_a_model_changes(root: Path) -> None:
    fill(root / "models")
    said = [call(root, "doit-cargo", "model_inventory") for _ in range(2)]
    assert [summary(one)[:2] for one in said] == ["ok", "--"]
    put(root / "models/new.gguf", small_gguf("new"))
    assert summary(call(root, "doit-cargo", "model_inventory")).startswith("ok model_inventory")
    (root / "MODEL_INVENTORY.json").unlink()
    assert summary(call(root, "doit-cargo", "model_inventory")).startswith("ok model_inventory")
    assert [model["name"] for model in inventory(root)] == ["two", "new", "tiny"]


def claimed(count: int) -> bytes:
    """Return a GGUF head whose first key claims so many bytes."""
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", count)


def tensor_of(shape: tuple[int, ...], offset: int = 0, dimensions: int = 0) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + text("t") + struct.pack("<I", dimensions or len(shape))
    return head + struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", 0, offset)


def list_of(kind: int, count: int) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<IIQ", 9, kind, count) + bytes(64)


def head(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


HOSTILE = {
    "empty.gguf": (b"", "not a GGUF file: it does not begin with GGUF"),
    "zip.gguf": (b"PK\x03\x04" * 10, "not a GGUF file: it does not begin with GGUF"),
    "version.gguf": (b"GGUF" + struct.pack("<IQQ", 9, 0, 0), "GGUF version 9 is not supported"),
    "big-endian.gguf": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "a big-endian GGUF file"),
    "cut-in-head.gguf": (small_gguf()[:60], "the file ends within its head"),
    "cut.gguf": (small_gguf()[:-100], f"truncated: {SIZE - 100:,} bytes of {SIZE:,}"),
    "long-key.gguf": (claimed(1 << 60), "a text in its head claims 1,152,921,504,606,846,976 bytes"),
    "entries.gguf": (
        b"GGUF" + struct.pack("<IQQ", 3, 1 << 63, 1),
        "it claims 9,223,372,036,854,775,808 tensors and 1 entries",
    ),
    "list.gguf": (list_of(4, 1 << 62), "the file ends within its head"),
    "words.gguf": (list_of(8, 1 << 62), "a list in its head claims 4,611,686,018,427,387,904 entries"),
    "type.gguf": (list_of(77, 1), "an entry of its head has the unknown type 77"),
    "huge-tensor.gguf": (
        tensor_of((1 << 62, 1 << 62)),
        "a tensor claims 21,267,647,932,558,653,966,460,912,964,485,513,216 numbers at 0",
    ),
    "dimensions.gguf": (tensor_of((2, 2), dimensions=99), "a tensor claims 99 dimensions"),
    "claims.safetensors": (
        struct.pack("<Q", 1 << 50),
        "not a safetensors file: it claims a head of 1,125,899,906,842,624 bytes",
    ),
    "short.safetensors": (b"abc", "the file ends within its head"),
    "no-json.safetensors": (head("{nonsense"), "not a safetensors file: its head is not JSON"),
    "deep.safetensors": (head("[" * 100_000), "not a safetensors file: its head is not JSON"),
    "list.safetensors": (head("[1]"), "not a safetensors file: its head is no JSON object"),
    "fields.safetensors": (head('{"a": 1}'), "the tensor 'a' is not described as it should be"),
    "negative.safetensors": (
        head('{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}'),
        "the tensor 'a' is not described as it should be",
    ),
    "shape.safetensors": (
        head('{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}'),
        "the tensor 'a' has 4 bytes, which do not fit its shape",
    ),
    "cut.safetensors": (SHARD[:-1], f"truncated: {len(SHARD) - 1} bytes of {len(SHARD)}"),
    "x-00001-of-00003.gguf": (small_gguf(), "2 of 3 shards are missing"),
}


def test_broken_and_hostile_files_are_listed_with_what_is_wrong(root: Path) -> None:
    for name, (content, _) in HOSTILE.items():
        put(root / "models" / name, content)
    (root / "models/link.gguf").symlink_to("nowhere")
    said = call(root, "doit-cargo", "model_inventory")
    expected = {name: problem for name, (_, problem) in HOSTILE.items()}
    expected["link.gguf"] = "cannot be read: No such file or directory"
    assert (said.status, said.err) == (0, "")
    assert {str(model["path"]): model["problem"] for model in inventory(root)} == expected
    assert f".. model_inventory  {len(expected)} of {len(expected)} cannot be loaded, see above" in said.out


def test_a_folder_that_is_not_there_is_told_before_anything_starts(root: Path) -> None:
    said = call(root, "doit-cargo", "model_inventory", "MODEL_DIR=elsewhere")
    assert (said.status, said.out) == (3, "")
    assert said.err == (
        "doit-cargo: MODEL_DIR: there is no folder of models: elsewhere\n"
        "  fix: doit-cargo download_models gets the recommended ones; MODEL_DIR= names another folder\n"
    )


# --- the check -------------------------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def change(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize(
    ("damage", "verdict"),
    [
        (Path.unlink, "missing"),
        (cut, f"truncated: {SIZE - 1:,} bytes of {SIZE:,}"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), f"too long: {SIZE + 1:,} bytes of {SIZE:,}"),
        (change, "changed: its checksum differs from the inventory's"),
        (lambda path: path.write_bytes(bytes(SIZE)), "not a GGUF file: it does not begin with GGUF"),
    ],
    ids=["missing", "truncated", "longer", "changed", "no model any more"],
)
def test_what_differs_from_the_inventory_fails(root: Path, damage: object, verdict: str) -> None:
    fill(root / "models")
    call(root, "doit-cargo", "model_inventory")
    damage(root / "models/tiny.gguf")  # type: ignore[operator]
    said = call(root, "doit-cargo", "check_models")
    assert cells(said)[-1] == ["tiny.gguf", verdict]
    assert [row[-1] for row in cells(said)[1:-1]] == ["ok", "ok"]
    assert (said.status, said.err) == (
        1,
        "!! check_models  1 of 3 files not what MODEL_INVENTORY.json says\n",
    )


def test_whole_models_pass_and_new_ones_are_named(root: Path) -> None:
    fill(root / "models")
    call(root, "doit-cargo", "model_inventory")
    put(root / "models/new.gguf", small_gguf())
    said = call(root, "doit-cargo", "check_models")
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines()[-2:] == [
        ".. check_models  not in the inventory: new.gguf; doit-cargo model_inventory adds it",
        "ok check_models  3 files there, whole and unchanged: models",
    ]


def test_a_recommended_file_of_another_content_is_not_the_published_one(root: Path) -> None:
    write(root / "profiles/pack.toml", f'[models.own]\nrepo = "acme/own"\nfile = "own.gguf"\nsha256 = "{"0" * 64}"\n')
    put(root / "models/acme/own/own.gguf", small_gguf())
    call(root, "doit-cargo", "model_inventory")
    said = call(root, "doit-cargo", "check_models")
    assert said.status == 1
    assert cells(said)[-1] == ["acme/own/own.gguf", "not the published file: its checksum differs from the hub's"]


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (None, 2, "there is no MODEL_INVENTORY.json\n  fix: doit-cargo model_inventory writes it"),
        ('{\n"version": 1,,\n}', 3, "MODEL_INVENTORY.json:2: this is not JSON: Expecting property name"),
        ('{"models": []}', 3, "MODEL_INVENTORY.json: this is not an inventory that doit-cargo wrote"),
        (
            '{"version": 1, "folder": "models", "models": [{"files": [{}]}]}',
            3,
            "MODEL_INVENTORY.json: this is not an inv",
        ),
    ],
    ids=["absent", "no JSON", "foreign", "damaged"],
)
def test_an_inventory_that_cannot_be_read_is_told(root: Path, content: str | None, status: int, message: str) -> None:
    if content is not None:
        write(root / "MODEL_INVENTORY.json", content)
    said = call(root, "doit-cargo", "check_models")
    assert said.status == status
    assert said.err.startswith(f"doit-cargo: {message}")


# --- downloads -------------------------------------------------------------------------------------------------------

CHUNK = 10 * 1024 * 1024  # what the library writes at once
BIG = gguf({"general.architecture": "x"}, [("a", (6_000_000,), 0, 24_000_000)])
FILES = {
    "acme/big-GGUF": {"big.gguf": BIG, "other.gguf": small_gguf()},
    "acme/full": {
        "model.safetensors": safetensors({"a": ("F16", [10], 20)}),
        "config.json": b"{}",
        "pytorch_model.bin": b"the same again",
    },
    "acme/gated": {"m.gguf": small_gguf()},
    "acme/data": {"table.csv": b"1"},
}


def download(root: Path, hub: Hub, *words: str, **more: str) -> Said:
    return call(root, "doit-cargo", "download_models", *words, **{**hub_variables(root, hub), **more})


def hub_variables(root: Path, hub: Hub) -> dict[str, str]:
    home = str(root.parent / "hub-home")
    return {"HF_ENDPOINT": hub.url, "HF_HOME": home, "HF_TOKEN": "", "HF_HUB_DISABLE_TELEMETRY": "1"}


def test_a_download_goes_on_where_the_connection_broke(root: Path) -> None:
    with Hub(FILES, breaks=1) as hub:
        said = download(root, hub, "MODEL=acme/big-GGUF/big.gguf")
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines() == [
        ".. download_models  acme/big-GGUF/big.gguf, 24.0 MB",
        ".. download_models  the connection broke; resuming",
        "model                   size     result",
        "acme/big-GGUF/big.gguf  24.0 MB  downloaded and verified",
        "ok download_models  1 model in models; doit-cargo model_inventory lists what is there",
    ]
    assert (root / "models/acme/big-GGUF/big.gguf").read_bytes() == BIG
    assert [part.startswith("bytes=1") for part in hub.ranges] == [True]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_download_that_was_cut_off_is_resumed_by_the_next_call(root: Path, number: int) -> None:
    part = root / "models/acme/big-GGUF"
    with Hub(FILES, stalls_at=12_000_000) as hub:
        with started(root, "download_models", "MODEL=acme/big-GGUF/big.gguf", **hub_variables(root, hub)) as process:
            assert until(lambda: any(file.stat().st_size == CHUNK for file in part.glob(".*.incomplete")))
            process.send_signal(number)
            process.communicate(timeout=20)
        assert process.returncode == (-9 if number == signal.SIGKILL else 130)
        said = download(root, hub, "MODEL=acme/big-GGUF/big.gguf")
    assert (said.status, hub.ranges) == (0, [f"bytes={CHUNK}-"])
    assert said.out.splitlines()[0] == ".. download_models  acme/big-GGUF/big.gguf, 24.0 MB, resumed at 10.5 MB"
    assert (part / "big.gguf").read_bytes() == BIG
    assert list(part.glob(".*.incomplete")) == []


def test_what_is_here_and_right_is_not_loaded_again(root: Path) -> None:
    with Hub(FILES) as hub:
        download(root, hub, "MODEL=acme/full")
        loaded = hub.gets
        said = download(root, hub, "MODEL=acme/full")
        assert (cells(said)[-1], hub.gets) == (
            ["acme/full", f"{len(FILES['acme/full']['model.safetensors']) + 2} bytes", "here already, verified"],
            loaded,
        )
        change(root / "models/acme/full/model.safetensors")
        assert cells(download(root, hub, "MODEL=acme/full"))[-1][-1] == "downloaded and verified"
    names = sorted(path.name for path in (root / "models/acme/full").iterdir() if not path.name.startswith("."))
    assert names == ["config.json", "model.safetensors", "model.safetensors.damaged"]


def test_one_model_that_fails_does_not_hide_the_others(root: Path) -> None:
    pack = '[models.{0}]\nrepo = "{1}"\nfile = "{2}"\n'
    names = ("qwen2.5-1.5b", "qwen2.5-7b", "gemma-2-2b", "gemma-3-4b")
    rows = [pack.format(f'"{name}"', "acme/big-GGUF", "other.gguf") for name in names[:2]]
    rows += [pack.format(f'"{names[2]}"', "acme/none", "a.gguf"), pack.format(f'"{names[3]}"', "acme/gated", "m.gguf")]
    write(root / "profiles/pack.toml", "\n".join(rows))
    with Hub(FILES, gated={"acme/gated"}) as hub:
        said = download(root, hub)
    assert said.status == 1
    results = {row[0]: row[-1] for row in cells(said)[1:]}
    assert results == {
        "qwen2.5-1.5b": "downloaded and verified",
        "gemma-2-2b": f"{hub.url} has no acme/none, or not for everybody (HF_TOKEN)",
        "qwen2.5-7b": "here already, verified",
        "gemma-3-4b": f"needs a licence or login: accept it at {hub.url}/acme/gated, then export HF_TOKEN=...",
    }
    assert said.err == "!! download_models  2 of 4 models could not be downloaded\n"


def test_a_token_is_used_and_never_shown(root: Path) -> None:
    with Hub(FILES, gated={"acme/gated"}) as hub:
        refused = download(root, hub, "MODEL=acme/gated/m.gguf", HF_TOKEN="wrong-secret")
        said = download(root, hub, "MODEL=acme/gated/m.gguf", HF_TOKEN="sesame")
    assert (refused.status, said.status) == (1, 0)
    assert {"wrong-secret", "sesame"} <= hub.tokens
    kept = [path.read_bytes() for path in root.rglob("*") if path.is_file()]
    words = [*kept, *(one.encode() for one in (refused.out, refused.err, said.out, said.err))]
    assert [text for text in words if b"sesame" in text or b"wrong-secret" in text] == []


def test_a_wrong_checksum_is_no_success(root: Path) -> None:
    with Hub(FILES, lies={"m.gguf": bytes(len(FILES["acme/gated"]["m.gguf"]))}) as hub:
        said = download(root, hub, "MODEL=acme/gated/m.gguf")
    assert said.status == 1
    assert cells(said)[-1][-1] == "the checksum of m.gguf is wrong; kept as m.gguf.damaged"
    names = [path.name for path in (root / "models/acme/gated").iterdir() if not path.name.startswith(".")]
    assert names == ["m.gguf.damaged"]


@pytest.mark.parametrize(
    ("model", "result"),
    [
        ("acme/big-GGUF", "say which file: MODEL=acme/big-GGUF/FILE, one of big.gguf, other.gguf"),
        ("acme/big-GGUF/bgi.gguf", "acme/big-GGUF has no file bgi.gguf; did you mean big.gguf?"),
        ("acme/data", "acme/data has no model files (.safetensors or .gguf)"),
    ],
)
def test_a_wrong_repository_is_told_with_what_it_has(root: Path, model: str, result: str) -> None:
    with Hub(FILES) as hub:
        said = download(root, hub, f"MODEL={model}")
    assert (said.status, cells(said)[-1][-1]) == (1, result)


def test_a_hub_that_cannot_be_reached_is_told_in_one_line(root: Path) -> None:
    with Hub(FILES) as hub:
        pass
    said = download(root, hub, "MODEL=acme/full")
    assert said.status == 1
    assert cells(said)[-1][-1].startswith(f"{hub.url} cannot be reached, or broke off: ")
    assert (
        said.err == "!! download_models  1 of 1 model could not be downloaded; the next call resumes what broke off\n"
    )


@pytest.mark.parametrize("model", ["qwn2.5-7b", "../../etc/passwd", "acme/x/../../y", "-x/y"])
def test_a_wrong_name_is_told_before_anything_starts(root: Path, model: str) -> None:
    said = call(root, "doit-cargo", "download_models", f"MODEL={model}")
    assert (said.status, said.out) == (3, "")
    assert said.err.startswith(f"doit-cargo: MODEL: unknown model {model!r}\n  fix: ")
    assert "known: gemma-2-2b, gemma-3-4b, qwen2.5-1.5b, qwen2.5-7b; or OWNER/NAME" in said.err


# --- what the pack says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('[models.a]\nrepo = "no slash"\n', "profiles/pack.toml:1: [models.a] has no repository"),
        ('[models.a]\nrepo = "a/b"\nsha256 = "12"\n', "profiles/pack.toml:3: models.a.sha256 is no SHA-256"),
        ('[models.a]\nrepo = "a/b"\nfil = "x"\n', "profiles/pack.toml:3: unknown key of [models.a] 'fil'"),
        ("[serve.x]\ntalk = []\n", "profiles/pack.toml:1: [serve.x] has no binary"),
    ],
)
def test_a_wrong_table_of_a_pack_names_its_line(root: Path, table: str, message: str) -> None:
    write(root / "profiles/pack.toml", table)
    said = call(root, "doit-cargo", "download_models")
    assert said.status == 3
    assert said.err.startswith(f"doit-cargo: {message}")
