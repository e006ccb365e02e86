"""Files are written whole, by one function: what is kept of a file that is there, and what no failure leaves behind."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from calling import linux
from doit_cargo.engine.base import atomic


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_keeps_its_permissions_and_a_link_leads_where_it_led(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    atomic.write(str(link), "new\n")

    assert (link.is_symlink(), real.read_bytes(), mode(real)) == (True, b"new\n", 0o640)


@linux
def test_what_is_closed_to_others_stays_so_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "state/one"
    atomic.write(str(path), b"\0", closed=True)
    path.chmod(0o644)
    atomic.write(str(path), b"\1", closed=True)

    assert (path.read_bytes(), mode(path), mode(path.parent)) == (b"\1", 0o600, 0o700)


@linux
def test_what_is_no_file_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(FileExistsError, match="no ordinary file"):
            atomic.write(str(tmp_path / name), "text")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@linux
def test_a_link_to_a_pipe_is_no_file_either() -> None:
    ends = os.pipe()
    with pytest.raises(FileExistsError) as refused:
        atomic.write(f"/proc/self/fd/{ends[1]}", "x")
    list(map(os.close, ends))
    assert refused.value.filename.startswith("/proc/self/fd/")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        atomic.write(str(path), "new", durable=True)
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["one"])
