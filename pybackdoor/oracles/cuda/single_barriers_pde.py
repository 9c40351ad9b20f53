"""The single barriers by finite differences, on a GPU: posed by torch, solved by the kernels of barrier.py."""

from __future__ import annotations

from functools import lru_cache

import torch

from pybackdoor.oracles.barrier_frame import AWAY, RESTING, TOWARDS_BARRIER, motion
from pybackdoor.oracles.cuda import barrier
from pybackdoor.oracles.cuda.posed import in_parts
from pybackdoor.oracles.european_vanilla import EuropeanCall, EuropeanPut
from pybackdoor.oracles.gridded import carried
from pybackdoor.oracles.grids import extrapolated
from pybackdoor.oracles.single_barriers_pde import NO_SPREAD, OF_PLAIN, SingleBarrierPDE, clock


def solve(oracle: SingleBarrierPDE, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Values [N], gradients [N, 8] ([0, 8] without) and status [N] at acceptable points, NaN where something is not finite."""
    return in_parts(lambda points: _price(oracle, points, gradient), x, gradient)


def _price(oracle: SingleBarrierPDE, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The price solved for, or the closed form where there is nothing to solve for.

    All points are posed in every way, so that nothing need wait for how many there are of each; kernels pass over those that are not theirs.
    """
    down, knocked_in = oracle.kind.startswith("down"), "_in_" in oracle.kind
    variance, carry = x[:, 4] ** 2 * x[:, 5], (x[:, 6] - x[:, 7]) * x[:, 5]
    alive = (x[:, 0] > x[:, 2] if down else x[:, 0] < x[:, 2]) & (variance > NO_SPREAD)
    moving = motion(variance, carry if down else -carry)
    values, gradients, _ = oracle.closed._solve_on_device(x, gradient)
    if knocked_in:
        whole, slopes = _plain(oracle, x, gradient)
    for way in (RESTING, AWAY, TOWARDS_BARRIER):
        chosen = alive & (moving == way)
        price, by = _knock_out(oracle, x, gradient, way, chosen)
        values = torch.where(chosen, whole - price if knocked_in else price, values)
        if gradient:
            gradients = torch.where(chosen[:, None], slopes - by if knocked_in else by, gradients)
    return values, gradients if gradient else x.new_zeros(0, 8)


def _knock_out(oracle: SingleBarrierPDE, x: torch.Tensor, gradient: bool, way: int, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Its values [n] and gradients [n, 8] where chosen; all meshes move in one way."""

    def run(frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        def once(space: int, time: int) -> tuple[torch.Tensor, torch.Tensor]:
            times, pace = _clock(time, way, x.device)
            return barrier.solve(frames, oracle.side, times, pace, space + 1, way != RESTING, chosen, gradient)

        return extrapolated(oracle.grid_for(way), once)

    return carried(x, gradient, oracle.pose(way), run)


@lru_cache(maxsize=64)
def _clock(steps: int, way: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The clock, brought to the device once."""
    times, pace = clock(steps, way)
    return torch.from_numpy(times).to(device), torch.from_numpy(pace).to(device)


def _plain(oracle: SingleBarrierPDE, x: torch.Tensor, gradient: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """What a knock-in is taken from: values [n] and gradients [n, 8] of the European option."""
    plain = (EuropeanCall if oracle.kind.endswith("call") else EuropeanPut)()
    values, slopes, _ = plain._solve_on_device(torch.stack([x[:, column] for column in OF_PLAIN], dim=1), gradient)
    gradients = torch.zeros_like(x)
    if gradient:
        for column, slope in zip(OF_PLAIN, slopes.unbind(dim=1), strict=True):
            gradients[:, column] = slope
    return values, gradients
