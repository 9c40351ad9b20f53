"""Monte Carlo on a GPU in float64: ours beside the same estimate as torch expressions. Run by `python -m benchmarks.device`.

`path_steps` in the record: paths x steps x points of a run; over the seconds that is the rate. "one point": everything is drawn for one price, an
antithetic pair being two paths; "many points": all share one set of draws. The peers draw their own numbers in each run, as ours does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks.gpu_groups import Group, Subject
from pybackdoor.oracles.asian import AsianPut
from pybackdoor.oracles.basket_call import BasketCall
from pybackdoor.oracles.european_mc import EuropeanPutMonteCarlo
from pybackdoor.oracles.monte_carlo import MonteCarloOracle
from pybackdoor.oracles.single_barriers_mc import SingleBarrierMonteCarlo

STEPS = 20
BAR = 1e11  # path-steps a second, GBM


def groups(device: torch.device, dry: bool) -> Iterator[Group]:
    """Plain paths, bridge-corrected barriers, an average and a basket; in a dry run only those with a peer, tiny."""
    paths = 2048 if dry else 2**22
    vanilla = EuropeanPutMonteCarlo(paths=paths, steps=STEPS, draws="philox")
    row = [[100.0, 100.0, 0.25, 1.0, 0.04, 0.01]]
    yield _group("gbm 20 steps, one point", vanilla, _points(row, device), STEPS, lambda x: torch_vanilla(x, paths), about={"bar": BAR})
    barrier = SingleBarrierMonteCarlo("down_out_put", paths=paths, steps=STEPS, draws="philox")
    row = [[100.0, 100.0, 85.0, 0.0, 0.25, 1.0, 0.04, 0.01]]
    yield _group("barrier 20 steps, one point", barrier, _points(row, device), STEPS, lambda x: torch_barrier(x, paths), about={"bar": BAR})
    if dry:
        return
    for title, made, steps in (
        ("gbm 20 steps, many points", EuropeanPutMonteCarlo(paths=16384, steps=STEPS, draws="philox"), STEPS),
        ("barrier 20 steps, many points", SingleBarrierMonteCarlo("down_out_put", paths=16384, steps=STEPS, draws="philox"), STEPS),
        ("barrier, sobol, 1 step", SingleBarrierMonteCarlo("down_out_put"), 1),
        ("asian 12 dates, sobol", AsianPut(), 12),
        ("basket of five, sobol", BasketCall(5), 1),
    ):
        unit = torch.rand(10_000, made.domain.dimension, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        for gradient in (False, True):
            yield _group(f"{title}{', gradient' if gradient else ''}", made, made.domain.to_natural(unit).to(device), steps, gradient=gradient)


def _points(rows: list[list[float]], device: torch.device) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64, device=device)


def _group(
    title: str,
    made: MonteCarloOracle,
    points: torch.Tensor,
    steps: int,
    peer: Callable[[torch.Tensor], torch.Tensor] | None = None,
    *,
    gradient: bool = False,
    about: dict[str, Any] | None = None,
) -> Group:
    """Ours at `points`, and a peer that prices the first one."""
    subjects = [Subject("ours", lambda: lambda: made.evaluate_inside(points, gradient).values)]
    if peer is not None:
        subjects.append(Subject("torch", lambda: lambda: peer(points[0])))
    few = points[:3].cpu()
    expected, spread = made.evaluate(few).values, made.evaluate(few).standard_errors

    def check(values: torch.Tensor) -> str | None:
        found = values.reshape(-1)[:3].cpu()
        apart = (found - expected[: len(found)]).abs()
        return None if bool((apart < 30.0 * spread[: len(found)] + 1e-6).all()) else f"{found.tolist()}, expected {expected.tolist()}"

    record = {"op": made.name, "points": len(points), "paths": made.paths, "path_steps": made.paths * steps * len(points)}
    return Group(f"mc {title}", tuple(subjects), check, 0.0, about=record | (about or {}))


def torch_vanilla(point: torch.Tensor, paths: int) -> torch.Tensor:
    """Antithetic paths in steps; the draws of all steps are not held at once."""
    spot, strike, volatility, time, rate, dividend = point
    total = torch.zeros(paths // 2, dtype=torch.float64, device=point.device)
    for _ in range(STEPS):
        total += torch.randn_like(total)
    walk = volatility * (time / STEPS).sqrt() * torch.cat([total, -total])
    end = spot * torch.exp((rate - dividend - 0.5 * volatility**2) * time + walk)
    return torch.exp(-rate * time) * (strike - end).clamp(min=0.0).mean()


def torch_barrier(point: torch.Tensor, paths: int) -> torch.Tensor:
    """The down-and-out put with the bridge's chance of survival between steps."""
    spot, strike, barrier, _, volatility, time, rate, dividend = point
    variance = volatility**2 * time / STEPS
    drift = (rate - dividend - 0.5 * volatility**2) * time / STEPS
    place = (spot / barrier).log().expand(paths)
    alive = torch.ones_like(place)
    for _ in range(STEPS):
        half = torch.randn(paths // 2, dtype=torch.float64, device=point.device)
        after = place + drift + variance.sqrt() * torch.cat([half, -half])
        alive = alive * (1.0 - torch.exp(-2.0 * place.clamp(min=0.0) * after.clamp(min=0.0) / variance))
        place = after
    return torch.exp(-rate * time) * (alive * (strike - barrier * place.exp()).clamp(min=0.0)).mean()
