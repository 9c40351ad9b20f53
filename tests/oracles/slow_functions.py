"""Functions that misbehave where a row says so: worker processes import them."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

SQUARES, RAISES, HANGS, EXITS, CRASHES, QUITS, TEXT, NOTHING, NOT_A_NUMBER = range(9)


def moody(x: np.ndarray) -> object:
    """Column 0 says what to do, column 1 is squared."""
    assert x.shape == (1, 2)
    mood = int(x[0, 0])
    if mood == RAISES:
        raise ValueError("no price here")
    if mood == HANGS:
        time.sleep(1000)
    if mood == EXITS:
        os._exit(3)
    if mood == CRASHES:
        faulthandler.disable()  # it is meant
        ctypes.string_at(0)
    if mood == QUITS:
        sys.exit("enough")
    if mood == TEXT:
        return "text"
    if mood == NOTHING:
        return None
    return x[:, 1] ** 2 if mood == SQUARES else np.array([np.nan])


def slopes(x: np.ndarray) -> np.ndarray:
    return np.stack([0 * x[:, 1], 2 * x[:, 1]], axis=1)


def with_error(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x[:, 1] ** 2, 0.1 * x[:, 1]


def slow(x: np.ndarray) -> np.ndarray:
    time.sleep(0.3)
    return x[:, 1] ** 2


def at_the_second_attempt(x: np.ndarray) -> np.ndarray:
    """Ends its process the first time; the file named in the environment tells that it did."""
    mark = Path(os.environ["PYBACKDOOR_TEST_MARK"])
    if not mark.exists():
        mark.write_text("")
        os._exit(1)
    return x[:, 1]


def with_a_child(x: np.ndarray) -> np.ndarray:
    """Starts a process, notes its number, and hangs."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    Path(os.environ["PYBACKDOOR_TEST_MARK"]).write_text(f"{os.getpid()} {child.pid}")
    time.sleep(1000)
    return x[:, 1]


def process_number(x: np.ndarray) -> float:
    time.sleep(0.05)
    return float(os.getpid())


def process_number_of_two(x: np.ndarray) -> float:
    """Answers once two processes have been asked: a process that starts late has its share all the same."""
    here = Path(os.environ["PYBACKDOOR_TEST_MARK"])
    here.mkdir(exist_ok=True)
    (here / str(os.getpid())).touch()
    while len(list(here.iterdir())) < 2:
        time.sleep(0.02)
    return process_number(x)
