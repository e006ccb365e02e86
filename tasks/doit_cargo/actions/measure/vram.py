"""Memory of the GPUs over time: through NVIDIA's library if Python has it, else through nvidia-smi.

Knows the CSV of nvidia-smi and the table of expected memory in data/vram.toml.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from doit_cargo.actions import log_path
from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.console import reporter

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

INTERVAL, SECONDS = 1.0, 60.0
NEARLY_FULL = 0.9
QUERY = "index,name,memory.used,memory.total,utilization.gpu"
MEBIBYTE = 1024 * 1024
LOOK_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """One GPU at one moment. Memory in bytes; `busy` in percent, -1 where the driver does not say."""

    index: int
    name: str
    used: int
    total: int
    busy: int = -1


GpuReader = Callable[[], list[GpuMemory]]


def read_csv(text: str) -> list[GpuMemory]:
    """Return the GPUs that nvidia-smi printed with ``--format=csv,noheader,nounits``; other lines are passed over."""
    return list(_csv(text))


def _csv(text: str) -> Iterator[GpuMemory]:
    for line in text.splitlines():
        # A name may hold a comma; the four numbers do not.
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) >= 5 and cells[0].isdigit() and cells[-3].isdigit() and cells[-2].isdigit():
            used, total = (int(cell) * MEBIBYTE for cell in cells[-3:-1])
            yield GpuMemory(
                int(cells[0]), ", ".join(cells[1:-3]), used, total, int(cells[-1]) if cells[-1].isdigit() else -1
            )


def _nvidia_smi(session: Session) -> GpuReader | None:
    found = session.machine.tool("nvidia-smi")
    if found is None:
        return None
    path = found.path

    def read() -> list[GpuMemory]:
        argv = [path, f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"]
        done = processes.answer(argv, session.environ, LOOK_SECONDS)
        if not done.in_time:
            raise _unable(f"{path} did not answer within {LOOK_SECONDS:g} s")
        gpus = read_csv(done.out)
        if not done.ok or not gpus:
            words = " ".join(f"{done.out}{done.err}".split())[:200] or f"status {done.status}"
            raise _unable(f"nvidia-smi sees no GPU: {words}")
        return gpus

    return read


def _unable(what: str) -> UserError:
    return UserError(Problem(what, "is NVIDIA's driver loaded, and is this machine one with a GPU?"), COULD_NOT_RUN)


def _library() -> GpuReader | None:
    """Return a reader through nvidia-ml-py, or None where Python lacks it or there is no driver for it."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return None

    def look(number: int, handle: Any) -> GpuMemory:
        name = pynvml.nvmlDeviceGetName(handle)
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        try:
            busy = int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        except pynvml.NVMLError:
            busy = -1
        text = name.decode() if isinstance(name, bytes) else str(name)
        return GpuMemory(number, text, int(memory.used), int(memory.total), busy)

    return (lambda: [look(number, handle) for number, handle in enumerate(handles)]) if handles else None


@dataclass(frozen=True, slots=True)
class Expected:
    """A row of the table: the model and the bytes that it takes."""

    name: str
    used: int


def expected_for(model: str) -> Expected | None:
    """Return the row of a model's name, or None where the table has none."""
    import doit_cargo
    from doit_cargo.engine.base.toml import toml

    with open(os.path.join(doit_cargo.DIRECTORY, "data", "vram.toml"), "rb") as stream:
        rows: list[Mapping[str, Any]] = toml.load(stream)["model"]
    plain = re.sub(r"[\s_-]+", "-", model.lower())
    for row in rows:
        if all(_holds(plain, word) for word in row["words"]):
            return Expected(row["name"], int(row["gigabytes"] * 1e9))
    return None


def _holds(name: str, word: str) -> bool:
    """Tell whether a name has a word of its own: 7b is none of 17b, q4 begins q4-k-m."""
    return re.search(rf"(?<![a-z0-9.]){re.escape(word)}", name) is not None


def monitor_vram(session: Session, values: Values) -> bool:
    """Look at the GPUs every INTERVAL seconds, for SECONDS or until Ctrl-C; tell the peaks, and what is too much."""
    read = _library() or _nvidia_smi(session)
    if read is None:
        what = "there is no GPU to watch: nvidia-smi is not on PATH"
        fix = 'install NVIDIA\'s driver; pip install "doit-cargo[gpu]" reads it without nvidia-smi'
        raise UserError(Problem(what, fix), COULD_NOT_RUN)
    expected = _expectation(session, values.text("MODEL"))
    samples = _watch(read, float(values.text("INTERVAL") or INTERVAL), float(values.text("SECONDS") or SECONDS))
    place = os.path.splitext(log_path(session, session.current))[0] + ".csv"
    atomic.write(place, "".join(_csv_lines(samples)))
    return _judge(session, samples, expected, reporter.relative(place, session.root))


def _expectation(session: Session, model: str) -> Expected | None:
    expected = expected_for(model) if model else None
    if expected:
        reporter.note(session.current, f"{expected.name} is expected to take {expected.used / 1e9:.1f} GB")
    elif model:
        reporter.note(session.current, f"nothing is known of what {model} takes: only a nearly full GPU is told")
    return expected


def _watch(read: GpuReader, interval: float, seconds: float) -> list[tuple[float, list[GpuMemory]]]:
    """Return (seconds since the start, GPUs) of every look; Ctrl-C ends it early."""
    started = time.monotonic()
    samples = []
    try:
        while True:
            gpus = read()
            passed = time.monotonic() - started
            samples.append((passed, gpus))
            for gpu in gpus:
                busy = f"  {gpu.busy:3} % busy" if gpu.busy >= 0 else ""
                print(f"   {passed:7.1f} s  GPU {gpu.index}  {_gigabytes(gpu)}{busy}", flush=True)
            if passed + interval > seconds:
                return samples
            time.sleep(interval)
    except KeyboardInterrupt:
        return samples


def _gigabytes(gpu: GpuMemory) -> str:
    share = f"{100 * gpu.used / gpu.total:.0f} %" if gpu.total else "?"
    return f"{gpu.used / 1e9:6.2f} of {gpu.total / 1e9:.1f} GB ({share})"


def _csv_lines(samples: list[tuple[float, list[GpuMemory]]]) -> Iterator[str]:
    yield "seconds,gpu,name,used_bytes,total_bytes,busy_percent\n"
    for passed, gpus in samples:
        for gpu in gpus:
            yield f'{passed:.1f},{gpu.index},"{gpu.name}",{gpu.used},{gpu.total},{gpu.busy if gpu.busy >= 0 else ""}\n'


def _judge(session: Session, samples: list[tuple[float, list[GpuMemory]]], expected: Expected | None, log: str) -> bool:
    peaks: dict[int, GpuMemory] = {}
    for gpu in (gpu for _, gpus in samples for gpu in gpus):
        peaks[gpu.index] = max(peaks.get(gpu.index, gpu), gpu, key=lambda one: one.used)
    for gpu in peaks.values():
        print(f"   peak       GPU {gpu.index}  {_gigabytes(gpu)}  {gpu.name}")
    highest = max(gpu.used for gpu in peaks.values())
    full = [gpu for gpu in peaks.values() if gpu.total and gpu.used > NEARLY_FULL * gpu.total]
    if expected and highest > expected.used:
        what = f"{highest / 1e9:.2f} GB in use, where {expected.name} is expected to take {expected.used / 1e9:.1f} GB"
        reporter.failed(session.current, f"{what} (other programs count too); log: {log}")
        return False
    for gpu in full:
        reporter.note(session.current, f"GPU {gpu.index} is nearly full: {_gigabytes(gpu)}")
    reporter.done(session.current, f"{counted(len(samples), 'look')}, peak {highest / 1e9:.2f} GB; log: {log}")
    return True
