"""The NVIDIA GPUs of this computer and their driver, as nvidia-smi tells. No GPU is an empty list, never an error."""

import os

from doit_cargo.engine.toolchain.machine import BareMachine

TYPE_CHECKING = False  # see platform.py
if TYPE_CHECKING:
    from collections.abc import Iterator

QUERY = ("--query-gpu=name,compute_cap,driver_version,memory.total", "--format=csv,noheader,nounits")
# nvidia-smi takes up to a second to wake a driver up; a GPU does not come and go.
SECONDS = 600.0


class Gpu:
    """One GPU: `capability` is 89 for 8.9, `memory` is in MiB."""

    __slots__ = ("capability", "driver", "memory", "name")

    def __init__(self, name: str, capability: int, driver: str, memory: int) -> None:
        self.name = name
        self.capability = capability
        self.driver = driver
        self.memory = memory


def find_gpus(machine: BareMachine) -> list[Gpu]:
    """Return the GPUs that nvidia-smi lists."""
    path = machine.which("nvidia-smi")
    if not path:
        return []
    kept = machine.remember("gpus", path, os.path.realpath(path), lambda: _answer(machine, path))
    return list(_parse(str(kept["version"])))


def _answer(machine: BareMachine, path: str) -> "dict[str, object]":
    import time

    from doit_cargo.engine.toolchain.version_cache import stamp_of

    text = machine.run(path, *QUERY)
    return {"version": text, "stamps": {path: stamp_of(path)}, "until": time.time() + SECONDS}


def _parse(text: str) -> "Iterator[Gpu]":
    """Yield what lines such as ``NVIDIA A100, 8.0, 550.54.15, 40960`` say; anything else is no GPU."""
    for line in text.splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) == 4 and words[1].replace(".", "", 1).isdigit():
            yield Gpu(words[0], int(words[1].replace(".", "")), words[2], int(words[3]) if words[3].isdigit() else 0)
