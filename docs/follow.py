"""Follow a page word by word: `python docs/follow.py docs/tutorial.md`.

Clones this repository (what is committed), types every line that begins with `$` in the page's console blocks into one
bash, and compares what is seen with what the page says. In the page `...` stands for anything, within a line or as a
line of its own. Lines of files and counts of packages, members, tests, targets and profiles are compared; times, sizes,
other numbers, the spaces before them and hashes are not. Builds for real: takes minutes, needs bash, git and a network.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = "/home/me"
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
# In an escaped line: a line of a file and a count of what the page's own steps made, which are compared; a time and any
# other number, which are not.
NUMBER = re.compile(
    r"(?P<same>\.(?:toml|rs):\d+|(?:\\ )*\d+(?:\\ of\\ \d+)?\\ (?:packages?|members|tests?|targets?|profiles)\b)"
    r"|(?P<time>(?:\\ )*\d+(?:\\\.\d+)?\\ (?:s|min|h)\b)|(?:\\ )*\d+"
)


def _loose(found: re.Match[str]) -> str:
    if found["same"]:
        return found["same"]
    return r"\s*[\d.]+ (?:s|min|h)\b" if found["time"] else r"\s*\d+"


def steps(page: str) -> Iterator[tuple[str, str]]:
    """Yield (what to type, what the page says is seen)."""
    for block in BLOCK.findall(page):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            heredoc = re.match(r"(.*<<(\w+)\n.*?^\2\n)(.*)", part, re.MULTILINE | re.DOTALL)
            command, _, said = (heredoc[1], "", heredoc[3]) if heredoc else part.partition("\n")
            yield command, said


def pattern(said: str) -> re.Pattern[str]:
    """Return what a page says as a pattern."""
    lines = []
    for line in said.splitlines():
        if line == "...":
            lines.append(r"(?:.*\n)*?")
        elif line.isdigit():
            lines.append(line + r"\n")  # the exit status
        else:
            text = re.sub(r"-[0-9a-f]{16}\b", "-0", line)
            parts = [NUMBER.sub(_loose, re.escape(part)) for part in text.split("...")]
            lines.append(".*".join(parts) + r"\n")
    return re.compile("".join(lines))


class Shell:
    """One bash, so that folders and variables stay."""

    END = "--- end of step"

    def __init__(self, folder: Path) -> None:
        command = ["bash", "--norc", "--noprofile"]
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def type(self, command: str) -> str:
        """Return everything that a command prints; `$?` stays as it left it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command.rstrip()}\n_status=$?; printf '\\n{self.END}\\n'; (exit $_status)\n")
        self.process.stdin.flush()
        seen = []
        for line in self.process.stdout:
            if line.rstrip("\n") == self.END:
                break
            seen.append(line)
        text = "".join(seen)
        return text[:-1]  # the line break before the mark


def main() -> int:
    """Follow the pages named on the command line; return how many steps went otherwise."""
    wrong = 0
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            clone = Path(folder).resolve() / "doit-cargo"
            subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
            shell = Shell(clone)
            for command, said in steps(Path(name).read_text(encoding="utf-8")):
                seen = shell.type(command).replace(folder, HOME).replace(str(Path.home()), HOME)
                seen = re.sub(r"-[0-9a-f]{16}\b", "-0", seen + "\n" * (not seen.endswith("\n") and bool(seen)))
                good = pattern(said).fullmatch(seen)
                wrong += not good
                print("ok  " if good else "!!  ", command.splitlines()[0], flush=True)
                if not good:
                    print(f"--- the page says\n{said}--- seen\n{seen}---", flush=True)
    return min(wrong, 100)


if __name__ == "__main__":
    raise SystemExit(main())
