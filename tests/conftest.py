"""What holds for every test: floating errors raise, torch runs one thread, and under --require-gpu nothing may be skipped."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[1]))  # for `benchmarks`; last, so that the installed package is the one tested
if not torch.cuda.is_available():
    os.environ.setdefault("NUMBA_ENABLE_CUDASIM", "1")  # read when numba is first imported: kernels of numba.cuda then run as Python
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--require-gpu", action="store_true", help="a GPU must be there and every skip is a failure")


def pytest_configure(config: pytest.Config) -> None:
    torch.set_num_threads(1)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell's background jobs have it; tests of Ctrl-C would wait for ever
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--require-gpu") and not torch.cuda.is_available():
        raise pytest.UsageError("--require-gpu: torch finds no CUDA device")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of oracles' kernels, in the simulator without a device, are tests for a GPU with one."""
    for item in items if torch.cuda.is_available() else ():
        if item.path.match("oracles/test_gpu_*.py"):
            item.add_marker(pytest.mark.gpu)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _refuse_skip(item.config, report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _refuse_skip(collector.config, report)


def _refuse_skip(config: pytest.Config, report: Report) -> Report:
    if config.getoption("--require-gpu") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped under --require-gpu: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def floating_errors_raise() -> Iterator[None]:
    """Division by zero, overflow and NaN raise in NumPy; an underflow to zero is a right answer."""
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        yield
