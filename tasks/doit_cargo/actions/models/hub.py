"""download_models: files from the Hugging Face hub, resumed where they broke off, verified before they count.

`huggingface_hub` speaks with the hub (extra `models`). A file counts only if its SHA-256, which the pack or the hub
knows, is right; one that is there already and right is not loaded again. The hub's own variables hold: HF_ENDPOINT,
HF_TOKEN, HF_HUB_DOWNLOAD_TIMEOUT. A token is passed on by the library and never shown.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sys
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from doit_cargo.actions import require_package
from doit_cargo.actions.models.inventory import checksum
from doit_cargo.actions.models.places import folder_of, place_of, source_of
from doit_cargo.actions.signals import Interrupted, interruptible
from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.errors import Problem, UserError, nearest
from doit_cargo.engine.base.launch import ModelSource
from doit_cargo.engine.base.tables import aligned, counted, size_of
from doit_cargo.engine.console import reporter

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

# Of a whole repository: weights as safetensors and what describes them; not the same weights in other forms.
WANTED = (".safetensors", ".json", ".model", ".jinja", ".txt")
MAX_SMALL = 64 << 20
DONE, HERE = "downloaded and verified", "here already, verified"
BROKE = "cannot be reached, or broke off"


class FailedError(Exception):
    """Why a model could not be downloaded, as one line."""


class RemoteFile(NamedTuple):
    """A file as the hub describes it. `sum` is a SHA-256 (64 digits), a git blob id (40) or "" if neither is known."""

    repo: str
    name: str
    revision: str
    size: int
    sum: str
    place: str


def require(session: Session, values: Values) -> None:
    """Raise `UserError` if MODEL names nothing, the library is missing, or models cannot be kept here."""
    require_package(session.current, "huggingface_hub", "models")
    _sources(session, values)
    folder = folder_of(session, values)
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise UserError(Problem(f"{folder} is not a folder", "MODEL_DIR= names another one", "MODEL_DIR"))


def _sources(session: Session, values: Values) -> list[ModelSource]:
    """Return what is wanted: what MODEL names, or all that the pack recommends."""
    text, recommended = values.text("MODEL").strip(), session.library.pack.models
    if not text and not recommended:
        what = f"the pack {session.library.pack.name} recommends no models"
        raise UserError(Problem(what, "MODEL=OWNER/NAME or OWNER/NAME/FILE says which one of the hub"))
    return [source_of(session, text)] if text else list(recommended.values())


def download(session: Session, values: Values) -> bool:
    """Download what is wanted, each model by itself: one that fails does not hide the others."""
    folder = folder_of(session, values)
    _listen(session.current)
    with interruptible(session.current):
        results = [_result(session, source, folder) for source in _sources(session, values)]
    print(aligned([("model", "size", "result"), *results]))
    failed = [name for name, _, result in results if result not in (DONE, HERE)]
    if failed:
        reporter.failed(
            session.current,
            f"{len(failed)} of {counted(len(results), 'model')} could not be downloaded{_more(results)}",
        )
        return False
    where = reporter.relative(folder, session.root)
    reporter.done(
        session.current, f"{counted(len(results), 'model')} in {where}; doit-cargo model_inventory lists what is there"
    )
    return True


def _more(results: list[tuple[str, str, str]]) -> str:
    return "; the next call resumes what broke off" if any(BROKE in result for _, _, result in results) else ""


def _result(session: Session, source: ModelSource, folder: str) -> tuple[str, str, str]:
    """Return (name, size, what came of it)."""
    try:
        files = _here(source, folder, session.current) or _remote_files(session, source, folder)
        size = size_of(sum(file.size for file in files))
        missing = [file for file in files if not _is_right(file.place, file, session.current)]
        _require_space(missing, folder)
        for file in missing:
            _fetch(session, file)
        return source.name, size, DONE if missing else HERE
    except FailedError as error:
        return source.name, "-", str(error)


def _here(source: ModelSource, folder: str, target: str) -> list[RemoteFile]:
    """Return the file of a recommended model that is here and right: then the hub is not asked at all."""
    if not source.sha256:
        return []
    file = RemoteFile(source.repo, source.file, source.revision, source.size, source.sha256, place_of(source, folder))
    return [file] if _is_right(file.place, file, target) else []


def _remote_files(session: Session, source: ModelSource, folder: str) -> list[RemoteFile]:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=session.environ.get("HF_ENDPOINT") or None)
    try:
        info = api.model_info(source.repo, revision=source.revision or None, files_metadata=True, timeout=30)
    except Exception as error:  # noqa: BLE001 - the library lets errors of whichever HTTP client it has through
        raise FailedError(_explained(error, source, session)) from None
    found = {one.rfilename: one for one in info.siblings or []}
    wanted = [source.file] if source.file else _weights(source, list(found))
    if source.file and source.file not in found:
        guess = nearest(source.file, tuple(found))
        raise FailedError(f"{source.repo} has no file {source.file}{f'; did you mean {guess}?' if guess else ''}")
    base = os.path.join(folder, *source.repo.split("/"))
    return [
        RemoteFile(
            repo=source.repo,
            name=name,
            revision=str(info.sha or source.revision or "main"),
            size=found[name].size or 0,
            sum=_sum(source, found[name]),
            place=os.path.join(base, *name.split("/")),
        )
        for name in wanted
    ]


def _sum(source: ModelSource, sibling: object) -> str:
    """Return the checksum: the pack's own goes before the hub's, since it was known before."""
    large = getattr(sibling, "lfs", None)
    if source.file and source.sha256:
        return source.sha256
    return str(large.sha256 if large else getattr(sibling, "blob_id", "") or "")


def _weights(source: ModelSource, names: list[str]) -> list[str]:
    """Return the files of a whole repository that a program needs."""
    if any(part == ".." for name in names for part in name.split("/")):
        raise FailedError(f"{source.repo} has a file outside of its folder")
    wanted = [name for name in names if name.endswith(WANTED) and "/" not in name]
    if any(name.endswith(".safetensors") for name in wanted):
        return wanted
    ggufs = [name for name in names if name.endswith(".gguf")]
    if ggufs:
        raise FailedError(f"say which file: MODEL={source.repo}/FILE, one of {', '.join(ggufs[:6])}")
    raise FailedError(f"{source.repo} has no model files (.safetensors or .gguf)")


def _fetch(session: Session, file: RemoteFile) -> None:
    """Load one file into a hidden part beside its place; it gets its name only when it is whole and right."""
    part = _part_of(file)
    os.makedirs(os.path.dirname(part), exist_ok=True)
    begun = _begun(part, file.size)
    where = f", resumed at {size_of(begun)}" if begun else ""
    reporter.note(session.current, f"{file.repo}/{file.name}, {size_of(file.size)}{where}")
    try:
        _transfer(session, file, part, begun)
    except KeyboardInterrupt:
        reporter.failed(session.current, f"interrupted; the next call goes on at {size_of(_begun(part, file.size))}")
        raise Interrupted from None
    except Exception as error:  # noqa: BLE001 - as above
        raise FailedError(_explained(error, ModelSource(file.repo, file.repo), session)) from None
    if not _is_right(part, file, session.current):
        atomic.put(part, f"{file.place}.damaged")
        raise FailedError(f"the checksum of {file.name} is wrong; kept as {os.path.basename(file.place)}.damaged")
    if os.path.exists(file.place):
        atomic.put(file.place, f"{file.place}.damaged")
        reporter.note(
            session.current, f"{file.name} differed from the hub's: kept as {os.path.basename(file.place)}.damaged"
        )
    atomic.put(part, file.place)


def _part_of(file: RemoteFile) -> str:
    """Return where a file grows. Its checksum is in the name, so that only parts of one content are put together."""
    folder, name = os.path.split(file.place)
    return os.path.join(folder, f".{name}.{(file.sum or file.revision)[:16]}.incomplete")


def _begun(part: str, size: int) -> int:
    """Return how much of a file has been loaded before; a part that is too long is none of it."""
    try:
        found = os.path.getsize(part)
    except OSError:
        return 0
    if found <= size:
        return found
    os.unlink(part)
    return 0


def _transfer(session: Session, file: RemoteFile, part: str, begun: int) -> None:
    """Append what is missing. The library resumes within a call only: its own temporary files do not outlive one."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    endpoint = session.environ.get("HF_ENDPOINT") or None
    url = hf_hub_url(file.repo, file.name, revision=file.revision, endpoint=endpoint)
    headers = build_hf_headers()
    place = get_hf_file_metadata(url, headers=headers, endpoint=endpoint).location
    if urlsplit(place).netloc != urlsplit(url).netloc:
        headers.pop("authorization", None)  # the token is the hub's, not the storage's
    with open(part, "ab") as stream:
        http_get(
            place,
            stream,
            resume_size=begun,
            headers=headers,
            expected_size=file.size,
            displayed_filename=file.name,
        )


def _explained(error: Exception, source: ModelSource, session: Session) -> str:
    """Return one line for an error of the library, without anything secret."""
    kind = type(error).__name__
    status = getattr(getattr(error, "response", None), "status_code", None)
    endpoint = session.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    if kind in ("RepositoryNotFoundError", "RevisionNotFoundError", "EntryNotFoundError") or status == 404:
        return f"{endpoint} has no {source.repo}, or not for everybody (HF_TOKEN)"
    if kind == "GatedRepoError" or status in (401, 403):
        done = "HF_TOKEN is set, but is not allowed" if session.environ.get("HF_TOKEN") else "export HF_TOKEN=..."
        return f"needs a licence or login: accept it at {endpoint}/{source.repo}, then {done}"
    if status:
        return f"{endpoint} answered with status {status}"
    text = str(error).strip().splitlines()
    return f"{endpoint} {BROKE}: {kind}{': ' + _plain(text[0], session) if text else ''}"


def _plain(text: str, session: Session) -> str:
    token = session.environ.get("HF_TOKEN", "")
    return (text.replace(token, "***") if token else text)[:160]


def _is_right(path: str, file: RemoteFile, target: str) -> bool:
    """Tell whether the file is there, of the right size and content."""
    try:
        if os.path.getsize(path) != file.size:
            return False
    except OSError:
        return False
    if len(file.sum) == 64:
        return checksum(path, target) == file.sum
    return _blob_id(path) == file.sum if len(file.sum) == 40 and file.size < MAX_SMALL else True


def _blob_id(path: str) -> str:
    """Return git's name of a content, which the hub has of small files."""
    with open(path, "rb") as stream:
        content = stream.read()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _require_space(files: list[RemoteFile], folder: str) -> None:
    needed = sum(file.size for file in files)
    place = folder
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    free = shutil.disk_usage(place).free
    if needed > free:
        raise FailedError(f"needs {size_of(needed)}, and {place} has {size_of(free)} free")


class _Listener(logging.Handler):
    """Tells that a transfer is resumed; the library's own line has an address that may be signed."""

    def __init__(self, target: str) -> None:
        super().__init__(logging.WARNING)
        self._target = target

    def emit(self, record: logging.LogRecord) -> None:
        if "resume" in record.getMessage():
            reporter.note(self._target, "the connection broke; resuming")


def _listen(target: str) -> None:
    from huggingface_hub import file_download  # noqa: F401 - the library adds its own handler when it is loaded
    from huggingface_hub.utils.tqdm import disable_progress_bars

    logging.getLogger("huggingface_hub").handlers = [_Listener(target)]
    if not sys.stderr.isatty():
        disable_progress_bars()
