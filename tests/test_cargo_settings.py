"""Cargo's own settings: what each profile comes to and who sets it, and what does not do what it says."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from calling import Said, environment, program, small_workspace
from calling import forked_call as call
from conftest import needs_cargo, write
from doit_cargo.engine.cargo.config.cfg import holds
from doit_cargo.engine.cargo.config.effective import CargoProfile, profiles
from doit_cargo.engine.cargo.config.layers import ConfigLayers
from doit_cargo.engine.cargo.config.rustc_args import RustcCall, differences, observed, read
from doit_cargo.engine.cargo.config.rustflags import pairs
from doit_cargo.engine.preflight.config.rustc_probe import rehearse

pytestmark = needs_cargo

# Nobody's own config file may take part.
HOME = "cargo-home"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of two packages that tests fill with settings; one cargo metadata is enough for all."""
    top = tmp_path_factory.mktemp("settings")
    (top / HOME).mkdir()
    return small_workspace(top / "ws", 'metadata.doit-cargo.pack = "base"\n')


@pytest.fixture
def ws(root: Path) -> Iterator[Path]:
    """The workspace, its files taken back afterwards."""
    kept = {path: path.read_bytes() for path in root.rglob("*.toml") if ".doit-cargo" not in path.parts}
    yield root
    for folder in (root / ".cargo", root / "app/.cargo", root / ".git"):
        shutil.rmtree(folder, ignore_errors=True)
    for path, content in kept.items():
        path.write_bytes(content)


def add(path: Path, text: str) -> None:
    """Append to a file, on line 5 of the root's Cargo.toml."""
    write(path, (path.read_text() if path.exists() else "") + text)


def tool(ws: Path, *words: str, **variables: str) -> Said:
    return call(ws, "doit-cargo", *words, CARGO_HOME=str(ws.parent / HOME), **variables)


def findings(ws: Path, *words: str, **variables: str) -> list[tuple[str, str, str, str]]:
    """Return (severity, rule, where, what) of each finding."""
    said = tool(ws, "check_profiles", "JSON=1", *words, **variables)
    found = json.loads(said.out)["findings"]
    assert said.status == any(one["severity"] == "error" for one in found), said.err
    return [(one["severity"], one["rule"], one["where"], one["what"]) for one in found]


# --- who wins --------------------------------------------------------------------------------------------------------


def test_check_profiles_tells_each_value_with_its_place_and_what_it_overrides(ws: Path) -> None:
    add(ws / "Cargo.toml", '[profile.release]\nlto = true\nopt-level = 2\n[profile.small]\ninherits = "release"\n')
    add(ws / "Cargo.toml", 'opt-level = "z"\n[profile.release.package.app]\nopt-level = 1\n')
    write(ws / ".cargo/config.toml", '[profile.release]\nlto = "thin"\ncodegen-units = 4\n')
    said = tool(ws, "check_profiles", CARGO_PROFILE_RELEASE_OPT_LEVEL="3", CARGO_PROFILE_DEV_DEBUG="1")
    dev, release, rest = said.out.partition("release  (")[0], *said.out.partition("release  (")[2].split("test  (", 1)
    assert "  debug             1                       CARGO_PROFILE_DEV_DEBUG\n" in dev
    assert release == (
        "target/release)\n"
        "  opt-level              3                       CARGO_PROFILE_RELEASE_OPT_LEVEL, over Cargo.toml:7: 2\n"
        "  debug                  false                   cargo's default\n"
        "  split-debuginfo        rustc's default         cargo's default\n"
        '  strip                  "none"                  cargo\'s default\n'
        "  debug-assertions       false                   cargo's default\n"
        "  overflow-checks        false                   cargo's default\n"
        '  lto                    "thin"                  .cargo/config.toml:2, over Cargo.toml:6: true\n'
        '  panic                  "unwind"                cargo\'s default\n'
        "  incremental            false                   cargo's default\n"
        "  codegen-units          4                       .cargo/config.toml:3\n"
        "  rpath                  false                   cargo's default\n"
        "  package.app.opt-level  1                       Cargo.toml:12\n"
    )
    assert "target/debug, inherits dev)\n  all as in dev\n" in rest
    assert (
        "small  (target/small, inherits release)\n"
        '  opt-level  "z"                     Cargo.toml:10\n'
        "  the rest as in release\n" in rest
    )
    assert said.err == "!! check_profiles  5 cargo profiles; 1 error, 1 note\n"


def test_a_feature_profile_puts_its_own_settings_on_top(ws: Path) -> None:
    said = tool(ws, "check_profiles", "PROFILE=optimised", "JSON=1", CARGO_PROFILE_RELEASE_LTO="off")
    lto = json.loads(said.out)["profiles"]["release"]["keys"]["lto"]
    assert lto == {
        "value": "fat",
        "where": "--config of profiles/base/optimised.toml:6",
        "over": [{"value": "off", "where": "CARGO_PROFILE_RELEASE_LTO"}],
    }


def test_a_key_that_only_a_newer_cargo_can_know_is_passed_on_and_told(ws: Path) -> None:
    text = "[cargo.config]\nbuild.wuxlity = 2\nprofile.release.package.'app@0.1'.opt-level = 2\n"
    text += "profile.dev.wuxlity = true\nhttp.ssl-version.wuxlity = 1\n"
    write(ws / "profiles/own.toml", text)
    assert tool(ws, "plan", "dev", "PROFILE=own").status == 0
    found = [one for one in findings(ws, "PROFILE=own") if one[1] == "misspelt"]
    unknown = {2: "build.wuxlity", 4: "profile.dev.wuxlity", 5: "http.ssl-version.wuxlity"}
    assert sorted(found) == [
        ("error", "misspelt", f"--config of profiles/own.toml:{line}", f"{key} is unknown: cargo ignores it")
        for line, key in unknown.items()
    ]
    shutil.rmtree(ws / "profiles")


def test_settings_of_a_cargo_profile_that_nobody_defines_are_refused(ws: Path) -> None:
    write(ws / "profiles/own.toml", "[cargo.config.profile]\nrelase.debug = 1\nmine = {inherits = 'dev', debug = 1}\n")
    said = tool(ws, "plan", "dev", "PROFILE=own")
    assert (said.status, said.out, said.err) == (
        3,
        "",
        "doit-cargo: profiles/own.toml:2: unknown cargo profile 'relase'\n"
        "  fix: did you mean 'release'? known: bench, dev, mine, release, test\n",
    )
    shutil.rmtree(ws / "profiles")


def test_an_unknown_profile_is_named_with_the_nearest(ws: Path) -> None:
    said = tool(ws, "check_profiles", "PROFILE=relaese")
    assert said.status == 1
    assert "PROFILE: unknown profile 'relaese'\n  fix: did you mean 'release'?" in said.err


# --- what does not do what it says -----------------------------------------------------------------------------------

CONFIG, MANIFEST = ".cargo/config.toml", "Cargo.toml"
CASES: dict[str, tuple[dict[str, str], list[tuple[str, str, str, str]]]] = {
    "a value of Cargo.toml that config.toml overrides": (
        {MANIFEST: "[profile.release]\nlto = true\n", CONFIG: '[profile.release]\nlto = "thin"\n'},
        [
            (
                "error",
                "overridden",
                "Cargo.toml:6",
                'profile.release.lto = true has no effect: .cargo/config.toml:2 sets "thin", and config files win',
            )
        ],
    ),
    "the same value twice, in other words": (
        {MANIFEST: "[profile.release]\nlto = true\n", CONFIG: '[profile.release]\nlto = "fat"\n'},
        [
            (
                "note",
                "repeated",
                "Cargo.toml:6",
                'profile.release.lto = "fat" is set twice, also at .cargo/config.toml:2',
            )
        ],
    ),
    "a profile in a member": (
        {"low/Cargo.toml": "[profile.release]\nlto = true\n"},
        [
            (
                "error",
                "member-profile",
                "low/Cargo.toml:9",
                "profile.release of the member low is ignored: cargo takes profiles of the workspace root alone",
            )
        ],
    ),
    "variables in [env] that cargo reads itself": (
        {CONFIG: '[env]\nRUSTC_WRAPPER = "sccache"\nCARGO_INCREMENTAL = "0"\nCUDA_ARCH = "80"\n'},
        [
            (
                "error",
                "dead-variable",
                f".cargo/config.toml:{line}",
                f"[env] {name} has no effect on cargo, which reads the variable before it reads [env]",
            )
            for line, name in ((2, "RUSTC_WRAPPER"), (3, "CARGO_INCREMENTAL"))
        ],
    ),
    "unknown keys and values": (
        {
            MANIFEST: '[profile.release]\nlt0 = true\nstrip = "symbol"\n',
            CONFIG: "[biuld]\njobs = 1\n[build]\njbos = 2\n",
        },
        [
            (
                "error",
                "misspelt",
                ".cargo/config.toml:1",
                "biuld is unknown: cargo knows no such table and says nothing",
            ),
            ("error", "misspelt", ".cargo/config.toml:4", "build.jbos is unknown: cargo ignores it"),
            ("error", "misspelt", "Cargo.toml:6", "profile.release.lt0 is unknown: cargo ignores it"),
            ("error", "refused", "Cargo.toml:7", 'profile.release.strip = "symbol": cargo takes no such value'),
        ],
    ),
    "something else than a table": (
        {CONFIG: "[profile]\nrelease = 3\n"},
        [("error", "refused", ".cargo/config.toml:2", "profile.release = 3: cargo takes a table there")],
    ),
    "profiles that inherit nothing, nobody, or each other": (
        {MANIFEST: "[profile.a]\nlto = true\n", CONFIG: '[profile.b]\ninherits = "c"\n[profile.c]\ninherits = "b"\n'},
        [
            ("error", "refused", "Cargo.toml:5", "the cargo profile a inherits nothing: cargo refuses it"),
            ("error", "refused", ".cargo/config.toml:4", "cargo profiles inherit in a circle: b -> c -> b"),
            ("error", "refused", ".cargo/config.toml:2", "cargo profiles inherit in a circle: c -> b -> c"),
        ],
    ),
    "an override that loses strip": (
        {MANIFEST: "[profile.release]\nstrip = true\n[profile.release.package.app]\nopt-level = 1\n"},
        [
            (
                "error",
                "lost-strip",
                "Cargo.toml:8",
                "strip = true of profile.release (Cargo.toml:6) is lost for app: package.app (Cargo.toml:8) does not "
                "repeat it, and cargo then takes its default",
            )
        ],
    ),
    "aliases that cannot work": (
        {CONFIG: "[alias]\nstats = '!sccache --show-stats'\nb = 'build --profile fsat'\ntest = 'x run'\nok = 'b'\n"},
        [
            (
                "error",
                "alias",
                ".cargo/config.toml:2",
                "alias.stats = \"!sccache --show-stats\": cargo runs no shell; it will look for a command '!sccache'",
            ),
            ("error", "alias", ".cargo/config.toml:3", "alias.b asks for the cargo profile fsat, which is not defined"),
            ("error", "alias", ".cargo/config.toml:4", "alias.test is ignored: test is a command of cargo"),
        ],
    ),
    "flags of [build] that a section takes the place of": (
        {CONFIG: "[build]\nrustflags = ['--cfg', 'a', '-Copt-level=2']\n[target.'cfg(unix)']\nrustflags = '--cfg a'\n"},
        [
            (
                "error",
                "silenced-flags",
                ".cargo/config.toml:2",
                "build.rustflags (-C opt-level=2) does not reach rustc on TRIPLE: target.'cfg(unix)'.rustflags takes "
                "its place (.cargo/config.toml:4)",
            )
        ],
    ),
    "the file without ending beside the one with": (
        {CONFIG: "[profile.dev]\nlto = true\n", ".cargo/config": "[profile.dev]\nlto = false\n"},
        [
            (
                "error",
                "ignored-file",
                ".cargo/config.toml",
                "cargo ignores this file, since .cargo/config lies beside it",
            )
        ],
    ),
    "a compiler cache beside incremental compilation": (
        {CONFIG: '[build]\nrustc-wrapper = "sccache"\n'},
        [
            (
                "note",
                "sccache",
                ".cargo/config.toml:2",
                "profile.dev compiles members incrementally, so sccache (.cargo/config.toml:2) caches none of them",
            )
        ],
    ),
    "what only one machine can want": (
        {
            CONFIG: '[env]\nCUDA_PATH = "C:\\\\CUDA\\\\v12"\nOTHER = "a/b"\n[net]\nretry = 2\n',
            "app/.cargo/config.toml": "",
        },
        [
            (
                "note",
                "member-config",
                "app/.cargo/config.toml",
                "cargo reads this file only if it runs in or below that folder; targets run in the workspace root",
            ),
            (
                "note",
                "machine-path",
                ".cargo/config.toml:2",
                "env.CUDA_PATH holds a path of one machine: C:\\CUDA\\v12",
            ),
        ],
    ),
}


@pytest.mark.parametrize(("files", "expected"), CASES.values(), ids=CASES)
def test_it_is_found(ws: Path, files: dict[str, str], expected: list[tuple[str, str, str, str]]) -> None:
    for name, text in files.items():
        add(ws / name, text)
    triple = next(line for line in call(ws, "rustc", "-vV").out.splitlines() if line.startswith("host")).split()[1]
    assert findings(ws) == [(*one[:3], one[3].replace("TRIPLE", triple)) for one in expected]


def test_variables_that_cargo_never_asks_for_are_found(ws: Path) -> None:
    names = ("CARGO_PROFILE_RELEASE_LT0", "CARGO_PROFILE_RELEASE_PACKAGE_APP_OPT_LEVEL", "CARGO_PROFILE_RELEASE_LTO")
    found = findings(ws, **dict.fromkeys(names, "1"))
    assert [(where, what) for _, _, where, what in found] == [
        (names[0], f"{names[0]} is set, but cargo reads no such variable"),
        (names[2], f"{names[2]} = 1: cargo takes no such value"),
        (names[1], f"{names[1]} is set, but cargo reads no such variable"),
    ]


def test_the_environment_and_files_elsewhere_are_this_machines_affair(ws: Path) -> None:
    add(ws / "Cargo.toml", "[profile.release]\nlto = true\nopt-level = 2\n")
    home = ws.parent / HOME / "config.toml"
    write(home, "[profile.release]\nopt-level = 1\n[env]\nTOOLS = '/opt/tools/bin'\n[build]\njobs = 3\n")
    try:
        assert findings(ws, CARGO_PROFILE_RELEASE_LTO="thin") == [
            ("note", "overridden-here", str(home) + ":2", "profile.release.opt-level = 1 overrides 2 (Cargo.toml:7)"),
            (
                "note",
                "overridden-here",
                "CARGO_PROFILE_RELEASE_LTO",
                'profile.release.lto = "thin" overrides true (Cargo.toml:6)',
            ),
        ]
    finally:
        home.unlink()


def test_incremental_compilation_ends_builds_with_sccache_wherever_it_is_set(ws: Path) -> None:
    write(ws / CONFIG, '[build]\nrustc-wrapper = "sccache"\n')
    assert [one[:3] for one in findings(ws, CARGO_INCREMENTAL="1")] == [("error", "sccache", "CARGO_INCREMENTAL")]
    assert findings(ws, CARGO_INCREMENTAL="0") == []
    assert findings(ws, RUSTC_WRAPPER="") == []
    add(ws / CONFIG, '[env]\nCARGO_INCREMENTAL = "1"\n')
    assert ("error", "sccache", ".cargo/config.toml:4") in [one[:3] for one in findings(ws)]


def test_paths_in_a_file_that_git_does_not_keep_are_nobodys_affair(ws: Path) -> None:
    write(ws / CONFIG, '[env]\nCUDA_PATH = "/opt/cuda"\n')
    call(ws, "git", "init", "-q", ".")
    assert findings(ws) == []
    call(ws, "git", "add", CONFIG)
    assert [one[:3] for one in findings(ws)] == [("note", "machine-path", ".cargo/config.toml:2")]


def test_a_clean_workspace_passes(ws: Path) -> None:
    add(
        ws / "Cargo.toml",
        '[profile.release]\nlto = "thin"\nstrip = true\n[profile.release.package."*"]\nopt-level = 1\n',
    )
    said = tool(ws, "check_profiles")
    assert (said.status, said.out.splitlines()[-1]) == (0, "ok check_profiles  4 cargo profiles; 0 errors, 0 notes")


# --- flags and jobs --------------------------------------------------------------------------------------------------


def test_check_rustflags_fails_where_an_exported_variable_drops_a_cfg(ws: Path) -> None:
    write(ws / CONFIG, '[build]\nrustflags = ["--cfg", "tokio_unstable"]\n')
    kept = tool(ws, "check_rustflags")
    assert (kept.status, kept.out.splitlines()[0].partition(": ")[2]) == (
        0,
        "--cfg tokio_unstable  (.cargo/config.toml:2)",
    )
    lost = tool(ws, "check_rustflags", RUSTFLAGS="-C target-cpu=native")
    assert (
        lost.status,
        "error: .cargo/config.toml:2: build.rustflags (--cfg tokio_unstable) does not" in lost.out,
    ) == (
        1,
        True,
    )
    assert "RUSTFLAGS takes its place\n  fix: unset RUSTFLAGS, or add these flags to it\n" in lost.out
    assert tool(ws, "check_rustflags", RUSTFLAGS="-C target-cpu=native --cfg tokio_unstable").status == 0
    assert tool(ws, "check_rustflags", RUSTFLAGS="").status == 1  # even an empty one takes their place


def test_flags_that_are_left_out_on_purpose_are_no_error(ws: Path) -> None:
    write(
        ws / CONFIG,
        '[build]\nrustflags = ["-C", "target-cpu=native"]\n[target.wasm32-unknown-unknown]\nrustflags = "--cfg a"\n',
    )
    assert tool(ws, "check_rustflags").status == 0
    write(
        ws / CONFIG,
        "[build]\nrustflags = ['--cfg', 'b', '-Ctarget-cpu=native']\n"
        "[target.wasm32-unknown-unknown]\nrustflags = '--cfg a'\n",
    )
    lost = tool(ws, "check_rustflags")
    assert (lost.status, "build.rustflags (--cfg b) does not reach rustc on wasm32-unknown-unknown" in lost.out) == (
        1,
        True,
    )
    write(ws / "profiles/pack.toml", '[deliberate]\nsilenced-flags = "b is for the host"\nsilencd = "x"\n')
    said = tool(ws, "check_rustflags")
    assert (said.status, "; deliberate: b is for the host (profiles/pack.toml:2)" in said.out) == (0, True)
    assert "silencd is said to be deliberate, and no rule of that name" in tool(ws, "check_profiles").out
    assert tool(ws, "check_profiles").status == 0


def test_check_jobs_fails_on_a_number_for_every_machine(ws: Path) -> None:
    assert tool(ws, "check_jobs").status == 0
    write(ws / CONFIG, "[build]\njobs = 7\n")
    said = tool(ws, "check_jobs")
    assert (said.status, said.out.splitlines()[1]) == (1, "jobs: 7  (.cargo/config.toml:2)")
    assert tool(ws, "check_jobs", "JOBS=2", CARGO_BUILD_JOBS="5").out.splitlines()[1] == "jobs: 2  (JOBS)"
    assert tool(ws, "check_jobs", CARGO_BUILD_JOBS="5").out.splitlines()[1] == "jobs: 5  (CARGO_BUILD_JOBS)"


FACTS = ("unix", 'target_os="linux"', 'target_feature="sse2"')


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("cfg(unix)", True),
        ("cfg(windows)", False),
        ('cfg(all(unix, target_os = "linux"))', True),
        ('cfg(any(windows, not(target_os = "macos")))', True),
        ('cfg(all(unix, any(windows, target_feature = "avx")),)', False),
        ("cfg(all())", True),
        ("cfg(any())", False),
        ("cfg(not(unix, windows))", False),
        ("cfg(some(unix))", False),
        ("cfg(unix", False),
        ("cfg(unix) %", False),
        ("", False),
    ],
)
def test_a_condition_of_a_section_is_read_as_cargo_reads_it(expression: str, value: bool) -> None:
    assert holds(expression, FACTS) is value


def test_flags_are_told_as_people_write_them() -> None:
    flags = ("--cfg", "a", "-Ctarget-cpu=native", "-C", "lto", "-Dwarnings", "-C")
    assert pairs(flags) == ["--cfg a", "-C target-cpu=native", "-C lto", "-Dwarnings", "-C"]


# --- against cargo itself --------------------------------------------------------------------------------------------

VALUES: Mapping[str, tuple[Any, ...]] = {
    "opt-level": (0, 1, 2, 3, "s"),
    "debug": (True, False, 1, "line-tables-only", "none"),
    "strip": (True, False, "none", "debuginfo", "symbols"),
    "lto": (True, False, "thin", "fat", "off"),
    "panic": ("abort", "unwind"),
    "codegen-units": (1, 3, 7),
    "incremental": (True, False),
    "debug-assertions": (True, False),
    "overflow-checks": (True, False),
    "rpath": (True, False),
}
WHOLE_PROFILE = ("lto", "panic", "rpath")


class Maze:
    """Settings in all places at once, drawn by chance."""

    def __init__(self, top: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.root, self.home = top / "parent/ws", top / "home"
        self.environ = {**environment(), "CARGO_HOME": str(self.home)}
        self.environ.pop("CARGO_INCREMENTAL", None)
        for folder in (self.root / ".cargo", top / "parent/.cargo", self.home):
            shutil.rmtree(folder, ignore_errors=True)
        write(self.root / "app/Cargo.toml", _manifest("app", '[dependencies]\nlow = { path = "../low" }\n'))
        write(self.root / "low/Cargo.toml", _manifest("low"))
        write(self.root / "app/src/main.rs", "fn main() { low::low() }\n")
        write(self.root / "low/src/lib.rs", "pub fn low() {}\n")
        write(self.root / "Cargo.toml", '[workspace]\nresolver = "2"\nmembers = ["app", "low"]\n' + self._profiles(0.3))
        for folder in (self.root / ".cargo", top / "parent/.cargo", self.home):
            if self.chance.random() < 0.6:
                include = ""
                if self.chance.random() < 0.4:
                    include = 'include = ["x.toml", { path = "y.toml" }]\n'
                    write(folder / "x.toml", self._profiles(0.2))
                    write(folder / "y.toml", self._profiles(0.2))
                write(folder / self.chance.choice(["config", "config.toml"]), include + self._profiles(0.25))
        self._variables()
        self.profile = self.chance.choice(["dev", "release", "fast"])

    def _profiles(self, share: float) -> str:
        tables = []
        for name in ("dev", "release", "fast"):
            tables.append(self._table(f"profile.{name}", share, 'inherits = "release"\n' if name == "fast" else ""))
            if self.chance.random() < 0.3:
                package = self.chance.choice(["app", "low"])
                tables.append(self._table(f"profile.{name}.package.{package}", share, override=True))
        return "".join(tables)

    def _table(self, header: str, share: float, first: str = "", override: bool = False) -> str:
        keys = [key for key in VALUES if not (override and key in WHOLE_PROFILE) and self.chance.random() < share]
        lines = [f"{key} = {json.dumps(self.chance.choice(VALUES[key]))}\n" for key in keys]
        return f"[{header}]\n{first}{''.join(lines)}" if lines or first else ""

    def _variables(self) -> None:
        for name in ("DEV", "RELEASE", "FAST"):
            for key in VALUES:
                if self.chance.random() < 0.06:
                    value = json.dumps(self.chance.choice(VALUES[key])).strip('"')
                    self.environ[f"CARGO_PROFILE_{name}_{key.upper().replace('-', '_')}"] = value
            if self.chance.random() < 0.3:
                self.environ[f"CARGO_PROFILE_{name}_PACKAGE_APP_OPT_LEVEL"] = "2"  # in the book, but cargo never asks
        if self.chance.random() < 0.2:
            self.environ["CARGO_INCREMENTAL"] = self.chance.choice(["0", "1", "true"])

    @property
    def argv(self) -> tuple[str, ...]:
        return ("cargo", "build", "--profile", self.profile, "--offline")

    def effective(self) -> CargoProfile:
        found, problems = profiles(ConfigLayers(str(self.root), self.environ))
        assert problems == []
        return found[self.profile]

    def verbose_build(self, target: Path) -> list[RustcCall]:
        """Return the calls of rustc that ``cargo build -v`` prints while it really builds, if not as thoroughly."""
        quick = '[ "$1" = --crate-name ] && set -- "$@" -Clto=off -Copt-level=0\nexec rustc "$@"'
        environ = {**self.environ, "RUSTC": str(program(target / "quick-rustc", quick))}
        command = [*self.argv, "-v", "--target-dir", str(target)]
        done = subprocess.run(command, cwd=self.root, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return list(calls_in(done.stderr))


def _manifest(name: str, more: str = "") -> str:
    return f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n{more}'


def calls_in(text: str) -> Iterator[RustcCall]:
    """Yield the calls of rustc that cargo's -v prints."""
    import shlex

    for line in text.splitlines():
        if line.strip().startswith("Running `") and "--crate-name" in line:
            words = shlex.split(line.partition("`")[2].rpartition("`")[0])
            found = read(
                words[words.index("--crate-name") :], {"CARGO_PKG_NAME": words[words.index("--crate-name") + 1]}
            )
            assert found
            yield found


def disagreements(calls: list[RustcCall], profile: CargoProfile) -> list[Any]:
    return [(one.crate, difference) for one in calls for difference in differences(profile.of(one.package), one)]


@pytest.mark.slow
def test_every_value_is_the_one_that_cargo_takes(tmp_path: Path) -> None:
    for seed in range(30):
        maze = Maze(tmp_path, seed)
        calls = rehearse(maze.argv, str(maze.root), maze.environ)
        assert (seed, sorted(one.crate for one in calls)) == (seed, ["app", "low"])
        assert (seed, disagreements(calls, maze.effective())) == (seed, [])


@pytest.mark.slow
def test_what_a_rehearsal_sees_is_what_a_real_build_prints(tmp_path: Path) -> None:
    for seed in (102, 103, 106, 112, 114, 116, 118, 120, 121, 123):
        maze = Maze(tmp_path, seed)
        seen = rehearse(maze.argv, str(maze.root), maze.environ)
        printed = maze.verbose_build(tmp_path / f"target-{seed}")
        assert (seed, disagreements(printed, maze.effective())) == (seed, [])
        assert {one.crate: observed(one) for one in seen} == {one.crate: observed(one) for one in printed}


# --- a real project --------------------------------------------------------------------------------------------------


@pytest.mark.shared
def test_the_conflicts_of_a_real_fork_are_found(materialise: Any) -> None:
    fork = materialise("mistralrs-fork")
    found = json.loads(tool(fork, "check_profiles", "JSON=1").out)
    errors = [(one["rule"], one["where"]) for one in found["findings"] if one["severity"] == "error"]
    assert errors == [
        ("overridden", "Cargo.toml:210"),
        ("overridden", "Cargo.toml:208"),
        ("overridden", "Cargo.toml:217"),
        ("dead-variable", ".cargo/config.toml:19"),
        ("dead-variable", ".cargo/config.toml:27"),
    ]
    notes = {one["rule"] for one in found["findings"] if one["severity"] == "note"}
    assert notes == {"repeated", "sccache", "jobs", "machine-path"}
    keys = found["profiles"]["release"]["keys"]
    assert {key: keys[key]["value"] for key in ("lto", "opt-level", "debug", "debug-assertions")} == {
        "lto": "thin",
        "opt-level": 3,
        "debug": False,
        "debug-assertions": True,
    }
    assert found["jobs"] == {"value": 8, "where": ".cargo/config.toml:15"}


@pytest.mark.shared
def test_dynamos_own_cfg_is_seen_dropped(materialise: Any) -> None:
    dynamo = materialise("dynamo-2026-02")
    installed = call(dynamo.parent, "rustup", "toolchain", "list").out.split()[:1]
    chosen = {"RUSTUP_TOOLCHAIN": installed[0]} if installed else {}
    assert [tool(dynamo, name, **chosen).status for name in ("check_rustflags", "check_tokio_cfg")] == [0, 0]
    said = tool(dynamo, "check_rustflags", RUSTFLAGS="-C target-cpu=native", **chosen)
    assert (said.status, "build.rustflags (--cfg tokio_unstable) does not reach rustc" in said.out) == (1, True)
    said = tool(dynamo, "check_tokio_cfg", RUSTFLAGS="", **chosen)
    assert (said.status, said.err.endswith(": rustc does not get --cfg tokio_unstable\n")) == (1, True)
