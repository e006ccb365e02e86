"""doit's runners, for tasks that must not run beside each other, and for groups whose parts have failed.

A task says in its meta which lane it needs (`model.CARGO`, `FREE`, ...). A worker is handed a task whose lane is
free: none waits at a lock for another one. Whatever runs in a worker prints whole lines, and a task outside cargo's
lane its whole output at once. Knows doit's runners; of a task only its meta.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from doit import cmd_run
from doit.exceptions import BaseFail, UnmetDependency
from doit.runner import JobHold, JobTask, JobTaskPickle, MRunner, MThreadRunner, Runner
from doit.task import DelayedLoaded

from doit_cargo.cli.doit.bridge import is_ours
from doit_cargo.engine.base.model import ALONE, CARGO, FREE
from doit_cargo.engine.console import output

SECONDS_TO_STOP = 20
SECONDS_BETWEEN_LOOKS = 0.2


@contextlib.contextmanager
def in_charge() -> Iterator[None]:
    """Let `doit run` take the runners of this module: its command names the classes, and takes no others."""
    names = {"Runner": OneByOne, "MRunner": InProcesses, "MThreadRunner": InThreads}
    kept = {name: getattr(cmd_run, name) for name in names}
    for name, runner in names.items():
        setattr(cmd_run, name, runner)
    try:
        yield
    finally:
        for name, runner in kept.items():
            setattr(cmd_run, name, runner)


class _Judge:
    """Which end a run comes to: that a group of ours lacks a part is no error beside that of the part."""

    final_result: int

    def _handle_task_error(self, node: Any, fail: BaseFail) -> None:
        before = self.final_result
        super()._handle_task_error(node, fail)  # type: ignore[misc]
        if before and isinstance(fail, UnmetDependency) and is_ours(node.task):
            self.final_result = before


class OneByOne(_Judge, Runner):  # type: ignore[misc]
    """doit's plain runner."""


class _Lanes(_Judge):
    """What both parallel runners of doit share here: whose turn it is."""

    free_proc: int
    tasks: Any
    task_dispatcher: Any
    _stop_running: bool

    def run_tasks(self, task_dispatcher: Any) -> None:
        self._held: list[Any] = []
        self._busy: dict[str, str] = {}
        self._exhausted = False
        super().run_tasks(task_dispatcher)  # type: ignore[misc]

    def get_next_job(self, completed: Any) -> Any:
        """Return the next job whose lane is free; a hold if all must wait, None if nothing is left for a worker."""
        if completed is not None:
            self._busy.pop(completed.task.name, None)
        tell = completed
        while not self._stop_running:
            more = self._take_from_dispatcher(tell)
            node = self._next_held()
            if node is None and more:
                tell = None
                continue
            if node is None:
                return self._nothing_now()
            if self.select_task(node, self.tasks):  # type: ignore[attr-defined]
                self._busy[node.task.name] = lane_of(node.task)
                return self._job(node.task)
            tell = node
        return None

    def _take_from_dispatcher(self, done: Any) -> bool:
        """Tell doit's dispatcher what is done and hold what it gives; return whether it gave something."""
        if self._exhausted:
            return False
        try:
            node = self.task_dispatcher.generator.send(done)
        except StopIteration:
            self._exhausted = True
            return False
        if node == "hold on":
            return False
        self._held.append(node)
        return True

    def _next_held(self) -> Any:
        """Return the first task that may run beside those that run; nothing overtakes one that must be alone.

        Of one lane, one at a time runs, in their order; `FREE` is no lane.
        """
        lanes = set(self._busy.values())
        for node in self._held:
            lane = lane_of(node.task)
            if ALONE in lanes or (lane == ALONE and lanes):
                return None
            if lane == FREE or lane not in lanes:
                self._held.remove(node)
                return node
        return None

    def _nothing_now(self) -> Any:
        if self._exhausted and not self._held:
            return None
        self.free_proc += 1
        return JobHold()

    def _job(self, task: Any) -> Any:
        """Return what a worker gets: a task that came into being after the workers did is sent whole."""
        is_new = task.loader is DelayedLoaded and isinstance(self, InProcesses)
        return JobTask(task) if is_new else JobTaskPickle(task)

    def _process_result(self, node: Any, task: Any, result: Any) -> None:
        if is_ours(task):
            task.meta["doit_cargo"].has_run()
        super()._process_result(node, task, result)  # type: ignore[misc]


class InThreads(_Lanes, MThreadRunner):  # type: ignore[misc]
    """doit's runner with threads."""


class InProcesses(_Lanes, MRunner):  # type: ignore[misc]
    """doit's runner with processes: what ends this one ends them too, and their output does not mix."""

    def run_tasks(self, task_dispatcher: Any) -> None:
        self._lock = multiprocessing.Lock()
        # What a worker gets with each job is a copy; this is the one that its actions have.
        self._runners = {name: task.meta["doit_cargo"] for name, task in task_dispatcher.tasks.items() if is_ours(task)}
        with _terminated_as_interrupted():
            try:
                super().run_tasks(task_dispatcher)
            except BaseException:
                _stop(multiprocessing.active_children())
                raise

    def execute_task(self, task: Any) -> Any:
        """Run a task, in a worker. A signal that its program got was meant for the worker too."""
        if not is_ours(task):
            return super().execute_task(task)
        runner = self._runners[task.name]
        # Cargo's progress bar must have the terminal's last line for itself.
        runner.environ = {**runner.environ, "CARGO_TERM_PROGRESS_WHEN": "never"}
        with output.together(self._lock, at_once=lane_of(task) not in (CARGO, ALONE)):
            failure = super().execute_task(task)
        if runner.interrupted:
            _interrupt_once()
        return failure

    def execute_task_subprocess(self, *arguments: Any) -> None:
        """Do a worker's work."""
        for number in _signals():
            signal.signal(number, _interrupt_once)
        threading.Thread(target=_end_without, args=(os.getppid(),), daemon=True).start()
        super().execute_task_subprocess(*arguments)


def _end_without(parent: int) -> None:
    """Interrupt this worker when the process that hands out the work has been killed."""
    while os.getppid() == parent:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    os.kill(os.getpid(), signal.SIGTERM)


def _stop(workers: Iterable[Any]) -> None:
    """End the workers; each passes the signal on to what it runs, and says so before it goes."""
    running = list(workers)
    for worker in running:
        worker.terminate()
    for worker in running:
        worker.join(SECONDS_TO_STOP)
        worker.kill()


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Take SIGTERM and SIGHUP for Ctrl-C while workers run."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.signal(number, _interrupt_once) for number in _signals()}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _signals() -> list[int]:
    return [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _interrupt_once(*_: object) -> None:
    """Raise what Ctrl-C raises, and let no further signal disturb the way out: they come in twos and threes."""
    for number in _signals():
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def lane_of(task: Any) -> str:
    """Return the lane of a task; one that is not ours shares nothing with ours."""
    return str(task.meta.get("pool", CARGO)) if is_ours(task) else FREE
