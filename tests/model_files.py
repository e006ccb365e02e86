"""Model files made by the tests, small and exact, and a server that speaks as much of the hub's interface as a
download needs. Its files, its faults and what it was asked are plain fields.
"""

from __future__ import annotations

import hashlib
import json
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TYPES = {int: 4, str: 8}


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf(metadata: Mapping[str, int | str | list[str]], tensors: list[tuple[str, tuple[int, ...], int, int]]) -> bytes:
    """Return a GGUF file. A tensor is (name, shape, type, bytes that its numbers take)."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, value in metadata.items():
        head += text(key)
        if isinstance(value, list):
            head += struct.pack("<IIQ", 9, 8, len(value)) + b"".join(text(item) for item in value)
        elif isinstance(value, str):
            head += struct.pack("<I", 8) + text(value)
        else:
            head += struct.pack("<II", 4, value)
    offset, body = 0, b""
    for name, shape, kind, size in tensors:
        head += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        head += struct.pack("<IQ", kind, offset)
        offset += -(-size // 32) * 32
        body += bytes(-(-size // 32) * 32)
    return head + bytes(-len(head) % 32) + body


def small_gguf(name: str = "tiny", words: int = 3) -> bytes:
    """Return a model of 4096 numbers in Q4_K, of 256 in F32."""
    metadata: dict[str, int | str | list[str]] = {
        "general.architecture": "qwen2",
        "general.name": name,
        "general.file_type": 15,
        "qwen2.context_length": 32768,
        "tokenizer.ggml.tokens": [f"word{number}" for number in range(words)],
    }
    return gguf(metadata, [("blk.0.attn_q.weight", (256, 16), 12, 16 * 144), ("output_norm.weight", (256,), 0, 1024)])


def safetensors(tensors: Mapping[str, tuple[str, list[int], int]]) -> bytes:
    """Return a safetensors file. A tensor is (type, shape, bytes)."""
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (kind, shape, size) in tensors.items():
        table[name] = {"dtype": kind, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    head = json.dumps(table).encode()
    return struct.pack("<Q", len(head)) + head + bytes(end)


# --- the hub ---------------------------------------------------------------------------------------------------------


@dataclass
class Hub:
    """A model hub on this machine. `files` maps repository and path to content; `breaks` counts connections to drop."""

    files: dict[str, dict[str, bytes]]
    breaks: int = 0
    stalls_at: int = 0
    gated: set[str] = field(default_factory=set)
    lies: dict[str, bytes] = field(default_factory=dict)
    ranges: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    gets: int = 0
    go_on: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Hub:
        hub = self

        class Handler(_Handler):
            owner = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    owner: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._file(send=False)

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith("/api/models/"):
            self._info(path.removeprefix("/api/models/").partition("/revision/")[0])
        elif path.startswith("/api/"):
            self._answer(404)
        else:
            self._file(send=True)

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _is_allowed(self, repo: str) -> bool:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.owner.tokens.add(token)
        if repo not in self.owner.files:
            self._answer(404, b"{}", X_Error_Code="RepoNotFound")
        elif repo in self.owner.gated and token != "sesame":
            self._answer(403 if token else 401, b"{}", X_Error_Code="GatedRepo")
        else:
            return True
        return False

    def _info(self, repo: str) -> None:
        if not self._is_allowed(repo):
            return
        siblings = [_sibling(name, content) for name, content in self.owner.files[repo].items()]
        body = json.dumps({"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings})
        self._answer(200, body.encode(), Content_Type="application/json")

    def _file(self, send: bool) -> None:
        owner, name, _, _, *rest = urlsplit(self.path).path.strip("/").split("/")
        repo, path = f"{owner}/{name}", "/".join(rest)
        if not self._is_allowed(repo):
            return
        content = self.owner.files[repo][path]
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if send:
            self._send(self.owner.lies.get(path, content), start)

    def _send(self, content: bytes, start: int) -> None:
        self.owner.gets += 1
        if start:
            self.owner.ranges.append(self.headers["Range"])
        if self.owner.stalls_at and not start:
            self.wfile.write(content[: self.owner.stalls_at])
            self.owner.go_on.wait(30)
            self.close_connection = True
            return
        if self.owner.breaks > 0:
            self.owner.breaks -= 1
            content = content[: start + (len(content) - start) // 2]
            self.close_connection = True
        self.wfile.write(content[start:])


def _sibling(name: str, content: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    found: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob}
    if name.endswith((".gguf", ".safetensors")):
        found["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return found


def put(path: Path, content: bytes) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
