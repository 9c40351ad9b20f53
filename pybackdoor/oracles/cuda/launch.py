"""Kernels by numba.cuda: compiled at their first launch, kept on disk, launched on the tensors' device and torch's stream, without copy or wait.

Arguments are torch tensors and numbers. A tensor is passed by its address (the CUDA array interface), so nothing is copied, and nothing but torch
allocates memory. Within numba's simulator (NUMBA_ENABLE_CUDASIM=1 before numba is imported) kernels run as Python on tensors of the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numba
import torch
from numba import cuda

from pybackdoor.errors import UnsupportedError
from pybackdoor.oracles.cuda.availability import unavailable
from pybackdoor.oracles.cuda.kernel_files import keep

SIMULATED: bool = getattr(numba.config, "ENABLE_CUDASIM", False)
_OPTIONS: dict[str, Any] = {} if SIMULATED else {"fastmath": {"contract"}}  # the error model is NumPy's, as on the CPU


def device(function: Callable[..., Any]) -> Any:
    """A function that kernels call and that takes arrays; formulas on numbers are `compiled.scalar`, for the CPU as well."""
    return cuda.jit(device=True, **_OPTIONS)(function)


class Kernel:
    """A function of tensors and numbers, run by a grid of threads; see `kernel`."""

    def __init__(self, function: Callable[..., Any], block: int, lanes: int) -> None:
        self.function, self.block, self.lanes = function, block, lanes
        self.name = f"{function.__module__.rsplit('.', 1)[-1]}.{function.__name__}"

    @cached_property
    def compiled(self) -> Any:
        """Numba's dispatcher, which compiles for the arguments' types. It is told no bounds: told the block, the assembler spills for occupancy."""
        made = cuda.jit(**_OPTIONS)(self.function)
        return made if SIMULATED else keep(made)

    def __call__(self, count: int, *arguments: Any, lanes: int | None = None, shared: int = 0) -> None:
        """Launches it for `count` problems (none: does nothing); the tensors lie on one CUDA device. Raises UnsupportedError where it cannot run.

        lanes: threads a problem, where the kernel's own number will not do; shared: bytes of dynamic shared memory a problem.
        """
        if count == 0:
            return
        problems = self.block // (lanes or self.lanes)  # of a block
        blocks, memory = -(-count // problems), problems * shared
        if SIMULATED:
            self.compiled[blocks, self.block, 0, memory](*(given.numpy() if isinstance(given, torch.Tensor) else given for given in arguments))
            return
        reason = unavailable()
        if reason is not None:
            raise UnsupportedError(f"kernel {self.name} cannot run: {reason}")
        place = next(given.device for given in arguments if isinstance(given, torch.Tensor))
        if place.type != "cuda":
            raise UnsupportedError(f"kernel {self.name} runs on a CUDA device; its tensors lie on {place}: move them there")
        with torch.cuda.device(place), cuda.gpus[torch.cuda.current_device()]:
            stream = cuda.external_stream(torch.cuda.current_stream().cuda_stream)
            self.compiled[blocks, self.block, stream, memory](*(_seen(given) for given in arguments))


def _seen(given: Any) -> Any:
    """A tensor as numba.cuda sees it, in the same memory; torch states no stream, so nothing is waited for."""
    return cuda.as_cuda_array(given.detach(), sync=False) if isinstance(given, torch.Tensor) else given


def kernel(*, block: int = 128, lanes: int = 1) -> Callable[[Callable[..., Any]], Kernel]:
    """A kernel in blocks of `block` threads, `lanes` of them a problem; as many problems a block as there is room for, threads left over none.

    The function gets `Kernel.__call__`'s arguments after the count and is compiled for their types. It says itself which threads have nothing to do:

        @kernel()
        def double(values):
            row = cuda.grid(1)
            if row < values.shape[0]:
                values[row] *= 2.0

        double(len(values), values)
    """

    def decorate(function: Callable[..., Any]) -> Kernel:
        return Kernel(function, block, lanes)

    return decorate
