"""The kernels' disk cache, the thread driver, and what importing costs; in processes and folders of their own."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock, Timeout

import pybackdoor
from pybackdoor import settings
from pybackdoor.oracles import dispatchers
from pybackdoor.oracles.chunks import in_chunks
from pybackdoor.oracles.compiled import kernel, scalar

ROOT = Path(pybackdoor.__file__).parent
PRICE = "from pybackdoor.oracles import oracle; print(repr(oracle('down_and_out_put').values([[100.0, 50.0, 0.2, 1.0, 0.05]]).item()))"


def run(program: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(folder), **environment},
    )


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the Python sources that the put needs; returns the folder above it."""
    target = tmp_path / "site" / "pybackdoor"
    ignore = shutil.ignore_patterns("__pycache__", "*.so")
    for name in ("oracles", "records", "workers", "ops/philox"):
        shutil.copytree(ROOT / name, target / name, ignore=ignore)
    for path in (*ROOT.glob("*.py"), ROOT / "ops" / "__init__.py"):
        shutil.copy(path, target / path.relative_to(ROOT))
    return target.parent


def test_a_changed_callee_never_serves_an_old_price(package: Path, tmp_path: Path) -> None:
    """The kernel's own file stays as it is; what it calls, two files away, changes its constants. Of two processes at once one compiles it."""
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: run(PRICE, package, **cache, NUMBA_DEBUG_CACHE="1"), range(2)))
    before = both[0]
    assert before.returncode == 0, before.stderr
    assert sum(one.stdout.count("data saved to") for one in both) == len(list((tmp_path / "cache").rglob("*.nbc")))
    before.stdout = before.stdout.splitlines()[-1]
    assert float(before.stdout) == pytest.approx(5.55880974, abs=1e-7)
    assert list((tmp_path / "cache").rglob("*.nbc"))
    again = run(PRICE, package, **cache, NUMBA_DEBUG_CACHE="1")
    assert "data loaded from" in again.stdout  # the cache is used at all
    assert "data saved to" not in again.stdout

    callee = package / "pybackdoor" / "oracles" / "scalar" / "normal.py"
    text = callee.read_text()
    assert text.count("return total / (x + 2.0)") == 1
    callee.write_text(text.replace("return total / (x + 2.0)", "return total / (x + 2.5)"))
    os.utime(callee, (0, 0))  # nor does the age of the file matter
    after = run(PRICE, package, **cache)
    assert after.returncode == 0, after.stderr
    assert abs(float(after.stdout) - float(before.stdout)) > 1e-3


def test_who_holds_a_kernel_for_too_long_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(dispatchers, "WAIT", 0.05)
    path = tmp_path / "kernel.lock"
    with caplog.at_level(logging.INFO), FileLock(path), dispatchers._alone(path):
        pass
    assert caplog.text.count("compiling without waiting for other processes") == 1
    with dispatchers._alone(path), pytest.raises(Timeout):
        FileLock(path, timeout=0.0).acquire()
    FileLock(path, timeout=0.0).acquire().lock.release()
    with caplog.at_level(logging.INFO), dispatchers._alone(tmp_path / "kernel.lock" / "no folder"):
        pass
    assert caplog.text.count("compiling without waiting for other processes") == 2


def test_a_formula_is_what_python_calls_as_well() -> None:
    @scalar
    def twice(x):  # type: ignore[no-untyped-def]
        return 2 * x

    @kernel
    def fill(values):  # type: ignore[no-untyped-def]
        values[0] = twice(values[0])

    values = np.array([1.5])
    fill(values)
    assert values[0] == twice(1.5) == 3.0  # compiled into the kernel, and then for Python
    assert (twice(2), twice(1 + 1j)) == (4, 2 + 2j)


def test_without_a_folder_to_write_kernels_are_compiled_and_it_is_said(package: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    program = "import logging; logging.basicConfig(); " + PRICE
    answer = run(program, package, NUMBA_CACHE_DIR=str(blocked / "below"))
    assert float(answer.stdout) == pytest.approx(5.55880974, abs=1e-7)
    assert "no cache folder can be written" in answer.stderr
    assert not list(package.rglob("*.nbi"))  # no index beside the sources, where an old one would be found again


def test_the_cache_is_the_users_own_by_default(package: Path, tmp_path: Path) -> None:
    environment = {"XDG_CACHE_HOME": str(tmp_path / "home"), "NUMBA_CACHE_DIR": ""}
    assert run(PRICE, package, **environment).returncode == 0
    folders = list((tmp_path / "home" / "pybackdoor").iterdir())
    assert len(folders) == 1
    assert folders[0].name.startswith("kernels-")
    assert folders[0].stat().st_mode & 0o077 == 0  # compiled code is trusted when loaded: no one else may write it


GRADIENT = """
import torch
from pybackdoor.oracles.gridded import Posed, carried
print(carried(torch.ones(2, 1), True, lambda columns: Posed(columns[0] * 2, columns), lambda frames: (frames[0], frames))[1].tolist())
print("sympy" in sys.modules)
"""


def test_importing_the_catalogue_compiles_and_imports_no_kernel_and_no_gradient_imports_sympy(package: Path) -> None:
    program = "import sys; import pybackdoor.oracles; print([name for name in ('numba', 'scipy', 'mpmath') if name in sys.modules])"
    assert run(program + GRADIENT, package).stdout.split("\n") == ["[]", "[[4.0], [4.0]]", "False", ""]


@pytest.mark.parametrize("threads", [1, 3])
def test_chunks_cover_everything_once(threads: int) -> None:
    seen: list[tuple[int, int]] = []
    with settings.use_threads(threads):
        in_chunks(lambda start, stop: seen.append((start, stop)), 10, 4)
        in_chunks(lambda start, stop: seen.append((-1, -1)), 0, 4)
    assert sorted(seen) == [(0, 4), (4, 8), (8, 10)]


def test_chunks_raise_what_the_work_raises_and_leave_no_thread() -> None:
    def work(start: int, stop: int) -> None:
        if start == 4:
            raise ArithmeticError("chunk 1")

    before = threading.active_count()
    with settings.use_threads(2), pytest.raises(ArithmeticError, match="chunk 1"):
        in_chunks(work, 100, 4)
    assert threading.active_count() == before
