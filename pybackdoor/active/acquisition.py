"""Which points to ask the oracle about next.

Without oracle calls the surrogate's error is unknown; a second network trained on the same rows from another start stands for the oracle
(a pseudo-oracle, arXiv 2107.13124), and where the two disagree at least one is wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.models.surrogate import Surrogate
from pybackdoor.records import Samples
from pybackdoor.search import screen

_POOL = 8192
_STARTS = 1024  # of the ascent on the disagreement
_ROWS = 1024  # of a block of distances


@dataclass(frozen=True)
class Proposal:
    """Points to ask about: unit [n, d] in the unit cube, the last `explored` of them space-filling, chosen without a look at the surrogate."""

    unit: torch.Tensor
    explored: int


def acquire(unit: torch.Tensor, errors: torch.Tensor, known: torch.Tensor, count: int, *, sharpness: float = 1.0) -> torch.Tensor:
    """Greedy choice of up to `count` candidates: indices [<= count], best first.

    A candidate's worth is |error|^sharpness times its distance to the nearest of `known` [K, d] and of those chosen before it; ties go to the lower
    index. unit: [N, d]; errors: [N]. A candidate of worth 0 (no error, or in place of a known one) is never chosen. O(N (K + count) d).
    """
    worth = errors.abs() ** sharpness
    distances = torch.full_like(worth, math.sqrt(unit.shape[1]))  # the cube's diagonal, where nothing is known
    for first in range(0, known.shape[0], _ROWS):
        near = torch.cdist(unit, known[first : first + _ROWS], compute_mode="donot_use_mm_for_euclid_dist").amin(dim=1)
        distances = torch.minimum(distances, near)
    chosen: list[int] = []
    for _ in range(min(count, unit.shape[0])):
        score = torch.where(distances > 0, worth * distances, 0.0)
        best = int(score.argmax())
        if not float(score[best]) > 0:
            break
        chosen.append(best)
        distances = torch.minimum(distances, torch.linalg.vector_norm(unit - unit[best], dim=1))
    return torch.tensor(chosen, dtype=torch.int64, device=unit.device)


def propose(
    surrogate: Surrogate,
    second: Surrogate,
    samples: Samples,
    count: int,
    *,
    exploration: float = 0.1,
    maximizer_share: float = 0.0,
    sharpness: float = 1.5,
    seed: int = 0,
) -> Proposal:
    """`count` points to ask the oracle about next; costs no oracle call.

    `exploration` of them are Sobol points; `maximizer_share` come from the local maximizers of |surrogate - second|, the rest from 8192 Sobol
    candidates; both by disagreement and distance to the nearest row (`acquire`). Where the networks agree everywhere, Sobol points take their place.
    """
    if count < 1 or min(exploration, maximizer_share) < 0 or exploration + maximizer_share > 1:
        raise InputError(
            f"propose: count {count}, exploration {exploration} and maximizer_share {maximizer_share}; a count >= 1 and shares >= 0 "
            "with a sum of at most 1 are needed"
        )
    domain, known = samples.domain, samples.unit
    directed, chosen = count - round(exploration * count), known[:0]
    wanted = round(maximizer_share * count)
    if wanted:
        unit, differences = screen(surrogate, second, starts=_STARTS, seed=seed)
        chosen = unit[acquire(unit, differences, known, min(wanted, directed), sharpness=sharpness)].to(known.device)
    pool = design(domain, _POOL, method="sobol", seed=seed).to(known.device)
    differences = surrogate.values(pool) - second.values(pool)
    unit = domain.to_unit(pool).clamp(0.0, 1.0)
    rest = acquire(unit, differences, torch.cat([known, chosen]), directed - chosen.shape[0], sharpness=sharpness)
    chosen = torch.cat([chosen, unit[rest]])
    explored = count - chosen.shape[0]
    space_filling = domain.to_unit(design(domain, explored, method="sobol", seed=seed + 1)).clamp(0.0, 1.0).to(known.device)
    return Proposal(torch.cat([chosen, space_filling]), explored)
