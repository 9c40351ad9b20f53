"""Oracles on a GPU in float64: ours beside the CPU's, torch, eager and compiled, and CuPy. Run by `python -m benchmarks.device`.

A run prices N points of the oracle's domain, with all derivatives where the group says so: on the device, on the CPU's cores (as many threads as the
package uses), and, where the formula is short, in torch, with derivatives by autograd, and in CuPy, values alone. Operations are counted roughly by
the formulas (an exponential as 20); they put a rate beside the device's float64 one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.gpu_groups import Group, MissingPeerError, Subject
from pybackdoor.ops.philox import uniforms
from pybackdoor.oracles import Oracle, oracle
from pybackdoor.oracles.american import AmericanPut
from pybackdoor.oracles.down_and_out_put import SPOT
from pybackdoor.oracles.heston import HestonPut
from pybackdoor.oracles.heston_adi import HestonADIPut


@dataclass(frozen=True)
class Case:
    """An oracle, the points it prices, whether with derivatives; operations a point, and how far peers may be off."""

    name: str
    oracle: Oracle
    count: int
    gradient: bool
    flops: float
    device: torch.device
    tolerance: float = 1e-9
    bar: float | None = None  # points a second

    @property
    def points(self) -> torch.Tensor:
        """[N, d] of the domain, on the device."""
        domain = self.oracle.domain
        unit = uniforms(self.count * domain.dimension, seed=11, purpose="points").reshape(self.count, domain.dimension)
        return domain.to_natural(unit).to(self.device)


def groups(device: torch.device, dry: bool) -> Iterator[Group]:
    """Closed forms at 1e7 points, the slower ones and American options at 262,144, Heston on a grid at 4,096; a hundred puts in a dry run."""
    if dry:
        for name, gradient in (("european_put", True), ("down_and_out_put", False)):
            yield group(Case(name, oracle(name), 100, gradient, 250, device))
        return
    many, some = 10**7, 1 << 18
    for name, flops in (("european_put", 250), ("down_and_out_put", 900), ("barrier_up_out_call", 900), ("max_call_two", 6000), ("cev_put", 20_000)):
        for gradient in (False, True):
            yield group(Case(name, oracle(name), many if flops < 5000 else some, gradient, flops, device))
    for gradient in (False, True):
        yield group(Case("heston_put", HestonPut("fast"), some, gradient, 32 * (900 if gradient else 350), device))
    for gradient in (False, True):  # 40 operations a node and step, 130 with the adjoint
        yield group(Case("heston_put_adi", HestonADIPut(), 1 << 12, gradient, 5.7e5 * (130 if gradient else 40), device))
    for name in ("cev_put_pde", "advection_diffusion_reaction"):  # 128 x 32 and 64 x 16 nodes and steps; 9 operations each, 27 with the adjoint
        for gradient in (False, True):
            yield group(Case(name, oracle(name), some, gradient, 5120 * (27 if gradient else 9), device))
    for level, bar in (("fast", 1e7), ("standard", None)):
        for gradient in (False, True):
            yield group(Case(f"american_put {level}", AmericanPut(level), some, gradient, 8e4, device, bar=None if gradient else bar))


def group(case: Case) -> Group:
    """Ours and its peers on one case."""
    subjects = [Subject("ours on the device", lambda: ours(case)), Subject("cpu", lambda: ours(case, torch.device("cpu")), own_stream=True)]
    if case.name in FORMULAS:
        subjects += [
            Subject("torch eager", lambda: in_torch(case, compiled=False)),
            Subject("torch compiled", lambda: in_torch(case, compiled=True)),
            Subject("cupy", lambda: in_cupy(case), own_stream=True),
        ]
    about = {"op": "oracle", "oracle": case.name, "points": case.count, "gradient": case.gradient, "points_per_second_bar": case.bar}
    moved = 8.0 * case.count * (case.oracle.domain.dimension * (2 if case.gradient else 1) + 3)
    flops = case.flops * case.count
    title = f"oracle {case.name}{', gradient' if case.gradient else ''} N={case.count}"
    return Group(title, tuple(subjects), checker(case), flops, bytes=moved, ceiling="fp64", about=about)


def checker(case: Case) -> Callable[[Any], str | None]:
    """Values (and derivatives, where a subject gives them) against the CPU's at the first points."""
    few = case.points[: min(case.count, 64)].cpu()
    expected = case.oracle.evaluate(few, gradient=True)
    assert expected.gradients is not None
    wanted = torch.cat([expected.values[:, None], expected.gradients], dim=1)

    def check(result: Any) -> str | None:
        found = torch.cat([part if part.ndim == 2 else part[:, None] for part in result], dim=1)[: len(few)].cpu()
        apart = ((found - wanted[:, : found.shape[1]]).abs() / wanted[:, : found.shape[1]].abs().clamp(min=1.0))[expected.ok].max()
        return None if float(apart) <= case.tolerance else f"differs from the CPU's by {float(apart):.1e}"

    return check


def ours(case: Case, device: torch.device | None = None) -> Callable[[], tuple[torch.Tensor, ...]]:
    """The oracle, asked as a search asks it."""
    points = case.points.to(device or case.device)

    def run() -> tuple[torch.Tensor, ...]:
        answer = case.oracle.evaluate_inside(points, gradient=case.gradient)
        return (answer.values,) if answer.gradients is None else (answer.values, answer.gradients)

    return run


def _european(x: list[Any], erfc: Callable[[Any], Any], lib: Any) -> Any:
    spot, strike, volatility, maturity, rate, dividend = x
    deviation = volatility * lib.sqrt(maturity)
    d2 = (lib.log(spot / strike) + (rate - dividend) * maturity) / deviation - 0.5 * deviation
    cash, asset = strike * lib.exp(-rate * maturity), spot * lib.exp(-dividend * maturity)
    return 0.5 * (cash * erfc(d2 / math.sqrt(2.0)) - asset * erfc((d2 + deviation) / math.sqrt(2.0)))


def _down_and_out(x: list[Any], erfc: Callable[[Any], Any], lib: Any) -> Any:
    """E. Reiner, M. Rubinstein, Risk 4 (1991), 28-35: A - B + C - D, as written; what cancels in it is not taken care of."""
    strike, barrier, volatility, maturity, rate = x
    deviation, paid = volatility * lib.sqrt(maturity), strike * lib.exp(-rate * maturity)
    power = rate / (volatility * volatility) - 0.5
    mirrored = lib.exp(2.0 * power * lib.log(barrier / SPOT))

    def part(distance: Any, asset: Any, cash: Any, side: float) -> Any:
        d1 = distance / deviation + (1.0 + power) * deviation
        return 0.5 * (cash * erfc(-side * (d1 - deviation) / math.sqrt(2.0)) - asset * erfc(-side * d1 / math.sqrt(2.0)))

    over = mirrored * (barrier / SPOT) ** 2
    a, b = part(lib.log(SPOT / strike), SPOT, paid, -1.0), part(lib.log(SPOT / barrier), SPOT, paid, -1.0)
    c = part(lib.log(barrier * barrier / (SPOT * strike)), SPOT * over, paid * mirrored, 1.0)
    d = part(lib.log(barrier / SPOT), SPOT * over, paid * mirrored, 1.0)
    return lib.where(strike > barrier, a - b + c - d, 0.0 * a)


FORMULAS: dict[str, Callable[[list[Any], Callable[[Any], Any], Any], Any]] = {"european_put": _european, "down_and_out_put": _down_and_out}


def in_torch(case: Case, *, compiled: bool) -> Callable[[], tuple[torch.Tensor, ...]]:
    """The formula in torch operations; with derivatives by autograd."""
    formula, columns = FORMULAS[case.name], case.points.T.contiguous()
    if compiled and case.device.type != "cuda":
        raise MissingPeerError("compiled for a GPU alone")

    def value(given: torch.Tensor) -> torch.Tensor:
        return formula(list(given.unbind(0)), torch.special.erfc, torch)

    price: Callable[[torch.Tensor], torch.Tensor] = torch.compile(value) if compiled else value

    def run() -> tuple[torch.Tensor, ...]:
        if not case.gradient:
            with torch.no_grad():
                return (price(columns),)
        given = columns.detach().requires_grad_()
        values = price(given)
        (slopes,) = torch.autograd.grad(values.sum(), given)
        return values.detach(), slopes.T

    return run


def in_cupy(case: Case) -> Callable[[], tuple[torch.Tensor, ...]]:
    """The formula in CuPy, fused into one kernel; values alone."""
    if case.gradient:
        raise MissingPeerError("CuPy differentiates nothing")
    try:
        import cupy
        from cupyx.scipy.special import erfc
    except ImportError as reason:
        raise MissingPeerError(f"cupy cannot be imported ({reason})") from reason
    if case.device.type != "cuda":
        raise MissingPeerError("CuPy needs a GPU")
    columns = cupy.from_dlpack(case.points.T.contiguous())
    fused = cupy.fuse()(lambda *x: FORMULAS[case.name](list(x), erfc, cupy))

    def run() -> tuple[torch.Tensor, ...]:
        values = fused(*columns)
        cupy.cuda.get_current_stream().synchronize()
        return (torch.from_dlpack(values),)

    return run
