"""What the kernels of the GPU oracles take when compiled for a GPU, without one: `python -m benchmarks.kernel_resources` (`--help`).

Every registered oracle that names "cuda" among its devices is asked to launch its kernels, for the value and for value and gradient; instead of being
launched they are compiled for the types of their arguments, and NVIDIA's assembler says what the machine code needs. Needs numba-cuda with the
libraries of CUDA 13.0 (NVVM and NVRTC) and a ptxas: on the PATH, or Triton's.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ARCHITECTURE = (9, 0)
_REGISTERS, _THREADS, _UNIT = 65536, 2048, 8  # of a multiprocessor; registers are given out in units of 8 a thread


@dataclass(frozen=True)
class Resources:
    """Of one compiled kernel: registers a thread, bytes a thread spilled and in local memory, bytes of shared memory a block, threads a block."""

    kernel: str
    registers: int
    spilled: int
    local: int
    shared: int
    block: int

    @property
    def occupancy(self) -> float:
        """The share of a multiprocessor's threads that its registers allow."""
        a_block = -(-self.registers // _UNIT) * _UNIT * self.block
        return min(_REGISTERS // a_block * self.block, _THREADS) / _THREADS


def launches(only: str = "", slopes: tuple[bool, ...] = (False, True), skip: tuple[str, ...] = ()) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """(name, kernel, types of its arguments) of every launch that differs, of all registered oracles with a kernel."""
    from numba import typeof

    from pybackdoor.oracles import ORACLES, oracle
    from pybackdoor.oracles.cuda.launch import Kernel
    from pybackdoor.oracles.on_device import OnDevice

    asked: list[tuple[Any, tuple[Any, ...]]] = []
    launch = Kernel.__call__
    Kernel.__call__ = lambda self, count, *arguments, **_: asked.append((self, tuple(map(_type, arguments))))  # type: ignore[method-assign]
    _type: Callable[[Any], Any] = lambda given: typeof(given.numpy() if hasattr(given, "numpy") else given)  # noqa: E731
    seen = set()
    try:
        for one in (oracle(name) for name in ORACLES):
            for gradient in slopes if isinstance(one, OnDevice) else ():
                asked.clear()
                one._solve_on_device(one.domain.to_natural(_middle(one.domain.dimension)), gradient)
                for kernel, types in asked:
                    if (kernel.name, types) not in seen and only in kernel.name and not any(word in kernel.name for word in skip):
                        seen.add((kernel.name, types))
                        yield f"{kernel.name}, {'with gradient' if gradient else 'value'}", kernel, types
    finally:
        Kernel.__call__ = launch  # type: ignore[method-assign]


def _middle(dimension: int) -> Any:
    import torch

    return torch.full((3, dimension), 0.5, dtype=torch.float64)


def compiled(name: str, kernel: Any, types: tuple[Any, ...]) -> Resources:
    """The kernel for these types, through PTX to machine code."""
    from numba import cuda

    dispatcher: Any = importlib.import_module("numba.cuda.dispatcher")
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=ARCHITECTURE)
    ptx, _ = cuda.compile_ptx(kernel.function, types, cc=ARCHITECTURE, fastmath={"contract"})
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx, encoding="utf-8")
        command = [assembler(), "-v", f"-arch=sm_{ARCHITECTURE[0]}{ARCHITECTURE[1]}", "-o", Path(folder) / "kernel.cubin", source]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    stated = {
        key: int(found.group(1)) if (found := re.search(pattern, said)) else 0
        for key, pattern in {
            "registers": r"Used (\d+) registers",
            "spilled": r"(\d+) bytes spill stores",
            "local": r"(\d+) bytes stack frame",
            "shared": r"(\d+) bytes smem",
        }.items()
    }
    return Resources(name, block=kernel.block, **stated)


def assembler() -> str:
    """A ptxas; raises FileNotFoundError where there is none."""
    found = shutil.which("ptxas")
    if found is None and (triton := importlib.util.find_spec("triton")) is not None and triton.origin is not None:
        found = shutil.which("ptxas", path=str(Path(triton.origin).parent / "backends" / "nvidia" / "bin"))
    if found is None:
        raise FileNotFoundError("no ptxas is on the PATH, and Triton, which brings one, is not installed")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="kernels whose name has WORD")
    parser.add_argument("--skip", default="", help="not kernels whose name has one of WORDS, separated by commas")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--gradients", action="store_true", help="leave out the kernels for values alone, which need less")
    options = parser.parse_args()
    if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0":
        sys.exit("kernel_resources compiles; NUMBA_ENABLE_CUDASIM must not be set")
    if not options.json:
        print("| kernel | registers | spilled, bytes | local memory, bytes | threads that fit |\n| --- | --- | --- | --- | --- |")
    gc.disable()  # a quarter of the time, for next to no garbage
    skip = tuple(filter(None, options.skip.split(",")))
    for launch in launches(options.only, (True,) if options.gradients else (False, True), skip):
        found = compiled(*launch)
        print(
            json.dumps(asdict(found) | {"occupancy": found.occupancy})
            if options.json
            else f"| {found.kernel} | {found.registers} | {found.spilled} | {found.local} | {found.occupancy:.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
