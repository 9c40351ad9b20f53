"""Worker processes under supervision: one task each at a time, killed when it takes too long, replaced when they die."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.util import Finalize
from types import ModuleType
from typing import Any, Literal, NamedTuple, TypedDict

from pybackdoor.errors import InputError, InputTypeError
from pybackdoor.locations import loaded_files
from pybackdoor.workers.serving import serve, told

_STARTUP_LIMIT = 120.0  # seconds in which a new process must have imported what it needs
_ADVICE = (
    "define it at the top level of a module that a new interpreter can import: no lambda, no function inside a function, nothing typed at a prompt; "
    "or give start_method='fork'"
)
_GUARD = (
    "what it printed says why; a function defined in the script itself makes every worker run that script: put `if __name__ == '__main__':` around "
    "what it does, or define the function in a module of its own"
)

_MAIN = threading.Lock()

Function = Callable[[Any], Any]


class PoolOptions(TypedDict, total=False):
    """How slow functions are run beside this process.

    workers: processes (0: none, the function is called here). timeout: seconds a row may take. retries: further attempts at a row that raised, timed
    out or took its process down. start_method: "spawn" (a fresh interpreter, which imports the function anew) or "fork" (a copy of this process: any
    function will do, but not safe where other threads hold locks; not on Windows). progress: show a bar.
    """

    workers: int
    timeout: float | None
    retries: int
    start_method: Literal["spawn", "fork"]
    progress: bool


class Outcome(NamedTuple):
    """What became of a task. `content`: the answer as nested lists of numbers, or for people what happened."""

    kind: Literal["answer", "bad_answer", "raised", "timed_out", "crashed"]
    content: Any


class WorkerPool:
    """`workers` processes that call `functions`; started at the first task, kept until `close`, an exception, or the end of this process.

    A task is (number of the function, argument). See `PoolOptions` for the settings. Raises InputTypeError or InputError on settings that cannot be
    used, and InputError when the functions cannot be brought into a process.
    """

    def __init__(
        self, functions: Sequence[Function], workers: int, *, timeout: float | None = None, retries: int = 0, start_method: str = "spawn"
    ) -> None:
        for role, count, least in (("workers", workers, 1), ("retries", retries, 0)):
            if isinstance(count, bool) or not isinstance(count, int):
                raise InputTypeError(f"worker processes: {role} is {count!r}; a whole number is needed")
            if count < least:
                raise InputError(f"worker processes: {role} is {count}; at least {least} is needed")
        if timeout is not None and not (timeout > 0 and math.isfinite(timeout)):
            raise InputError(f"worker processes: timeout is {timeout!r}; a positive number of seconds, or None, is needed")
        if start_method not in multiprocessing.get_all_start_methods() or start_method == "forkserver":
            raise InputError(f"worker processes: start_method is {start_method!r}; 'spawn', or where the system has it 'fork', is needed")
        self.count, self.timeout, self.retries = workers, timeout, retries
        self._context: Any = multiprocessing.get_context(start_method)
        self._payload = tuple(functions) if start_method == "fork" else _pickled(tuple(functions))
        self._needs_main = isinstance(self._payload, bytes) and b"__main__" in self._payload
        self._lock = threading.Lock()  # one run at a time, whatever thread it comes from
        self._own()

    def run(self, tasks: Sequence[tuple[int, Any]], done: Callable[[Outcome], None] = lambda outcome: None) -> list[Outcome]:
        """The outcome of every task, in their order; `done` is called as each is settled. An exception, also an interrupt, ends all processes."""
        with self._lock:
            if os.getpid() != self._owner:  # a fork of the process that made this: the workers are not ours
                self._own()
            book = _Book(len(tasks), self.retries, done)
            try:
                while len(book.outcomes) < len(tasks):
                    self._round(book, tasks)
            except BaseException:
                _stop(self._workers)
                raise
            return [book.outcomes[number] for number in range(len(tasks))]

    def close(self) -> None:
        """Ends the processes; another `run` starts new ones."""
        with self._lock:
            if os.getpid() == self._owner:
                _stop(self._workers)

    def _own(self) -> None:
        self._workers: list[_Worker] = []
        self._owner = os.getpid()
        Finalize(self, _stop, (self._workers,), exitpriority=10)  # before the interpreter waits for its children

    def _round(self, book: _Book, tasks: Sequence[tuple[int, Any]]) -> None:
        """Hands out what can be, waits until something happens, and settles it."""
        while len(self._workers) < min(self.count, len(tasks) - len(book.outcomes)):
            self._start()
        for worker in self._workers:
            if book.waiting and worker.ready and worker.task is None:
                self._give(worker, book.waiting.popleft(), tasks, book)
        by_handle = {handle: worker for worker in self._workers for handle in (worker.connection, worker.process.sentinel)}
        first = min(worker.deadline for worker in self._workers)
        signalled = {by_handle[handle] for handle in wait(list(by_handle), None if first == math.inf else max(0.0, first - time.monotonic()))}
        for worker in signalled:
            self._settle(worker, book)
        for worker in [worker for worker in self._workers if worker.deadline <= time.monotonic()]:
            if worker.task is None:
                raise InputError(f"worker processes: one was not ready after {_STARTUP_LIMIT:g} s; make the import of its module quicker")
            self._end(worker)
            book.settle(worker.task, Outcome("timed_out", f"took longer than {self.timeout:g} s"))

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=serve, args=(theirs, self._payload), name="pybackdoor worker")
        with contextlib.nullcontext() if self._needs_main else _no_main(), _interrupts_held():
            process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours, time.monotonic() + _STARTUP_LIMIT))

    def _give(self, worker: _Worker, number: int, tasks: Sequence[tuple[int, Any]], book: _Book) -> None:
        try:
            worker.connection.send(tasks[number])
        except OSError:  # it died while idle; its end is noticed in this round, and the task goes to another
            book.waiting.appendleft(number)
            return
        worker.task, worker.deadline = number, math.inf if self.timeout is None else time.monotonic() + self.timeout

    def _settle(self, worker: _Worker, book: _Book) -> None:
        kind, content = worker.message()
        if kind == "ready":
            worker.ready, worker.deadline = True, math.inf
        elif kind == "failed":
            raise InputError(f"worker processes: the function could not be brought into one ({content}); {_ADVICE}")
        elif kind != "dead":
            assert worker.task is not None
            number, worker.task, worker.deadline = worker.task, None, math.inf
            book.settle(number, Outcome(kind, content))
        else:
            ended = self._end(worker)
            if not worker.ready:
                raise InputError(f"worker processes: one ended ({ended}) before it could begin; {_GUARD}")
            if worker.task is not None:
                book.settle(worker.task, Outcome("crashed", f"its process ended ({ended})"))

    def _end(self, worker: _Worker) -> str:
        self._workers.remove(worker)
        return worker.kill()


@dataclass(eq=False)
class _Worker:
    process: Any
    connection: Connection
    deadline: float  # of its start, then of its task
    ready: bool = False
    task: int | None = None

    def message(self) -> tuple[Any, Any]:
        """What it has sent, or ("dead", None)."""
        try:
            if self.connection.poll():
                message: tuple[Any, Any] = self.connection.recv()
                return message
        except (EOFError, OSError):
            pass
        return "dead", None

    def kill(self) -> str:
        """Ends it and what it has started; how it ended, in words. Its number stays taken until `join`, so that no stranger is hit."""
        try:
            if self.ready:
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
        except (OSError, AttributeError):  # no process groups here, or all of it is gone
            with contextlib.suppress(OSError):
                self.process.kill()
        self.process.join()
        status = self.process.exitcode
        self.process.close()
        self.connection.close()
        return f"signal {-status}" if status < 0 else f"exit status {status}"


class _Book:
    """Which tasks wait, and what became of the others."""

    def __init__(self, count: int, retries: int, done: Callable[[Outcome], None]) -> None:
        self.waiting, self.outcomes = deque(range(count)), dict[int, Outcome]()
        self._attempts, self._retries, self._done = [0] * count, retries, done

    def settle(self, number: int, outcome: Outcome) -> None:
        self._attempts[number] += 1
        if outcome.kind in ("raised", "timed_out", "crashed") and self._attempts[number] <= self._retries:
            self.waiting.append(number)
        else:
            self.outcomes[number] = outcome
            self._done(outcome)


def _pickled(functions: tuple[Function, ...]) -> bytes:
    try:
        return pickle.dumps((loaded_files(), pickle.dumps(functions)))
    except Exception as error:  # pickle raises what the objects' own methods raise
        raise InputError(f"worker processes: the function cannot be sent to one ({told(error)}); {_ADVICE}") from error


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """Hides the running script from processes started here: they need not import it anew, with all that it imports and does."""
    with _MAIN:
        script = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = script


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C, which goes to everybody, comes after this; a process started here does not see it before it has said that it ignores it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(workers: list[_Worker]) -> None:
    while workers:
        workers.pop().kill()
