"""What benchmarks print and leave, read into one form: a time for each, in nanoseconds, with the spread of its samples.

Formats: Criterion's files and lines, libtest's `bench:` lines, JSON lines, and the table of mistralrs-bench.
Pure but for `criterion_files`; knows neither cargo nor baselines.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

NANOSECONDS = {"ps": 1e-3, "ns": 1.0, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9}
# Half of the samples of a normal distribution lie so many standard deviations around the middle.
QUARTILE = 0.6745
# What is taken for the spread of a benchmark that tells none: two runs of one program seldom agree better.
UNKNOWN_SPREAD = 0.05

NUMBER = r"([\d,]+(?:\.\d+)?)"
TIMES = re.compile(rf"^(.*?)\s*time:\s*\[\s*{NUMBER} (\S+)\s+{NUMBER} (\S+)\s+{NUMBER} (\S+?)\]")
LIBTEST = re.compile(rf"^test (.+?)\s+\.\.\. bench:\s+{NUMBER} ns/iter \(\+/- {NUMBER}\)")


@dataclass(frozen=True, slots=True)
class Times:
    """Nanoseconds of one benchmark: the middle of its samples, and the range in which half of them lie."""

    low: float
    middle: float
    high: float

    @property
    def noise(self) -> float:
        """The width of the range on its wider side, in percent of the middle."""
        return 100.0 * max(self.high - self.middle, self.middle - self.low) / self.middle if self.middle else 0.0

    def better(self, other: Times) -> Times:
        """Return the faster of two measurements, with the range of both."""
        fast = min(self, other, key=lambda one: one.middle)
        return Times(min(self.low, other.low), fast.middle, max(self.high, other.high))


Results = dict[str, Times]


def read(text: str) -> Results:
    """Return what a benchmark printed, in whichever of the known forms."""
    found: Results = {}
    for reader in (_criterion_lines, _libtest_lines, _json_lines, _model_table):
        found.update(reader(text.splitlines()))
    return found


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def _criterion_lines(lines: Iterable[str]) -> Iterator[tuple[str, Times]]:
    """Criterion's ``NAME  time: [low mid high]``; a long name stands alone on the line before."""
    before = ""
    for line in lines:
        match = TIMES.match(line)
        if match and all(match[group] in NANOSECONDS for group in (3, 5, 7)):
            name = match[1].strip() or before
            values = [_number(match[group]) * NANOSECONDS[match[group + 1]] for group in (2, 4, 6)]
            yield name, Times(*values)
        elif line.strip() and not line.startswith((" ", "\t")):
            before = line.strip()


def _libtest_lines(lines: Iterable[str]) -> Iterator[tuple[str, Times]]:
    """libtest's median and the distance of its extremes."""
    for line in lines:
        match = LIBTEST.match(line)
        if match:
            middle, spread = _number(match[2]), _number(match[3])
            yield match[1], Times(max(middle - spread / 2, 0.0), middle, middle + spread / 2)


def _json_lines(lines: Iterable[str]) -> Iterator[tuple[str, Times]]:
    """One object a line: a benchmark, or `results` with several."""
    for line in lines:
        if line.startswith("{"):
            try:
                value = json.loads(line)
            except ValueError:
                continue
            for entry in value["results"] if isinstance(value.get("results"), list) else [value]:
                yield from _json_entry(entry)


def _json_entry(entry: Any) -> Iterator[tuple[str, Times]]:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return
    for unit in ("ns", "us", "ms"):
        middle = entry.get(f"median_{unit}")
        if isinstance(middle, int | float):
            low, high = entry.get(f"low_{unit}"), entry.get(f"high_{unit}")
            low = middle * (1 - UNKNOWN_SPREAD) if low is None else low
            high = middle * (1 + UNKNOWN_SPREAD) if high is None else high
            yield entry["name"], Times(*(float(each) * NANOSECONDS[unit] for each in (low, middle, high)))
            return


def _model_table(lines: Iterable[str]) -> Iterator[tuple[str, Times]]:
    """mistralrs-bench's table: its column ms/t holds ``mean±deviation`` for each test and concurrency."""
    head: list[str] = []
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.strip().startswith("|") else []
        if "ms/t" in cells and "test" in cells:
            head = cells
        elif head and len(cells) == len(head):
            row = dict(zip(head, cells, strict=True))
            match = re.fullmatch(r"([\d.]+)±([\d.]+)", row["ms/t"])
            if match:
                middle, deviation = float(match[1]) * 1e6, float(match[2]) * 1e6 * QUARTILE
                name = f"{row['test']} x{row.get('concurrency', '1')}"
                yield name, Times(max(middle - deviation, 0.0), middle, middle + deviation)


def criterion_places(folder: str) -> dict[str, int]:
    """Return the folders below ``target/criterion`` that hold a result, each with the time of its last change."""
    found = {}
    for place, _, files in os.walk(folder):
        if os.path.basename(place) == "new" and {"estimates.json", "benchmark.json"} <= set(files):
            found[place] = os.stat(os.path.join(place, "estimates.json")).st_mtime_ns
    return found


def criterion_files(folder: str, before: Mapping[str, int]) -> Results:
    """Return what Criterion wrote since `before`, which `criterion_places` gave.

    ``NAME/new/benchmark.json`` holds the name, ``estimates.json`` beside it the median and its absolute deviation.
    """
    found: Results = {}
    for place, stamp in criterion_places(folder).items():
        if before.get(place) != stamp:
            found.update(_criterion_result(place))
    return found


def _criterion_result(place: str) -> Results:
    try:
        with open(os.path.join(place, "benchmark.json"), encoding="utf-8") as stream:
            name = json.load(stream)["full_id"]
        with open(os.path.join(place, "estimates.json"), encoding="utf-8") as stream:
            estimates = json.load(stream)
        middle = float(estimates["median"]["point_estimate"])
        deviation = float(estimates["median_abs_dev"]["point_estimate"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {str(name): Times(max(middle - deviation, 0.0), middle, middle + deviation)}


REGRESSION, SLOWER, FASTER, SAME, NEW, GONE = "REGRESSION", "slower", "faster", "same", "new", "not measured now"
NOISY, SAME_PROGRAM = "too noisy to tell", "the same program"
# Pairs of measurements, then and now in turns, that decide; how much slower each of the first few must be to be enough.
PAIRS, FEW, FAR = 8, 4, 1.25


@dataclass(frozen=True, slots=True)
class BenchChange:
    """A benchmark then and now. `percent` is the change of its time: more is slower."""

    name: str
    before: Times | None
    after: Times | None
    verdict: str

    @property
    def percent(self) -> float:
        if not self.before or not self.after or not self.before.middle:
            return 0.0
        return 100.0 * (self.after.middle - self.before.middle) / self.before.middle

    @property
    def noise(self) -> float:
        return max((times.noise for times in (self.before, self.after) if times), default=0.0)


def compare(before: Mapping[str, Times], rounds: Sequence[Mapping[str, Times]], threshold: float) -> list[BenchChange]:
    """Return each benchmark as it was, and as several rounds of now have it at its best. A change counts where the
    two ranges do not touch.

    It is a regression where it is also more than `threshold` percent, and more than twice of what the rounds differ
    by themselves: the samples of one round do not show how much a machine changes from one round to the next.
    """
    names = dict.fromkeys([*before, *(name for one in rounds for name in one)])
    found = {name: [one[name] for one in rounds if name in one] for name in names}
    return [_change(name, before.get(name), times, threshold) for name, times in found.items()]


def _change(name: str, before: Times | None, rounds: list[Times], threshold: float) -> BenchChange:
    after = reduce(Times.better, rounds) if rounds else None
    if not before or not after:
        return BenchChange(name, before, after, NEW if after else GONE)
    slower, faster = after.low > before.high, after.high < before.low
    change = BenchChange(name, before, after, SLOWER if slower else FASTER if faster else SAME)
    if not slower or change.percent <= threshold:
        return change
    middles = [one.middle for one in rounds]
    clear = after.middle - before.middle > 2 * (max(middles) - min(middles))
    return BenchChange(name, before, after, REGRESSION if clear else NOISY)


def judged(ratios: Sequence[float], threshold: float, suspect: bool) -> str:
    """Return what pairs of measurements show, each the time of now by that of the program of then; "" = not yet clear.

    What is no suspect is clear after one pair that does not look slower.

    Of an unchanged program each pair is as likely to be faster as slower: eight of which all but one are slower come
    about once in thirty times, four that are all much slower hardly ever.
    """
    limit = 1 + threshold / 100
    misses = sum(ratio <= limit for ratio in ratios)
    if ratios and not suspect and ratios[0] <= limit:
        return SAME
    if misses > 1:
        return SAME if sorted(ratios)[len(ratios) // 2] <= limit else NOISY
    if len(ratios) >= FEW and min(ratios) > max(limit, FAR):
        return REGRESSION
    return REGRESSION if len(ratios) >= PAIRS else ""


def text_of(nanoseconds: float) -> str:
    """Return a time as a person reads it.

    >>> text_of(12.5), text_of(1_500), text_of(2.5e6), text_of(3e9)
    ('12.5 ns', '1.500 us', '2.500 ms', '3.000 s')
    """
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3f} {unit}"
    return f"{nanoseconds:.1f} ns"
