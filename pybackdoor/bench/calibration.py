"""What this machine reaches on a plain copy and on plain matrix products: the ceilings that a roofline is drawn against."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from pybackdoor.settings import instruction_set


@dataclass(frozen=True)
class Ceilings:
    """bytes_per_second: read and written, of a copy larger than every cache; flops: operations a second by precision ("fp32", "tf32" ...)."""

    device: str
    bytes_per_second: float
    flops: dict[str, float]

    def better(self, other: Ceilings) -> Ceilings:
        """The higher of each: a machine is calibrated before and after what it is compared with."""
        flops = {name: max(rate, other.flops.get(name, 0.0)) for name, rate in self.flops.items()}
        return Ceilings(self.device, max(self.bytes_per_second, other.bytes_per_second), flops)


def ceilings(device: torch.device | str = "cpu", *, seconds: float = 2.0, small: bool = False) -> Ceilings:
    """Calibrates `device` within about `seconds`. small: sizes for a test of this function, whose rates mean nothing.

    Matrix products of random numbers on a GPU (8192, and 4096 in float64); on the CPU fused multiply-adds held in registers, one core. Every figure
    is the best of many short runs.
    """
    place = torch.device(device)
    share = seconds / 5
    copied = _copy_rate(place, share, 1 << (20 if small else 30 if place.type == "cuda" else 28))
    if place.type != "cuda":
        return Ceilings("cpu", copied, {name: _register_rate(name, share) for name in ("fp32", "fp64")})
    size = 512 if small else 8192
    flops = {
        "fp32": _product_rate(place, torch.float32, size, share),
        "fp64": _product_rate(place, torch.float64, size // 2, share),
        "bf16": _product_rate(place, torch.bfloat16, size, share),
    }
    with _tf32():
        flops["tf32"] = _product_rate(place, torch.float32, size, share)
    return Ceilings(torch.cuda.get_device_name(place), copied, flops)


def best_seconds(run: Callable[[], object], device: torch.device, budget: float, *, least: int = 3) -> float:
    """The shortest of the runs that fit into `budget` seconds, at least `least`, after one to warm up; device events on a GPU."""
    run()
    best, end, done = float("inf"), time.perf_counter() + budget, 0
    while done < least or time.perf_counter() < end:
        best = min(best, seconds_of(run, device))
        done += 1
    return best


def seconds_of(run: Callable[[], object], device: torch.device) -> float:
    """One run: between two events of the current stream on a GPU, by the clock elsewhere."""
    if device.type != "cuda":
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    first.record()
    run()
    last.record()
    last.synchronize()
    return first.elapsed_time(last) / 1e3


def _copy_rate(device: torch.device, budget: float, size: int) -> float:
    source = torch.ones(size // 4, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    return 2 * size / best_seconds(lambda: target.copy_(source), device, budget)


def _product_rate(device: torch.device, dtype: torch.dtype, size: int, budget: float) -> float:
    left, right = (torch.randn(size, size, device=device, dtype=torch.float32).to(dtype) for _ in range(2))
    out = torch.empty_like(left)
    return 2 * size**3 / best_seconds(lambda: torch.mm(left, right, out=out), device, budget)


def _register_rate(precision: str, budget: float) -> float:
    from pybackdoor import _native

    name, rounds, best, end = instruction_set() or "", 20_000, 0.0, time.perf_counter() + budget
    while time.perf_counter() < end:
        begin = time.perf_counter()
        operations = _native.peak_operations(rounds, precision == "fp32", name)
        best = max(best, operations / (time.perf_counter() - begin))
    return best


@contextmanager
def _tf32() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
