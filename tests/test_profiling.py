"""Profiles of a run: the program, its time limit, the profilers' figures; and the memory of GPUs."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from calling import MAKE, Said, environment, needs_make, posix, program
from calling import forked_call as call
from conftest import needs_cargo, write
from doit_cargo.actions.measure.memory import massif_peak
from doit_cargo.actions.measure.vram import GpuMemory, expected_for, read_csv
from measuring import here, lay_out, needs

DODO = 'from doit_cargo.api import DOIT_CONFIG, targets_of\n\ntargets = targets_of(".")\n'


def _perf_samples() -> bool:
    """Tell whether this kernel lets perf sample at all."""
    if not here("perf"):
        return False
    argv = [here("perf"), "record", "-o", "/dev/null", "--", "true"]
    return subprocess.run(argv, capture_output=True, check=False, timeout=60).returncode == 0


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose program waits if it is told to."""
    root = lay_out(tmp_path_factory.mktemp("profiling"))
    write(root / "dodo.py", DODO)
    return root


# --- time ------------------------------------------------------------------------------------------------------------


@needs_cargo
@pytest.mark.slow
@pytest.mark.skipif(not _perf_samples(), reason="perf is not on PATH, or the kernel does not let it sample")
def test_perf_watches_a_program_until_its_time_is_over(workspace: Path) -> None:
    started = time.monotonic()
    said = call(workspace, "doit-cargo", "profile", "ARGS=--spin", "SECONDS=1", "PROFILER=perf")
    assert said.status == 0, said.err
    assert time.monotonic() - started < 55
    assert (workspace / ".logs/profile/perf.data").stat().st_size > 0
    assert "turn_round_and_round" in (workspace / ".logs/profile/perf.txt").read_text()
    assert "turn_round_and_round" in said.out
    assert (workspace / "target/release-with-debug/app").exists()
    assert "; look: perf report -i .logs/profile/perf.data; log: .logs/profile.log\n" in said.out


@posix
@needs_cargo
@pytest.mark.slow
def test_samply_is_taken_before_perf_and_gets_the_program_with_its_arguments(workspace: Path, tmp_path: Path) -> None:
    samply = program(
        tmp_path / "samply", '[ "$1" = --version ] && { echo samply 0.13.1; exit; }\nprintf "%s\\n" "$@" > "$6"'
    )
    path = f"{samply.parent}:{environment()['PATH']}"
    said = call(workspace, "doit-cargo", "profile", "ARGS=--port 1 'two words'", "MODEL=m.gguf", PATH=path)
    assert said.status == 0, said.err
    words = (workspace / ".logs/profile/samply.json.gz").read_text().splitlines()
    assert words[:2] == ["record", "--save-only"]
    assert words[words.index("--") + 1 :] == [
        str(workspace / "target/release-with-debug/app"),
        *("--port", "1", "two words", "gguf", "-m", ".", "-f", "m.gguf"),
    ]


@posix
@needs_cargo
@pytest.mark.slow
@pytest.mark.parametrize(("samples", "status"), [("1 ", 1), ("49", 1), ("50", 0), ("12K", 0)])
def test_a_recording_of_hardly_any_samples_is_no_success(
    workspace: Path, tmp_path: Path, samples: str, status: int
) -> None:
    body = '[ "$1" = --version ] && { echo perf version 6.1; exit; }\n[ "$1" = record ] && echo data > "$7" && exit\n'
    program(tmp_path / "perf", f'{body}echo "# Samples: {samples} of event \'cycles:P\'"\necho " 99.0%  app  main"')
    path = f"{tmp_path}{os.pathsep}{environment()['PATH']}"
    said = call(workspace, "doit-cargo", "profile", "ARGS=x", "PROFILER=perf", PATH=path)
    assert (said.status, "which tells nothing: let the program work longer" in said.err) == (status, status == 1), said


@needs_cargo
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["profile", "SECONDS=1"], "profile must know what the program shall do\n  fix: MODEL=name (plain -m name), "),
        (["profile_memory"], "profile_memory must know what the program shall do\n  fix: MODEL=name "),
        (["profile", "ARGS=x", "PROFILER=pref"], "PROFILER: unknown profiler 'pref'\n  fix: did you mean 'perf'? "),
        (["profile", "ARGS='x"], "ARGS='x has a quote that does not end\n"),
        (["profile", "ARGS=x", "SECONDS=0"], "SECONDS=0 is not a number of seconds above 0\n"),
        (["profile_memory", "ARGS=x", "BIN=ap"], "BIN: unknown program 'ap'\n  fix: did you mean 'app'? known: app\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_told_before_anything_starts(workspace: Path, words: list[str], told: str) -> None:
    said = call(workspace, "doit-cargo", *words)
    assert (said.status, said.out, said.err.startswith(f"doit-cargo: {told}")) == (3, "", True)


@posix
@needs_cargo
def test_without_any_profiler_each_is_named_with_the_way_to_get_it(workspace: Path, tmp_path: Path) -> None:
    for name in ("sh", "git", "cc", "env", *(["rustc", "cargo"])):
        (tmp_path / name).symlink_to(here(name))
    said = call(workspace, "doit-cargo", "profile", "ARGS=x", PATH=str(tmp_path))
    assert (said.status, said.out) == (2, "")
    assert "profile needs a profiler, and samply or perf or flamegraph is not on PATH\n  fix: samply: " in said.err


@needs_cargo
@needs_make
def test_profile_with_variables_is_the_target_through_each_door_and_without_the_command(workspace: Path) -> None:
    bad = "PROFILER=pref"
    expected = call(workspace, "doit-cargo", "profile", bad)
    assert expected.status == 3
    words = expected.err.removeprefix("doit-cargo: ").strip()
    assert call(workspace, "doit", "profile", bad).err.strip().endswith(words)
    assert call(workspace, "doit-cargo", "makefile", "--output", "Makefile").status == 0
    assert expected.err in call(workspace, MAKE, "profile", bad).err
    listed = call(workspace, "doit-cargo", "profiles")
    assert (listed.status, listed.out.startswith("bench  ")) == (0, True)
    assert call(workspace, MAKE, "profiles") == listed


@needs_cargo
def test_the_words_that_listed_feature_profiles_before_name_the_new_one(workspace: Path) -> None:
    bare, named = call(workspace, "doit-cargo", "profile"), call(workspace, "doit-cargo", "profile", "lto-thin")
    assert (bare.status, bare.err.endswith("; feature profiles: doit-cargo profiles\n")) == (3, True)
    assert named == Said(
        3, "", "doit-cargo: profile measures a program\n  fix: feature profiles: doit-cargo profiles lto-thin\n"
    )


# --- memory ----------------------------------------------------------------------------------------------------------


@needs_cargo
@pytest.mark.slow
@pytest.mark.parametrize(
    ("profiler", "what"),
    [
        pytest.param("heaptrack", "peak of the heap", marks=needs("heaptrack", "heaptrack_print")),
        pytest.param("massif", "peak of the heap", marks=needs("valgrind")),
        pytest.param("time", "peak of the resident memory", marks=needs("time")),
    ],
)
def test_each_tool_tells_the_peak_of_a_program_that_it_had_to_end(workspace: Path, profiler: str, what: str) -> None:
    said = call(workspace, "doit-cargo", "profile_memory", "ARGS=--wait", "SECONDS=3", f"PROFILER={profiler}")
    assert said.status == 0, said.err
    last = said.out.splitlines()[-1]
    assert f" s: {what} " in last
    assert f"{what} 0 kB" not in last


@needs_cargo
@pytest.mark.slow
@posix
def test_a_record_whose_end_is_missing_is_no_measurement(workspace: Path, tmp_path: Path) -> None:
    program(tmp_path / "heaptrack", '[ "$1" = --version ] && { echo "heaptrack 1.4.0"; exit; }\ntouch "$2.zst"')
    program(tmp_path / "heaptrack_print", 'echo "peak heap memory consumption: 0B"')
    path = f"{tmp_path}{os.pathsep}{environment()['PATH']}"
    said = call(workspace, "doit-cargo", "profile_memory", "ARGS=--wait", "PROFILER=heaptrack", PATH=path)
    assert (said.status, "heaptrack ended with status 0 and tells no peak; log: " in said.err) == (1, True), said


def test_the_peak_of_massif_is_its_largest_snapshot_with_what_the_allocator_adds() -> None:
    recorded = (
        "desc: x\nsnapshot=0\nmem_heap_B=0\nmem_heap_extra_B=0\nsnapshot=1\nmem_heap_B=472\nmem_heap_extra_B=16\n"
    )
    assert massif_peak(recorded + "snapshot=2\nmem_heap_B=100\nmem_heap_extra_B=8\n") == 488
    assert massif_peak("") == 0


# --- GPUs ------------------------------------------------------------------------------------------------------------

SMI = """\
[ "$1" = --version ] && { echo "NVIDIA-SMI version  : 550.54.14"; exit; }
echo "$@" > "$0.arguments"
echo "0, NVIDIA GeForce RTX 4090, 5000, 24564, 37"
echo "1, NVIDIA H100, PCIe, 400, 500, [N/A]"
"""
MIB = 1024 * 1024


def monitor(root: Path, folder: Path, body: str, *words: str) -> Said:
    smi = program(folder / "nvidia-smi", body)
    path = f"{smi.parent}:{environment()['PATH']}"
    return call(root, "doit-cargo", "monitor_vram", "INTERVAL=0.2", "SECONDS=0.3", *words, PATH=path)


def test_the_csv_of_nvidia_smi_is_read() -> None:
    assert read_csv("0, NVIDIA H100, PCIe, 400, 500, [N/A]\nNo devices were found\n1, T4, [N/A], 15360, 0\n") == [
        GpuMemory(0, "NVIDIA H100, PCIe", 400 * MIB, 500 * MIB, -1)
    ]


@posix
@needs_cargo
def test_each_look_is_printed_and_kept_and_the_peak_told(workspace: Path, tmp_path: Path) -> None:
    said = monitor(workspace, tmp_path, SMI)
    assert said.status == 0, said.err
    query = "--query-gpu=index,name,memory.used,memory.total,utilization.gpu --format=csv,noheader,nounits\n"
    assert (tmp_path / "nvidia-smi.arguments").read_text() == query
    lines = (workspace / ".logs/monitor-vram.csv").read_text().splitlines()
    assert [line.partition(",")[2] for line in lines] == [
        "gpu,name,used_bytes,total_bytes,busy_percent",
        *[
            f'0,"NVIDIA GeForce RTX 4090",{5000 * MIB},{24564 * MIB},37',
            f'1,"NVIDIA H100, PCIe",{400 * MIB},{500 * MIB},',
        ]
        * 2,
    ]
    assert said.out.splitlines()[-1] == "ok monitor_vram  2 looks, peak 5.24 GB; log: .logs/monitor-vram.csv"


@posix
@needs_cargo
@pytest.mark.parametrize(
    ("model", "status", "told"),
    [
        ("Qwen/Qwen2.5-7B-Instruct-GGUF/q4_k_m.gguf", 0, "Qwen2.5-7B, 4 bit is expected to take 5.5 GB"),
        ("gemma-2-2b-it-Q4_K_M", 1, "5.24 GB in use, where Gemma 2 2B, 4 bit is expected to take 2.0 GB"),
        ("unheard-of", 0, "nothing is known of what unheard-of takes: only a nearly full GPU is told"),
    ],
)
def test_the_peak_is_compared_with_what_the_model_should_take(
    workspace: Path, tmp_path: Path, model: str, status: int, told: str
) -> None:
    said = monitor(workspace, tmp_path, SMI, f"MODEL={model}")
    assert (said.status, told in (said.err if status else said.out)) == (status, True)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Qwen2.5-1.5B-Instruct-q4_0.gguf", "Qwen2.5-1.5B, 4 bit"),
        ("google/gemma-3-4b-it", "Gemma 3 4B, full precision"),
        ("Qwen2.5-17B-q4", ""),
        ("Qwen2.5-7B-q8", ""),
    ],
)
def test_a_row_of_the_table_fits_by_whole_words(model: str, name: str) -> None:
    found = expected_for(model)
    assert (found.name if found else "") == name


@posix
@needs_cargo
def test_a_nearly_full_gpu_is_told(workspace: Path, tmp_path: Path) -> None:
    said = monitor(workspace, tmp_path, SMI.replace("400, 500", "460, 500"))
    assert ".. monitor_vram  GPU 1 is nearly full: " in said.out


@posix
@needs_cargo
@pytest.mark.parametrize(
    ("body", "what"),
    [
        (
            'echo "NVIDIA-SMI has failed because it couldn\'t communicate with the NVIDIA driver."; exit 9',
            "nvidia-smi sees no GPU: NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
        ),
        ("echo No devices were found; exit 6", "nvidia-smi sees no GPU: No devices were found"),
    ],
    ids=["no driver", "no device"],
)
def test_without_a_gpu_it_says_so_and_could_not_run(workspace: Path, tmp_path: Path, body: str, what: str) -> None:
    said = monitor(workspace, tmp_path, body)
    assert (said.status, said.out, said.err.splitlines()[0]) == (2, "", f"!! monitor_vram  {what}")


@needs_cargo
@pytest.mark.skipif(bool(here("nvidia-smi")), reason="this machine has nvidia-smi")
def test_without_nvidia_smi_it_says_what_to_install(workspace: Path) -> None:
    said = call(workspace, "doit-cargo", "monitor_vram")
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("!! monitor_vram  there is no GPU to watch: nvidia-smi is not on PATH\n  fix: ")
