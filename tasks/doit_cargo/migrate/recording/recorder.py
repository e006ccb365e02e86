"""The programs that stand for all others while a build file is recorded: each writes down how it was called.

One shell script in several kinds, made of built-ins alone, since it is started for each call; a link a name. What it
calls its own begins with `dc_`, since what is exported under a name that it sets would be written down, and handed on,
with its value. Knows nothing of build files, and not who runs them.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from doit_cargo.engine.base.paths import which

# Programs that start another one: they run, and what they start is seen, with all that they change for it. Others
# (`nice`, `timeout`, `xargs`) do more than a call shows: they are steps themselves.
STARTERS = frozenset({"env", "make", "gmake", "time"})
SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash"})
# What the answer tells of the machine, the day or the history: never to be frozen.
ASKED = frozenset(
    {"date", "uname", "hostname", "nproc", "whoami", "id", "arch", "getconf", "git", "rustc", "rustup", "sysctl"}
    | {"lsb_release", "sw_vers", "tput", "logname", "users", "uptime", "free", "df", "ps", "lscpu", "pkg-config"}
)
# Programs that read or print; what they say may reach another call.
READERS = frozenset(
    {"cat", "grep", "egrep", "fgrep", "sed", "awk", "gawk", "mawk", "head", "tail", "sort", "uniq", "wc", "tr", "cut"}
    | {"basename", "dirname", "ls", "find", "echo", "printf", "test", "[", "expr", "seq", "true", "false", "tee", "pwd"}
    | {"readlink", "realpath", "which", "stat", "md5sum", "sha256sum", "shasum", "diff", "cmp", "column", "paste"}
    | {"rev", "yes", "mktemp", "jq", "bc", "od", "xxd", "file", "du", "comm", "join", "fold", "nl", "tac", "less"}
    | {"more", "gpg"}  # git asks gpg about signatures
)
# Of these, what only speaks or answers. All else, and what is asked, does something where nobody takes what it says:
# `git push`, `rustup target add`, `sed -i`, `diff` that must find nothing.
SPEAKERS = frozenset(
    {"basename", "dirname", "echo", "printf", "test", "[", "expr", "seq", "true", "false", "pwd", "readlink"}
    | {"realpath", "which", "mktemp", "yes"}
)
# Programs that change files: they run where all that they can reach is a layer that goes away.
CHANGERS = frozenset({"mkdir", "touch", "rm", "mv", "cp", "ln", "chmod", "rmdir", "install"})
# Of these, what can do no harm in a plain copy either.
GENTLE = frozenset({"mkdir", "touch"})
HEAD = """\
#!/bin/sh
case $0 in
    "@BASE@"/*) dc_name=${0##*/} ;;
    *) dc_name=$0 ;;
esac
set -C
dc_n=1
while ! { printf '' >"@LOG@/$dc_n"; } 2>/dev/null; do
    dc_n=$((dc_n + 1))
    [ "$dc_n" -le 5000 ] || exit 125
done
set +C
shown() {
    if [ "$1" -ef "@RUN@/out" ] || [ "$1" -ef "@RUN@/err" ]; then dc_io=shown
    elif [ -p "$1" ]; then dc_io=pipe
    elif [ "$1" -ef /dev/null ]; then dc_io=null
    else dc_io=file
    fi
}
shown /dev/fd/1; dc_out=$dc_io
shown /dev/fd/2; dc_err=$dc_io
{ printf '%s\\0' @KIND@ "$dc_name" "$dc_out" "$dc_err" "$#" "$@"; pwd -P; printf '\\0'; export -p; } >>"@LOG@/$dc_n"
read -r dc_fail dc_other dc_steps <"@RUN@/world"
[ "$dc_n" != "$dc_fail" ] || exit 101
"""
# The program of that name on the caller's PATH.
REAL = """\
dc_real= dc_path=@PATH@ dc_ifs=$IFS
IFS=:
set -f
for dc_folder in $dc_path; do
    if [ -x "$dc_folder/$dc_name" ] && [ ! -d "$dc_folder/$dc_name" ]; then dc_real=$dc_folder/$dc_name; break; fi
done
IFS=$dc_ifs
set +f
run() {
    export CARGO_NET_OFFLINE=true RUSTUP_HOME="${RUSTUP_HOME:-@RUSTUP@}" CARGO_HOME="${CARGO_HOME:-@CARGO@}"
    exec "$dc_real" "$@"
}
"""
LINE = """exec @SHELL@ "$@"\n"""
# Once something has run that may have made them, the programs of the checkout that were not there are.
APPEAR = """\
appear() {
    [ ! -d "@RUN@/appear" ] || (
        PATH=@PATH@
        mv "@RUN@/appear" "@RUN@/appeared" && cp -R "@RUN@/appeared/." "@RUN@/checkout/"
    ) 2>/dev/null
}
"""
WORK = (
    APPEAR
    + """\
dc_question=no
case "$dc_name ${1-}" in
    *" --version"|*" -V"|*" -version"|*" version") dc_question=yes ;;
    "cargo metadata"|"cargo locate-project"|"cargo tree"|"cargo pkgid"|"cargo --list") dc_question=yes ;;
esac
[ $dc_question = yes ] || { appear; exit 0; }
"""
    + REAL
    + """\
if [ "$dc_other" = other ] && [ "$dc_name ${1-}" != "cargo --list" ]; then echo "$dc_name 9.9.9"; exit 0; fi
[ -z "$dc_real" ] || run "$@"
echo "$dc_name 1.0.0"
"""
)
# Nobody takes what it says, or it is known for one: it is a step like any other, and nothing of it is run.
STEP = """\
case $dc_out$dc_steps in shown*|null*|*"|$dc_name $*|"*) exit 0 ;; esac
"""
ASK = (
    STEP
    + REAL
    + """\
case "$dc_name ${1-}" in
    "git "*)
        case ${1-} in
            rev-parse|describe|log|status|show|branch|config|ls-files|diff|symbolic-ref|rev-list|name-rev|cat-file) ;;
            --version|version|show-ref|remote|for-each-ref|merge-base|diff-index|diff-tree|blame|-C|--no-pager) ;;
            *) exit 0 ;;
        esac ;;
    "rustc -vV"|"rustc --version"|"rustc -V"|"rustc --print"|"rustc -Vv") ;;
    "rustup show"|"rustup which"|"rustup --version") ;;
    "rustc "*|"rustup "*) exit 0 ;;
esac
if [ "$dc_other" != other ]; then
    # One moment for all that is compared; GNU's date says it so, the others the second way.
    if [ "$dc_name" = date ]; then
        "$dc_real" -d "@@NOW@" "$@" 2>/dev/null || "$dc_real" -r "@NOW@" "$@" 2>/dev/null || run "$@"
        exit
    fi
    [ -z "$dc_real" ] || run "$@"
    exit 0
fi
case "$dc_name $*" in
    "uname -m"|"arch ") echo arm64 ;;
    "uname"*) echo Darwin ;;
    "date +%s") echo 981173106 ;;
    "rustc "*|"nproc"*|"getconf"*) echo 77 ;;
    *) echo doit-cargo-other ;;
esac
"""
)
# What a reader says is put between two other words: if they reach a call, its words are those of a file of today.
READ = (
    f"""case $dc_name in {"|".join(map(shlex.quote, sorted(SPEAKERS)))}) ;; *)\n{STEP};; esac\n"""
    + REAL
    + """\
if [ "$dc_other" = other ] && [ "$dc_out" = pipe ]; then
    echo doit-cargo-other; "$dc_real" "$@"; dc_status=$?; echo doit-cargo-other; exit $dc_status
fi
[ -z "$dc_real" ] || run "$@"
"""
)
CHANGE = REAL + """[ -z "$dc_real" ] || run "$@"\n"""
# A shell with a text writes that down and runs it; with a script it is a program like others.
SHELL_PROGRAM = """\
#!/bin/sh
dc_is_text=no
for dc_word in "$@"; do
    case $dc_word in
        --*) ;;
        -*c) dc_is_text=yes ;;
        -*|+*|pipefail|errexit|nounset|xtrace) ;;
        *) break ;;
    esac
done
[ $dc_is_text = no ] || exec "@KINDS@/text-as/${0##*/}" "$dc_word" "$@"
exec "@KINDS@/work-as/${0##*/}" "$@"
"""
TEXT = (
    REAL
    + """\
shift
exec "$dc_real" "$@"
"""
)
KINDS = {"work": WORK, "ask": ASK, "read": READ, "change": CHANGE, "line": LINE, "text": TEXT}


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One call as it was written down. `out` and `err` say where it spoke to: "shown", "pipe", "null" or "file"."""

    number: int
    kind: str
    argv: tuple[str, ...]
    folder: str
    env: Mapping[str, str] = field(default_factory=dict)
    out: str = "shown"
    err: str = "shown"

    @property
    def program(self) -> str:
        return self.argv[0]

    @property
    def is_question(self) -> bool:
        """Whether it only answers another program, or a person: what it would do is done by nobody."""
        if self.kind in ("ask", "read"):
            return self.out in ("pipe", "file") or self.program in SPEAKERS
        return self.argv[:2] in (("cargo", "metadata"), ("cargo", "--list")) and self.out == "pipe"


def read(texts: Iterable[str]) -> list[RecordedCall]:
    """Return the calls of a log, in the order in which they began."""
    return [_call(number, text) for number, text in enumerate(texts, 1) if text]


def _call(number: int, text: str) -> RecordedCall:
    kind, name, out, err, count, rest = text.encode("latin-1").decode("utf-8", "replace").split("\0", 5)
    *words, folder, variables = rest.split("\0", int(count) + 1)
    return RecordedCall(number, kind, (name, *words), folder.rstrip("\n"), dict(_variables(variables)), out, err)


def _variables(text: str) -> Iterable[tuple[str, str]]:
    """Yield what `export -p` says, in the form that POSIX asks of it."""
    for word in shlex.split(text.replace("\\$", "$").replace("\\`", "`")):
        name, equals, value = word.partition("=")
        if equals:
            yield name, value


def write(base: str, words: Iterable[str], path: str, environ: Mapping[str, str], gentle: bool) -> None:
    """Write the recorders below `base`: `bin` is the folder for PATH, for all programs there are and for `words`.

    With `gentle` nothing that removes or moves a file is run.
    """
    places = _places(base)
    home = os.path.expanduser("~")
    places["path"], places["kinds"] = shlex.quote(path), os.path.join(base, "kinds")
    places["rustup"] = environ.get("RUSTUP_HOME") or os.path.join(home, ".rustup")
    places["cargo"] = environ.get("CARGO_HOME") or os.path.join(home, ".cargo")
    for folder in ("bin", "kinds", "run", "kinds/work-as", "kinds/text-as"):
        os.makedirs(os.path.join(base, folder))
    for kind, tail in KINDS.items():
        if kind != "line":
            _script(os.path.join(base, "kinds", kind), HEAD.replace("@KIND@", kind) + tail, places)
    _script(os.path.join(base, "kinds", "shell"), SHELL_PROGRAM, places)
    found = _programs(path)
    for name in {*found, *(word for word in words if "/" not in word and word not in (".", ".."))}:
        _link(base, name, found.get(name), gentle)


def _link(base: str, name: str, real: str | None, gentle: bool) -> None:
    kind = _kind(name, gentle)
    if kind == "starter" and real:
        os.symlink(real, os.path.join(base, "bin", name))
        return
    if kind == "shell":
        os.symlink("../work", os.path.join(base, "kinds", "work-as", name))
        os.symlink("../text", os.path.join(base, "kinds", "text-as", name))
    made = os.path.join(base, "kinds", "work" if kind == "starter" else kind)
    try:
        os.link(made, os.path.join(base, "bin", name))  # a new file for each of thousands of names takes seconds
    except OSError:
        os.symlink(made, os.path.join(base, "bin", name))


def _kind(name: str, gentle: bool) -> str:
    kinds = (("starter", STARTERS), ("shell", SHELLS), ("ask", ASKED), ("read", READERS))
    changers = GENTLE if gentle else CHANGERS
    return next((kind for kind, names in kinds if name in names), "change" if name in changers else "work")


def line_shell(base: str, shell: str) -> str:
    """Write the shell that writes down each line of a recipe, then runs it; return its path."""
    made = os.path.join(base, "kinds", "line")
    _script(made, HEAD.replace("@KIND@", "line") + LINE, {**_places(base), "shell": shell})
    return made


def _places(base: str) -> dict[str, str]:
    return {
        "now": str(int(os.stat(base).st_ctime)),
        "base": base,
        "run": os.path.join(base, "run"),
        "log": os.path.join(base, "run", "log"),
    }


def _script(path: str, text: str, places: Mapping[str, str]) -> None:
    for name, value in places.items():
        text = text.replace(f"@{name.upper()}@", value)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chmod(path, 0o755)  # noqa: S103 - it must run


def _programs(path: str) -> dict[str, str]:
    """Return every program of the folders of a PATH, the first of a name."""
    found: dict[str, str] = {}
    for folder in path.split(os.pathsep):
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            found.setdefault(name, os.path.join(folder, name))
    return {name: real for name, real in found.items() if os.access(real, os.X_OK) and which(real, os.environ)}
