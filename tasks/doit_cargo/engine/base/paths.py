"""The folder we stand in and those on the way up, programs on PATH, and what may be read. Reads nothing of them."""

from __future__ import annotations

import os

from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def ancestors(directory: str) -> Iterator[str]:
    """Yield a directory, made absolute, and each of its parents up to the root."""
    here = os.path.abspath(directory)
    while True:
        yield here
        above = os.path.dirname(here)
        if above == here:
            return
        here = above


def can_write_below(directory: str) -> bool:
    """Tell whether a folder can be written to, or made."""
    while not os.path.exists(directory):
        directory = os.path.dirname(directory)
    return os.access(directory, os.W_OK)


def current_folder() -> str:
    """Return the folder that we were called in. Raises `UserError` if it is gone."""
    try:
        return os.getcwd()
    except OSError:
        what = "the folder that this was called in is gone"
        raise UserError(
            Problem(what, "change to one that exists (`cd .` if it was made anew)"), COULD_NOT_RUN
        ) from None


def ordinary(path: str) -> str:
    """Return the path of what can be read to its end. Raises `OSError` for a pipe or device, which may have none."""
    if os.path.exists(path) and not os.path.isfile(path):
        import errno

        raise OSError(errno.EINVAL, "this is no ordinary file", path)
    return path


def which(name: str, environ: Mapping[str, str], system: str = "", before: tuple[str, ...] = ()) -> str:
    """Return where a program is: itself if it holds a path, else from `before` and PATH; "" if nowhere.

    The standard library's `shutil.which` costs 3 ms to import and reads PATHEXT of this process only. `system` is this
    one unless it is named.
    """
    windows = system == "windows" if system else os.name == "nt"
    names = _with_extensions(name, environ) if windows else (name,)
    if os.path.dirname(name):
        return next((found for found in names if is_executable(found)), "")
    for directory in (*before, *environ.get("PATH", os.defpath).split(os.pathsep)):
        for candidate in names:
            path = os.path.join(directory, candidate)
            if directory and is_executable(path):
                return path
    return ""


def _with_extensions(name: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    extensions = environ.get("PATHEXT", ".COM;.EXE;.BAT;.CMD").lower().split(";")
    if os.path.splitext(name)[1].lower() in extensions:
        return (name,)
    return tuple(name + extension for extension in extensions if extension)


def is_executable(path: str) -> bool:
    """Return whether `path` is a file that this user may run."""
    return os.path.isfile(path) and os.access(path, os.X_OK)
