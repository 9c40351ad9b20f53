from pathlib import Path

import numpy as np
import pytest

from pybackdoor.domain import Domain
from pybackdoor.errors import InputError, UnknownNameError
from pybackdoor.oracles import oracle

SQUARE = Domain(("a", "b"), (0.0, 0.0), (1.0, 1.0))
SOURCE = """
from pybackdoor.oracles import oracle as _find
from pybackdoor.oracles.branin import Branin
def total(x):
    return x.sum(axis=1)
made = _find("branin")
number = 3
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


def test_a_near_name_is_offered() -> None:
    with pytest.raises(UnknownNameError, match="unknown oracle 'down_and_out_putt'; did you mean down_and_out_put"):
        oracle("down_and_out_putt")


def test_a_callable_of_a_file(source: Path) -> None:
    found = oracle(f"{source}:total", domain=SQUARE)
    assert found.values([[0.25, 0.5]]).tolist() == [0.75]
    assert found.domain == SQUARE


def test_a_callable_of_a_module() -> None:
    assert oracle("numpy.linalg:det", domain=SQUARE).name == "numpy.linalg:det"


def test_an_oracle_or_a_class_of_them_in_a_file(source: Path) -> None:
    assert oracle(f"{source}:made").values([[np.pi, 2.275]]).item() == pytest.approx(0.397887, abs=1e-6)
    assert oracle(f"{source}:Branin").name == "branin"


def test_an_oracle_with_a_domain_refuses_another(source: Path) -> None:
    assert oracle("branin", domain=oracle("branin").domain).name == "branin"
    with pytest.raises(InputError, match="domain of its own"):
        oracle("branin", domain=SQUARE)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [("total", "no domain was given"), ("missing", "has no 'missing'; it defines Branin, total"), ("number", "is a int; a callable")],
)
def test_what_cannot_serve_is_refused_in_one_line(source: Path, attribute: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        oracle(f"{source}:{attribute}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.py:f", r"the file nowhere\.py does not exist"),
        ("no_such_package.module:f", "ModuleNotFoundError"),
        (":f", "is needed"),
        ("os:", "is needed"),
    ],
)
def test_what_does_not_exist_is_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        oracle(name, domain=SQUARE)


@pytest.mark.parametrize("text", ["raise RuntimeError('first line\\nsecond line')", "def f(x:\n  pass", "import no_such_package"])
def test_a_file_that_raises_on_import_is_reported_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(InputError, match=r"importing .*broken\.py raised") as caught:
        oracle(f"{path}:f", domain=SQUARE)
    assert "\n" not in str(caught.value)
