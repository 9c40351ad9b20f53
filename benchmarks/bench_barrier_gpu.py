"""The down-and-out put by finite differences on a GPU, value alone and with all derivatives, beside batched tridiagonal solves of cuSPARSE.

Run by `python -m benchmarks.device`. 200 cells by 200 steps on the solver's own mesh, without extrapolation, float64; points whose mesh rests. The
peer marches all problems at once, cusparseDgtsv2StridedBatch a solve and torch for the rest, which is what can be had from libraries; it gives no
derivatives. Operations: 9 a node and solve (5 multiply-adds, one of which is an addition), 18 more with the gradient.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks.gpu_groups import Group, MissingPeerError, Subject
from pybackdoor.oracles.barrier_frame import COLUMNS, DISTANCE, GROWTH, LEFT1, LEFT2, LEFT3, MIDDLE, RESTING, RIGHT1, RIGHT3, STRIKE, VARIANCE
from pybackdoor.oracles.interpolation import STENCIL
from pybackdoor.oracles.parabolic import STARTS
from pybackdoor.oracles.single_barriers import SingleBarrier
from pybackdoor.oracles.single_barriers_pde import SingleBarrierPDE

BAR = 1e11  # nodes a second of values alone; the gradient may take three times as long
Solve = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], None]


def groups(device: torch.device, dry: bool) -> Iterator[Group]:
    """A million problems and ten thousand; a handful in a dry run."""
    for count in [7] if dry else [10**6, 10**4]:
        for gradient in (False, True):
            yield group(points(count).to(device), (36, 8) if dry else (200, 200), gradient, thomas if dry else None)


def group(x: torch.Tensor, grid: tuple[int, int], gradient: bool, solve: Solve | None) -> Group:
    """Ours and, for values, the peer, which solves by cuSPARSE unless a solver is given."""
    cells, steps = grid
    oracle = SingleBarrierPDE("down_out_put", space=cells, time=steps, extrapolate=False)
    subjects = [Subject("ours", lambda: ours(oracle, x, gradient))]
    if not gradient:
        subjects.append(Subject("cusparse", lambda: peer(oracle, x, solve or cusparse(x, cells - 1))))
    nodes = float(len(x) * cells * steps)
    about = {"nodes": nodes, "bar_nodes_per_second": BAR / 3.0 if gradient else BAR, "options": len(x)}
    name = f"barrier PDE {cells}x{steps} N={len(x)} {'value and gradient' if gradient else 'value'}"
    return Group(name, tuple(subjects), checker(x), nodes * (27.0 if gradient else 9.0), ceiling="fp64", about=about)


def points(count: int) -> torch.Tensor:
    """Options with strike above barrier, no rebate, and a drift too weak for the mesh to move."""
    u = torch.rand(count, 6, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    low, high = torch.tensor([[95.0, 95.0, 60.0, 0.1, 0.25, 0.0], [105.0, 110.0, 85.0, 0.5, 2.0, 0.05]], dtype=torch.float64)
    spot, strike, barrier, volatility, maturity, rate = (low + u * (high - low)).unbind(dim=1)
    return torch.stack([spot, strike, barrier, 0.0 * spot, volatility, maturity, rate, 0.0 * spot], dim=1)


def checker(x: torch.Tensor) -> Callable[[Any], str | None]:
    """Whether the first prices are near the closed form: the grid's error, and more where the dry run's grid is coarse."""
    few = x[:64].cpu()
    expected = SingleBarrier("down_out_put").values(few, strict=False)

    def check(values: Any) -> str | None:
        worst = float((values[:64].cpu() - expected).abs().max())
        return None if worst < (2e-2 if len(x) > 64 else 0.5) else f"prices are up to {worst:.1e} off"

    return check


def ours(oracle: SingleBarrierPDE, x: torch.Tensor, gradient: bool) -> Callable[[], torch.Tensor]:
    """The oracle's answer, all that it does included."""
    return lambda: oracle.evaluate_inside(x, gradient=gradient).values


def peer(oracle: SingleBarrierPDE, x: torch.Tensor, solve: Solve) -> Callable[[], torch.Tensor]:
    """The same discrete problem, all points at once: solve(lower, diagonal, upper, right), each [N, inner nodes], puts solutions into the last."""
    posed = oracle.pose(RESTING)(list(x.T.contiguous()))
    frame = [number[:, None] for number in posed.numbers]
    cells, steps = oracle.grid.space, oracle.grid.time
    place = torch.arange(cells + 1, dtype=torch.float64, device=x.device) / (cells // 2) - 1.0
    p = place.abs()
    left = frame[MIDDLE] - p * (frame[LEFT1] + p * (frame[LEFT2] + p * frame[LEFT3]))
    y = torch.where(place < 0.0, left, frame[MIDDLE] + p * (frame[RIGHT1] + p * p * frame[RIGHT3]))
    y[:, 0] = posed.numbers[COLUMNS.index("first")]
    z = torch.exp(-y)
    h, inner = -torch.diff(z), z[:, 1:-1]
    h0, h1, k = h[:, :-1], h[:, 1:], 0.5 / steps
    twice, speed = frame[VARIANCE] * inner * inner, frame[GROWTH] * inner
    lower, upper = -k * (twice / h0 - speed) / (h0 + h1), -k * (twice / h1 + speed) / (h0 + h1)
    diagonal = 1.0 - lower - upper
    lower[:, 0], upper[:, -1] = 0.0, 0.0  # u = 0 at both ends: no rebate, and far from the strike
    payoff = (z - torch.exp(-frame[STRIKE])).clamp(min=0.0)
    begin = (torch.searchsorted(-z, -torch.exp(-frame[DISTANCE]), right=True)[:, 0] - STENCIL // 2).clamp(0, cells + 1 - STENCIL)
    window = begin[:, None] + torch.arange(STENCIL, device=x.device)

    def run() -> torch.Tensor:
        u = payoff[:, 1:-1].contiguous()
        for index in range(steps + STARTS // 2):
            y = u.clone()
            solve(lower, diagonal, upper, y)
            u = y if index < STARTS else 2.0 * y - u
        whole = torch.nn.functional.pad(u, (1, 1))
        return posed.scale * lagrange(-torch.exp(-frame[DISTANCE]), (-z).gather(1, window), whole.gather(1, window))

    return run


def lagrange(point: torch.Tensor, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """At point [n, 1] the polynomial through u [n, m] at x [n, m]."""
    total = torch.zeros_like(point[:, 0])
    for node in range(x.shape[1]):
        others = [other for other in range(x.shape[1]) if other != node]
        total += u[:, node] * torch.stack([(point[:, 0] - x[:, i]) / (x[:, node] - x[:, i]) for i in others]).prod(dim=0)
    return total


def thomas(lower: torch.Tensor, diagonal: torch.Tensor, upper: torch.Tensor, y: torch.Tensor) -> None:
    """In place of cuSPARSE in a dry run."""
    ahead = torch.zeros_like(diagonal)
    for row in range(y.shape[1]):
        before = ahead[:, row - 1] if row else torch.zeros_like(y[:, 0])
        pivot = diagonal[:, row] - lower[:, row] * before
        ahead[:, row] = upper[:, row] / pivot
        y[:, row] = (y[:, row] - (lower[:, row] * y[:, row - 1] if row else 0.0)) / pivot
    for row in range(y.shape[1] - 2, -1, -1):
        y[:, row] -= ahead[:, row] * y[:, row + 1]


def cusparse(x: torch.Tensor, size: int) -> Solve:
    """cusparseDgtsv2StridedBatch on torch's memory and stream, with the library that torch has loaded."""
    library = _library()
    handle, needed = ctypes.c_void_p(), ctypes.c_size_t()
    _checked(library.cusparseCreate(ctypes.byref(handle)))
    probe = ctypes.c_void_p(x.data_ptr())
    counts = (ctypes.c_int(len(x)), ctypes.c_int(size))
    _checked(library.cusparseDgtsv2StridedBatch_bufferSizeExt(handle, size, probe, probe, probe, probe, *counts, ctypes.byref(needed)))
    try:
        buffer = torch.empty(needed.value, dtype=torch.uint8, device=x.device)
    except torch.OutOfMemoryError as error:
        raise MissingPeerError(f"cuSPARSE asks for {needed.value / 2**30:.0f} GiB of workspace for {len(x)} systems") from error

    def solve(lower: torch.Tensor, diagonal: torch.Tensor, upper: torch.Tensor, y: torch.Tensor) -> None:
        _checked(library.cusparseSetStream(handle, ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)))
        given = [ctypes.c_void_p(part.data_ptr()) for part in (lower, diagonal, upper, y, buffer)]
        _checked(library.cusparseDgtsv2StridedBatch(handle, size, *given[:4], *counts, given[4]))

    return solve


def _library() -> Any:
    for version in (13, 12, 11):
        try:
            return ctypes.CDLL(f"libcusparse.so.{version}")
        except OSError:
            continue
    raise MissingPeerError("no libcusparse.so.11 to 13 can be loaded")


def _checked(status: int) -> None:
    if status != 0:
        raise MissingPeerError(f"cuSPARSE says status {status}")
