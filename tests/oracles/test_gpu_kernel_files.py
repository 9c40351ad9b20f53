"""Compiled GPU kernels kept on disk: a second process finds them, and only what has the same name and the same sources."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from device_parity import needs_numba_cuda

ROOT = Path(__file__).resolve().parents[2]
pytestmark = needs_numba_cuda

# a dispatcher without a device: it is told an architecture, and what it has compiled is not loaded
COMPILE = """
import importlib
from types import SimpleNamespace
from numba import float64
from pybackdoor.oracles.cuda.path_sums import average
dispatcher = importlib.import_module("numba.cuda.dispatcher")
one = SimpleNamespace(compute_capability=(9, 0))
dispatcher.get_current_device = lambda: one
importlib.import_module("numba.cuda.cudadrv.devices").get_context = lambda *_: SimpleNamespace(device=one)
dispatcher._Kernel.bind = lambda self: None
kernel = average.compiled.compile((float64[:, :, ::1], float64[:, ::1], float64[::1]))
print(sum(average.compiled.stats.cache_hits.values()), hash(kernel._codelibrary.get_asm_str(cc=(9, 0, "a"))))
"""


def run(program: str, cache: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(cache), "NUMBA_ENABLE_CUDASIM": "0", "PYTHONHASHSEED": "0"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_second_process_finds_what_the_first_compiled(tmp_path: Path) -> None:
    first = run(COMPILE, tmp_path)
    (kept,) = tmp_path.rglob("*.kernel")
    assert kept.parent.name.startswith("kernels-")  # the folder of this state of the sources, which test_compiled.py changes
    assert kept.stat().st_size > 1000
    second = run(COMPILE, tmp_path)
    assert (first[0], second[0]) == ("0", "1")
    assert first[1] == second[1]


def test_a_damaged_file_is_compiled_anew_and_it_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from pybackdoor.oracles.cuda.kernel_files import KernelFiles

    target = SimpleNamespace(refresh=lambda: None, codegen=lambda: SimpleNamespace(magic_tuple=lambda: ((13, 0), (9, 0))))
    files = KernelFiles(("kernel",), tmp_path)
    assert files.load_overload("(float64)", target) is None
    assert caplog.records == []
    kernel = SimpleNamespace(codegen=target.codegen(), _reduce_states=lambda: {"no kernel": 1})
    files.save_overload("(float64)", kernel)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:10])
    assert files.load_overload("(float64)", target) is None
    assert [record.message.split("(")[0] for record in caplog.records] == [f"kernel file {kept} cannot be read "]
    assert files.load_overload("(float32)", target) is None  # another name: not even looked at
    assert len(caplog.records) == 1
    files.folder = tmp_path / "nowhere"
    files.save_overload("(float64)", kernel)
    assert "cannot be written" in caplog.records[-1].message


def test_a_kernel_is_known_by_all_that_it_is_made_of() -> None:
    from pybackdoor.oracles.cuda import barrier, cev_pde, pulse, several_assets, single_barriers_mc, steady
    from pybackdoor.oracles.cuda.kernel_files import identity_of
    from pybackdoor.oracles.cuda.path_sums import kernels

    made = [barrier.solver(nodes, moving, gradient) for nodes in (37, 38) for moving in (False, True) for gradient in (False, True)]
    made += [steady.solver(formulas, nodes, True) for formulas in (cev_pde.FORMULAS, pulse.FORMULAS) for nodes in (37, 38)]
    problems = [single_barriers_mc._PROBLEM, *(several_assets._problem(payoff, d) for payoff in ("basket_call", "max_call") for d in (2, 3))]
    made += [kernel for problem in problems for kernel in kernels(problem)]
    identities = [identity_of(kernel.function) for kernel in made]
    assert None not in identities
    assert len(set(identities)) == len(made) - 2 * 2  # a payoff's first and last step are shared by basket and largest of as many assets


def test_what_the_sources_do_not_tell_is_not_kept() -> None:
    from pybackdoor.oracles.cuda.kernel_files import identity_of

    def kernel(x: float) -> float:
        return x

    kernel.__module__ = "pybackdoor.oracles.cuda.one"
    assert identity_of(kernel) == ("pybackdoor.oracles.cuda.one", kernel.__qualname__)
    kernel.__module__ = "somewhere.else"
    assert identity_of(kernel) is None
    table = [1.0, 2.0]

    def other(x: int) -> float:
        return table[x]

    other.__module__ = "pybackdoor.oracles.cuda.one"
    assert identity_of(other) is None
