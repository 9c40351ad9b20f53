"""What runs in a worker process: tasks in, outcomes out, until the pipe closes or the parent is gone."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from pybackdoor.locations import load_files


@dataclass(frozen=True)
class ByRow:
    """A function of {feature: value} as one on arrays [N, d]."""

    function: Callable[[dict[str, float]], Any]
    names: Sequence[str]

    def __call__(self, x: Any) -> list[Any]:
        """Its answers at the rows of x, one after another."""
        return [self.function(dict(zip(self.names, row, strict=True))) for row in x.tolist()]


def serve(connection: Connection, payload: Any) -> None:
    """A worker's life. payload: the functions, or the user's files and then the functions, pickled."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to everybody; the parent decides
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # held since it was started, when a Ctrl-C would have ended it with a traceback
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(os, "setsid"):
        os.setsid()  # so that what a function starts can be ended with it
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        functions = payload
        if isinstance(payload, bytes):
            files, pickled = pickle.loads(payload)  # written by our own parent
            load_files(files)
            functions = pickle.loads(pickled)
    except BaseException as error:
        connection.send(("failed", told(error)))
        return
    try:
        connection.send(("ready", None))
        while True:
            number, argument = connection.recv()
            connection.send(_outcome(functions[number], argument))
    except (EOFError, OSError):
        return


def told(error: BaseException) -> str:
    """An exception in one line of at most 500 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]


def _outcome(function: Callable[[Any], Any], argument: Any) -> tuple[str, Any]:
    try:
        answer = function(argument)
    except BaseException as error:  # SystemExit too: whatever the user's function does, it is this row's
        return "raised", told(error)
    try:
        return "answer", _plain(answer)
    except Exception as error:  # an answer's own tolist or float may raise anything
        return "bad_answer", told(error)


def _plain(answer: Any) -> Any:
    """Arrays, tensors and scalars of any library as nested lists (a pair stays a tuple) of Python numbers."""
    if hasattr(answer, "tolist"):
        answer = answer.tolist()
    if isinstance(answer, list | tuple):
        parts = [_plain(part) for part in answer]
        return tuple(parts) if isinstance(answer, tuple) else parts
    if isinstance(answer, int | float):
        return float(answer)
    raise TypeError(f"a {type(answer).__name__} is no number")


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        try:
            os.killpg(0, signal.SIGKILL)
        except (OSError, AttributeError):  # no process groups here
            os._exit(1)
