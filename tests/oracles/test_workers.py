"""Callables in worker processes: what hangs, crashes or raises costs its row alone, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import slow_functions as slow
import torch

from pybackdoor.domain import Domain
from pybackdoor.errors import InputError, InputTypeError
from pybackdoor.oracles import CallableOracle
from pybackdoor.records.evaluation import EvaluationStatus as Status

DOMAIN = Domain(("mood", "a"), (0.0, 0.0), (8.0, 20.0))
START = ["spawn", "fork"] if sys.platform != "win32" else ["spawn"]


@pytest.fixture(params=START)
def start(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mark"
    monkeypatch.setenv("PYBACKDOOR_TEST_MARK", str(path))
    return path


def alive(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone(numbers: list[int], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while any(map(alive, numbers)) and time.monotonic() < end:
        time.sleep(0.02)
    return not any(map(alive, numbers))


@pytest.fixture
def made(start: str) -> Iterator[CallableOracle]:
    oracle = CallableOracle(slow.moody, DOMAIN, workers=2, timeout=2.0, start_method=start)  # type: ignore[arg-type]
    yield oracle
    oracle.close()


def test_each_row_fails_for_itself(made: CallableOracle, caplog: pytest.LogCaptureFixture) -> None:
    x = torch.tensor([[mood, 3.0 + mood] for mood in range(9)] + [[slow.SQUARES, 2.0]], dtype=torch.float64)
    answer = made.evaluate(x)
    assert answer.status.tolist() == [
        Status.OK,
        Status.RAISED,
        Status.TIMED_OUT,
        Status.CRASHED,
        Status.CRASHED,
        Status.RAISED,
        Status.BAD_SHAPE,
        Status.BAD_SHAPE,
        Status.NOT_FINITE,
        Status.OK,
    ]
    assert answer.values[answer.ok].tolist() == [9.0, 4.0]
    assert bool(torch.isnan(answer.values[~answer.ok]).all())
    assert answer.value_calls == 10
    assert "failed at 8 of 10 points; the first: at [1.0, 4.0] raised: ValueError: no price here" in caplog.text
    assert made.values(x[:1]).tolist() == [9.0]  # and it goes on


def test_the_answers_are_those_of_the_function(start: str) -> None:
    x = torch.rand(17, 2, dtype=torch.float64) * torch.tensor([0.0, 10.0])
    here = CallableOracle(slow.with_error, DOMAIN, gradient=slow.slopes)
    beside = CallableOracle(slow.with_error, DOMAIN, gradient=slow.slopes, workers=3, start_method=start)  # type: ignore[arg-type]
    for gradient in (False, True):
        ours, theirs = beside.evaluate(x, gradient), here.evaluate(x, gradient)
        assert torch.equal(ours.values, theirs.values)
        assert torch.equal(ours.standard_errors, theirs.standard_errors)
        assert ours.value_calls == theirs.value_calls
        if gradient:
            assert ours.gradients is not None
            assert torch.equal(ours.gradients, theirs.gradients)
    differences = CallableOracle(slow.with_error, DOMAIN, workers=3, start_method=start)  # type: ignore[arg-type]
    assert torch.equal(differences.values_and_gradients(x)[1], CallableOracle(slow.with_error, DOMAIN).values_and_gradients(x)[1])
    assert beside.evaluate(x[:0], True).values.shape == (0,)


@pytest.mark.usefixtures("mark")
def test_rows_run_side_by_side_in_processes_that_are_kept() -> None:
    oracle = CallableOracle(slow.process_number_of_two, DOMAIN, workers=2, timeout=60.0)
    first = set(oracle.values(torch.zeros(12, 2)).tolist())
    assert len(first) == 2
    assert set(oracle.values(torch.zeros(12, 2)).tolist()) == first
    assert os.getpid() not in first
    oracle.close()
    assert gone([int(number) for number in first])
    assert not set(oracle.values(torch.zeros(12, 2)).tolist()) & first
    numbers = [int(number) for number in oracle.values(torch.zeros(12, 2)).tolist()]
    del oracle
    assert gone(numbers)


def test_another_attempt_may_succeed_and_is_not_charged(start: str, mark: Path) -> None:
    x = [[0.0, 3.0]]
    once = CallableOracle(slow.at_the_second_attempt, DOMAIN, workers=1, start_method=start)  # type: ignore[arg-type]
    assert once.evaluate(x).status.tolist() == [Status.CRASHED]
    mark.unlink()
    twice = CallableOracle(slow.at_the_second_attempt, DOMAIN, workers=1, retries=1, start_method=start)  # type: ignore[arg-type]
    answer = twice.evaluate(x)
    assert answer.values.tolist() == [3.0]
    assert answer.value_calls == 1


def test_what_a_hung_function_has_started_ends_with_it(mark: Path) -> None:
    oracle = CallableOracle(slow.with_a_child, DOMAIN, workers=1, timeout=3.0)
    assert oracle.evaluate([[0.0, 1.0]]).status.tolist() == [Status.TIMED_OUT]
    assert gone([int(number) for number in mark.read_text().split()])


SCRIPT = """
import sys, time
import slow_functions as slow
from pybackdoor.domain import Domain
from pybackdoor.oracles import CallableOracle
oracle = CallableOracle(slow.{function}, Domain(("mood", "a"), (0.0, 0.0), (8.0, 20.0)), workers=2, start_method={start!r})
print("begun", flush=True)
oracle.values([[0.0, 1.0]] * 2)
"""


@pytest.mark.parametrize(("how", "within"), [(signal.SIGINT, 1.0), (signal.SIGKILL, 2.0)], ids=["Ctrl-C", "killed"])
def test_an_end_of_the_parent_leaves_no_process(start: str, mark: Path, how: signal.Signals, within: float) -> None:
    """The script is not guarded by __name__, as it needs not be; its process group gets the signal, as from a terminal."""
    script = mark.with_name("script.py")
    script.write_text(SCRIPT.format(function="with_a_child", start=start))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    process = subprocess.Popen([sys.executable, str(script)], env=environment, stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 60
    while not mark.exists() or len(mark.read_text().split()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    numbers = [int(number) for number in mark.read_text().split()]
    begun = time.monotonic()
    os.killpg(process.pid, how)
    process.wait(30)
    took = time.monotonic() - begun
    assert gone(numbers, within)
    assert took < 5  # a second on a machine that is not crowded; python's own end is a part of it
    assert process.stderr is not None
    text = process.stderr.read().decode()
    assert ("KeyboardInterrupt" in text) == (how == signal.SIGINT)


def test_an_interrupt_here_ends_the_processes(mark: Path) -> None:
    oracle = CallableOracle(slow.with_a_child, DOMAIN, workers=1)

    def interrupt(number: int, frame: object) -> None:
        if mark.exists() and len(mark.read_text().split()) == 2:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            oracle.values([[0.0, 1.0]])
        stopped = time.monotonic()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert gone([int(number) for number in mark.read_text().split()], 1.0)
    assert time.monotonic() - stopped < 1.5


def test_a_function_that_cannot_be_sent_is_refused_with_advice() -> None:
    captured = 2.0
    for function in (lambda x: x[:, 0], lambda x: captured * x[:, 0]):
        with pytest.raises(InputError, match=r"cannot be sent to one .*top level of a module.*start_method='fork'"):
            CallableOracle(function, DOMAIN, workers=1)
    if "fork" in START:
        assert CallableOracle(lambda x: captured * x[:, 1], DOMAIN, workers=1, start_method="fork").values([[0.0, 3.0]]).tolist() == [6.0]


def test_a_module_that_workers_cannot_import_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "only_here.py"
    path.write_text("def f(x):\n    return x[:, 1]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import only_here  # type: ignore[import-not-found]

    oracle = CallableOracle(only_here.f, DOMAIN, workers=1)
    path.unlink()
    with pytest.raises(InputError, match=r"could not be brought into one \(ModuleNotFoundError.*top level of a module"):
        oracle.values([[0.0, 1.0]])
    path.write_text("import os\nos._exit(4)\n")
    with pytest.raises(InputError, match=r"one ended \(exit status 4\) before it could begin"):
        oracle.values([[0.0, 1.0]])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"workers": -1}, InputError, "workers is -1"),
        ({"workers": 1.5}, InputTypeError, "workers is 1.5"),
        ({"workers": 1, "timeout": 0}, InputError, "timeout is 0"),
        ({"workers": 1, "retries": -1}, InputError, "retries is -1"),
        ({"workers": 1, "start_method": "forkserver"}, InputError, "start_method is 'forkserver'"),
        ({"timeout": 3.0}, InputError, "timeout without workers"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        CallableOracle(slow.slow, DOMAIN, **options)  # type: ignore[arg-type]


def test_a_step_of_its_own_for_a_feature() -> None:
    asked: list[np.ndarray] = []

    def watched(x: np.ndarray) -> np.ndarray:
        asked.append(x.copy())
        return x[:, 1] ** 2

    CallableOracle(watched, DOMAIN, difference_step={"a": 0.1}).evaluate([[4.0, 5.0]], True)
    moves = np.abs(asked[0][1:] - asked[0][0]).max(axis=0)
    assert moves == pytest.approx([8 * 6e-6, 2.0])
    with pytest.raises(InputError, match="difference_step for b; the features are mood, a"):
        CallableOracle(watched, DOMAIN, difference_step={"b": 0.1})


@pytest.mark.skipif("fork" not in START, reason="no fork here")
def test_a_fork_of_this_process_makes_workers_of_its_own() -> None:
    oracle = CallableOracle(slow.process_number, DOMAIN, workers=1)
    ours = oracle.values([[0.0, 0.0]]).tolist()
    number = os.fork()
    if number == 0:
        try:
            other = oracle.values([[0.0, 0.0]]).tolist()
            oracle.close()
            os._exit(0 if other != ours else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == 0
    assert oracle.values([[0.0, 0.0]]).tolist() == ours
