"""The maintenance family: cleaning, rebuilding, logs, caches and information. Rows only; the work is in actions/."""

from __future__ import annotations

from functools import partial

from doit_cargo.engine.base.model import ALONE, FREE, Target


def _action(name: str, doc: str, module: str = "maintenance.folders", **more: object) -> Target:
    fields = {"pool": FREE, "action": f"doit_cargo.actions.{module}:{name}", **more}
    return Target(name=name, family="maintenance", doc=doc, **fields)  # type: ignore[arg-type]


CLEAN = ("cargo", "clean")
_anew = partial(Target, family="maintenance", requires_all_parts=True)
_keeping = partial(_action, module="maintenance.housekeeping")

TARGETS: tuple[Target, ...] = (
    _action("setup_dirs", "Create the folders for logs and test logs."),
    _action(
        "clean", "Remove what cargo built; the next build starts from nothing.", equivalent_command=CLEAN, pool=ALONE
    ),
    _action(
        "clean_all",
        "Remove what cargo built, test logs and coverage, but not the log of the last build; CARGO_CACHE=1 empties "
        "cargo's cache of downloads too.",
        equivalent_command=CLEAN,
        takes=("CARGO_CACHE",),
        pool=ALONE,
    ),
    _action("clean_tests", "Remove test binaries and test logs, so that tests are built and run again.", pool=ALONE),
    _action("clean_logs", "Remove all logs.", pool=ALONE),
    _anew(name="rebuild", doc="Clean, then build {package} {mode}.", after=("clean", "build")),
    _anew(
        name="clean_rebuild",
        doc="Clean everything, test logs and coverage included, then build {package} {mode}.",
        after=("clean_all", "build"),
    ),
    _anew(
        name="full_build",
        doc="Clean, then build {package} {mode} with CUDA, Flash Attention, cuDNN and MKL.",
        after=("clean", "build_cuda_full"),
        packs=("mistralrs",),
    ),
    _keeping(
        "show_log",
        "Show the log of what failed last, else of the latest build, or of the target that LOG names.",
        check="doit_cargo.actions.maintenance.housekeeping:check_log",
        takes=("LOG",),
    ),
    _keeping(
        "status",
        "Show which results are on record, whether each still holds, how long it took, and what has failed since.",
        takes=("JSON",),
    ),
    _keeping(
        "test_status",
        "Show which results of tests are on record, and whether each still holds.",
        action="doit_cargo.actions.maintenance.housekeeping:status",
        takes=("JSON",),
    ),
    _keeping("cargo_cache_size", "Show how large cargo's cache of downloads is, part by part."),
    _keeping(
        "clean_cargo_cache",
        "Remove what cargo can download again, after asking.",
        takes=("YES",),
        pool=ALONE,
    ),
    _action(
        "check_network",
        "Check that the registry answers from which cargo downloads here.",
        module="network",
        takes=("REGISTRY",),
    ),
    _keeping("quality_metrics", "Count lines, unsafe, unwrap, marks of unfinished work and tests of each member."),
    _action("diagnose", "Show all that a bug report needs: versions, workspace, variables, disk, the latest log."),
    _action("version", "Show the versions of doit-cargo, cargo, rustc and the workspace."),
    _action("info", "Show the workspace, its pack, and the tools and features found here."),
    _action(
        "help",
        "Show what one does in this workspace, and how that stands; `list` shows all targets.",
        module="maintenance.home",
    ),
)
