"""A wide search that costs no oracle call: local maximizers of the disagreement between a surrogate and a second network."""

from __future__ import annotations

import torch

from pybackdoor.models.surrogate import Surrogate
from pybackdoor.records import AscentSchedule
from pybackdoor.search.climb import surrogate_values
from pybackdoor.search.inner import InnerAscent
from pybackdoor.search.seeds import space_filling_seeds
from pybackdoor.search.thinning import thin
from pybackdoor.stages import staged

_STEPS, _STEP_SIZE, _DECAY = 40, 0.04, 0.1


@staged("search.screen")
def screen(
    surrogate: Surrogate,
    pseudo_oracle: Surrogate,
    *,
    starts: int = 2048,
    merging_radius: float = 0.05,
    seed: int = 0,
    precision: str = "float32",
    backend: str = "auto",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Local maximizers of |surrogate - pseudo_oracle|, thinned, worst first: points [M, d] of the unit cube and signed differences [M], float64.

    The pseudo-oracle stands for the oracle where the two were trained independently (arXiv 2107.13124): a place where they disagree is one where at
    least one of them is wrong. `starts` Sobol points climb; none asks the oracle.
    """
    inner = InnerAscent(surrogate, pseudo_oracle, precision=precision, backend=backend)
    schedule = AscentSchedule(steps=_STEPS, step_size=_STEP_SIZE, decay=_DECAY)
    points = inner.climb(space_filling_seeds(surrogate.domain, starts, seed=seed, device=inner.device), schedule).points.clamp(0.0, 1.0)
    differences = surrogate_values(surrogate, points) - surrogate_values(pseudo_oracle, points)
    finite = torch.isfinite(differences).nonzero()[:, 0]
    kept = finite[thin(points[finite], differences[finite], merging_radius)]
    return points[kept], differences[kept]
