"""The JUnit report of a test run: a suite for each program, with the results that were kept from earlier runs too."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree

from doit_cargo.actions.testing.reporting import TestResults
from doit_cargo.actions.testing.results import FAILED, IGNORED, CaseResult, ProgramResult
from doit_cargo.actions.testing.test_binaries import TestBinary


def report(programs: Iterable[TestBinary], results: TestResults, broken: Iterable[str]) -> str:
    """Return the text of the report. `broken` are packages that do not compile."""
    root = ElementTree.Element("testsuites", name="doit-cargo")
    for program in programs:
        if program.identity in results:
            root.append(_suite(program, results[program.identity]))
    for name in broken:
        suite = ElementTree.SubElement(root, "testsuite", name=name, tests="1", failures="0", errors="1", skipped="0")
        case = ElementTree.SubElement(suite, "testcase", name="(compilation)", classname=name)
        ElementTree.SubElement(case, "error", message="does not compile")
    for column in ("tests", "failures", "errors", "skipped"):
        root.set(column, str(sum(int(suite.get(column, "0")) for suite in root)))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(program: TestBinary, result: ProgramResult) -> ElementTree.Element:
    failed = sum(case.outcome == FAILED for case in result.cases)
    skipped = sum(case.outcome == IGNORED for case in result.cases)
    suite = ElementTree.Element(
        "testsuite",
        name=f"{program.package}: {program.title}",
        tests=str(len(result.cases)),
        failures=str(failed),
        errors="0",
        skipped=str(skipped),
        time=f"{result.seconds:.3f}",
    )
    if result.kept:
        properties = ElementTree.SubElement(suite, "properties")
        ElementTree.SubElement(properties, "property", name="passed before", value="true")
    for case in result.cases:
        _add_case(suite, program, case, result)
    if failed and result.output:
        ElementTree.SubElement(suite, "system-out").text = _printable(result.output)
    return suite


def _add_case(suite: ElementTree.Element, program: TestBinary, case: CaseResult, result: ProgramResult) -> None:
    made = ElementTree.SubElement(suite, "testcase", name=_printable(case.name), classname=program.package)
    if case.seconds is not None:
        made.set("time", f"{case.seconds:.3f}")
    if case.outcome == FAILED:
        message = case.message or _message(case.name, result.output)
        ElementTree.SubElement(made, "failure", message=_printable(message.partition("\n")[0])).text = _printable(
            message
        )
    elif case.outcome == IGNORED:
        ElementTree.SubElement(made, "skipped")


def _message(name: str, output: str) -> str:
    """Return what libtest printed of a failed test, under its own heading."""
    lines: Iterator[str] = iter(output.splitlines())
    heading = f"---- {name} std"
    for line in lines:
        if line.startswith(heading):
            kept = []
            for inner in lines:
                if inner.startswith("---- ") or inner == "failures:":
                    break
                kept.append(inner)
            return "\n".join(kept).strip()
    return "failed"


def _printable(text: str) -> str:
    """Return text without the characters that XML 1.0 cannot hold."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)


def path_of(root: str, folder: str, target: str, asked: str) -> str:
    """Return where JUNIT= wants the report."""
    if asked == "1":
        return os.path.join(root, folder, f"{target.replace('_', '-')}.junit.xml")
    return os.path.join(root, os.path.expanduser(asked))
