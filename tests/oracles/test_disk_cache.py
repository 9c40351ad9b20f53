"""Answers kept in a file: the same bits, for the right oracle only, between processes, and no file is believed that is not ours."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import slow_functions
import torch

from pybackdoor.data import design
from pybackdoor.domain import Domain
from pybackdoor.errors import FileRefusedError, InputError
from pybackdoor.oracles import BudgetedOracle, CallableOracle, CountedOracle, DiskCachedOracle, Oracle, oracle
from pybackdoor.oracles.american import AmericanPut
from pybackdoor.oracles.american_pde import AmericanPutPDE
from pybackdoor.oracles.answer_file import AnswerFile
from pybackdoor.oracles.down_and_out_put_mc import DownAndOutPutMonteCarlo
from pybackdoor.oracles.heston import HestonPut
from pybackdoor.oracles.identity import identity

DOMAIN = Domain(("mood", "a"), (0.0, 0.0), (8.0, 20.0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.db"


def test_a_hit_costs_nothing_and_is_the_same_to_the_last_bit(path: Path) -> None:
    x = design(HestonPut().domain, 20, seed=1)
    truth = HestonPut().evaluate(x, True)
    first = DiskCachedOracle(HestonPut(), path)
    assert first.evaluate(x[:12]).value_calls == 12
    assert first.evaluate(x, True).value_calls == truth.value_calls  # gradients were not known
    again = DiskCachedOracle(HestonPut(), path)  # another run
    for gradient in (True, False):
        answer = again.evaluate(x.flip(0), gradient)
        assert answer.value_calls == 0
        assert torch.equal(answer.values, truth.values.flip(0))
        assert torch.equal(answer.standard_errors, truth.standard_errors)
        if gradient:
            assert answer.gradients is not None
            assert truth.gradients is not None
            assert torch.equal(answer.gradients, truth.gradients.flip(0))
    assert (again.hits, again.value_calls) == (40, 0)
    assert again.evaluate(x[:0], True).values.shape == (0,)
    assert not [name for name in os.listdir(path.parent) if name != path.name]


def test_standard_errors_are_kept_and_failures_are_not(path: Path) -> None:
    sampled = DownAndOutPutMonteCarlo(paths=64)
    x = design(sampled.domain, 9, seed=1)
    DiskCachedOracle(sampled, path).evaluate(x)
    answer = DiskCachedOracle(sampled, path).evaluate(x)
    assert torch.equal(answer.standard_errors, sampled.evaluate(x).standard_errors)
    assert answer.value_calls == 0
    moody = CallableOracle(slow_functions.moody, DOMAIN)
    rows = [[slow_functions.SQUARES, 2.0], [slow_functions.RAISES, 2.0]]
    assert DiskCachedOracle(moody, path).evaluate(rows).status.tolist() == [0, 2]
    asked = CountedOracle(moody)
    answer = DiskCachedOracle(asked, path).evaluate(rows)
    assert answer.status.tolist() == [0, 2]
    assert asked.value_calls == 1


@pytest.mark.parametrize(
    "other", [HestonPut("high"), oracle("heston_call"), AmericanPut(), DownAndOutPutMonteCarlo(seed=1), DownAndOutPutMonteCarlo(paths=32)]
)
def test_other_oracles_and_other_settings_do_not_share_answers(other: Oracle) -> None:
    for one in (HestonPut(), DownAndOutPutMonteCarlo()):
        assert identity(one) != identity(other)
        assert identity(one) == identity(type(one)()) == identity(CountedOracle(one))


def test_grids_do_not_share_answers() -> None:
    made = [AmericanPutPDE(), AmericanPutPDE("high"), AmericanPutPDE(space=48, time=16), AmericanPutPDE(space=64, time=16)]
    made.append(AmericanPutPDE(space=48, time=16, extrapolate=False))
    assert len({str(identity(one)) for one in made}) == 5
    assert identity(made[1].coarser()) == identity(made[0])  # type: ignore[arg-type]


def test_a_function_is_known_by_its_file_or_by_the_users_word(path: Path, tmp_path: Path) -> None:
    source = tmp_path / "mine.py"
    x = [[1.0, 3.0]]
    for factor, calls in ((2.0, 1), (2.0, 0), (3.0, 1)):
        program = f"""
            from pybackdoor.domain import Domain
            from pybackdoor.oracles import DiskCachedOracle, oracle
            made = oracle({str(source)!r} + ":f", domain=Domain(("mood", "a"), (0.0, 0.0), (8.0, 20.0)))
            answer = DiskCachedOracle(made, {str(path)!r}).evaluate({x})
            print(answer.values.item(), answer.value_calls)
        """
        source.write_text(f"def f(x):\n    return {factor} * x[:, 1]\n")
        done = subprocess.run([sys.executable, "-c", "\n".join(map(str.strip, program.splitlines()))], capture_output=True, text=True, check=True)
        assert [float(word) for word in done.stdout.split()] == [3.0 * factor, calls]
    captured = 2.0
    for function in (lambda x: captured * x[:, 1], np.sum):
        with pytest.raises(InputError, match="give version="):
            DiskCachedOracle(CallableOracle(function, DOMAIN), path)
    versions = [DiskCachedOracle(CallableOracle(lambda x: captured * x[:, 1], DOMAIN), path, version=version) for version in ("1", "1", "2")]
    assert [made.evaluate(x).value_calls for made in versions] == [1, 0, 1]
    with pytest.raises(InputError, match="give version="):  # its steps and its name belong to it, its captured variables to nobody
        identity(CallableOracle(lambda x: captured * x[:, 1], DOMAIN))


def test_a_budget_around_a_cache_pays_for_what_is_new(path: Path) -> None:
    x = design(HestonPut().domain, 8, seed=1)
    DiskCachedOracle(HestonPut(), path).evaluate(x[:6])
    budgeted = BudgetedOracle(DiskCachedOracle(HestonPut(), path), 8)
    budgeted.values(x)
    assert budgeted.value_calls == 2


def test_the_file_is_bounded_and_the_oldest_go_first(path: Path) -> None:
    made = DiskCachedOracle(oracle("branin"), path, limit=10)
    x = design(made.domain, 25, seed=1)
    for row in x:
        made.evaluate(row[None])
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM answers").fetchone() == (10,)
    assert made.evaluate(x[15:]).value_calls == 0
    assert made.evaluate(x[14:15]).value_calls == 1
    assert path.stat().st_size < 40_000
    with pytest.raises(InputError, match="a limit of 0 answers"):
        AnswerFile(path, limit=0)


WRITER = """
import sys
from pybackdoor.data import design
from pybackdoor.oracles import DiskCachedOracle, oracle
made = DiskCachedOracle(oracle("branin"), sys.argv[1])
x = design(made.domain, 400, seed=int(sys.argv[2]))
for start in range(0, 400, 4):
    made.evaluate(x[start : start + 4], True)
print(made.value_calls)
"""


def test_several_processes_write_at_once_and_one_may_be_killed(path: Path) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), seed], **pipes) for seed in ("0", "0", "7")]  # type: ignore[call-overload]
    while not path.exists():
        assert processes[0].poll() is None or processes[0].returncode == 0
    processes[-1].kill()
    for process in processes[:2]:
        out, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors.decode()
        assert float(out) <= 400 * 2  # value with gradient 2, and nothing for what the other has written
    made = DiskCachedOracle(oracle("branin"), path)
    x = design(made.domain, 400, seed=0)
    answer, truth = made.evaluate(x, True), oracle("branin").evaluate(x, True)
    assert answer.value_calls == 0
    assert answer.gradients is not None
    assert truth.gradients is not None
    assert torch.equal(answer.values, truth.values)
    assert torch.equal(answer.gradients, truth.gradients)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    processes[-1].communicate()


def filled(path: Path) -> torch.Tensor:
    x = design(oracle("branin").domain, 3, seed=1)
    DiskCachedOracle(oracle("branin"), path).evaluate(x, True)
    return x


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE answers SET value = value + 1",
        "UPDATE answers SET value = 'text'",
        "UPDATE answers SET error = -1.0",
        "UPDATE answers SET gradient = x'00'",
        "UPDATE answers SET gradient = zeroblob(16)",
        "UPDATE answers SET gradient = NULL",
        "UPDATE answers SET digest = x''",
        "UPDATE answers SET value = 9e999",
        "UPDATE answers SET point = (SELECT point FROM answers AS other WHERE other.id = 4 - answers.id) WHERE id = -1; "
        "UPDATE answers SET value = (SELECT value FROM answers WHERE id = 2), digest = (SELECT digest FROM answers WHERE id = 2) WHERE id = 1",
    ],
)
def test_an_answer_that_was_changed_is_refused(path: Path, change: str) -> None:
    x = filled(path)
    connection = sqlite3.connect(path)
    connection.executescript(change)
    connection.close()
    with pytest.raises(FileRefusedError, match=r"answers\.db: an answer in it is damaged; delete it, or name another file"):
        DiskCachedOracle(oracle("branin"), path).evaluate(x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("CREATE TABLE more (a)", "something else than a table of answers"),
        ("CREATE VIEW more AS SELECT 1", "something else than a table of answers"),
        ("CREATE TRIGGER more AFTER INSERT ON answers BEGIN DELETE FROM answers; END", "something else than a table of answers"),
        ("DROP TABLE answers; CREATE VIEW answers AS SELECT 1 AS value, 0 AS error, NULL AS gradient, NULL AS digest", "something else"),
        ("PRAGMA application_id = 5", "not a cache of oracle answers"),
        ("PRAGMA user_version = 2", "of version 2, this program writes version 1"),
    ],
)
def test_a_file_of_another_form_is_refused(path: Path, change: str, message: str) -> None:
    filled(path)
    connection = sqlite3.connect(path)
    connection.executescript(change)
    connection.close()
    with pytest.raises(FileRefusedError, match=message):
        DiskCachedOracle(oracle("branin"), path)


def test_what_is_no_file_of_ours_is_refused_untouched(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"features,target\n1,2\n")
    with pytest.raises(FileRefusedError, match="not a cache of oracle answers"):
        AnswerFile(path)
    assert path.read_bytes() == b"features,target\n1,2\n"
    with pytest.raises(FileRefusedError, match="not a regular file"):
        AnswerFile(tmp_path)
    with pytest.raises(FileRefusedError, match="folder does not exist"):
        AnswerFile(tmp_path / "no" / "answers.db")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(FileRefusedError, match="not a regular file"):
        AnswerFile(fifo)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (a)")
    before = other.read_bytes()
    with pytest.raises(FileRefusedError, match="not a cache of oracle answers"):
        AnswerFile(other)
    assert other.read_bytes() == before


@pytest.mark.parametrize("keep", [20, 100, 4096, 5000])
def test_a_truncated_file_is_refused(path: Path, keep: int) -> None:
    x = filled(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FileRefusedError, match=r"answers\.db"):
        DiskCachedOracle(oracle("branin"), path).evaluate(x)


@pytest.mark.parametrize("seed", range(20))
def test_damaged_bytes_are_refused_or_do_not_matter(path: Path, seed: int) -> None:
    x = filled(path)
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(0, len(content), 60):
        content[place] = rng.integers(256)
    path.write_bytes(content)
    try:
        answer = DiskCachedOracle(oracle("branin"), path).evaluate(x, True)
    except FileRefusedError:
        return
    assert torch.equal(answer.values, oracle("branin").values(x))


def test_where_nothing_can_be_kept_it_is_said_once_and_answers_go_on(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled(path)
    made = DiskCachedOracle(oracle("branin"), path)
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    made._file.timeout = 0.05
    with caplog.at_level(logging.WARNING):
        for value in (0.25, 0.5):
            assert made.values([[value, value]]).tolist() == oracle("branin").values([[value, value]]).tolist()
    lock.close()
    assert caplog.text.count("answers are not kept (database is locked)") == 1
