"""The public search: seeds, ascent, thinning, maximizers."""

from __future__ import annotations

import math

import torch

from pybackdoor.errors import InputError
from pybackdoor.models.surrogate import Surrogate
from pybackdoor.oracles import BudgetedOracle, Oracle
from pybackdoor.records import Maximizers, Samples
from pybackdoor.search.asking import Asker
from pybackdoor.search.climb import Climb, surrogate_values
from pybackdoor.search.config import SearchConfig
from pybackdoor.search.inner import InnerAscent
from pybackdoor.search.plain import plain_ascent
from pybackdoor.search.screening import screen
from pybackdoor.search.seeds import residual_seeds, space_filling_seeds
from pybackdoor.search.thinning import thin
from pybackdoor.search.trust_region import TrustRegion, needs_gradients
from pybackdoor.stages import staged

_BLOCK = 2048  # seeds compared with others at a time: bounds the memory of a search of millions


@staged("search")
def search(
    surrogate: Surrogate,
    oracle: Oracle,
    config: SearchConfig | None = None,
    *,
    samples: Samples | None = None,
    pseudo_oracle: Surrogate | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Maximizers:
    """Local maximizers of (surrogate - oracle)^2 over the domain, thinned, worst first.

    The error is asked for at `config.seeds` points (rows of `samples` with large residuals, maximizers of the disagreement with `pseudo_oracle`,
    Sobol points); `config.climbers` of them climb. Every reported number is the float64 value at the reported point. A climber that the budget
    stopped, or one whose oracle failed, is reported at its best point so far, with that status; a seed that never had a value is not reported.

    samples: the training data, labels included; they cost nothing. pseudo_oracle: a surrogate trained independently (another seed, a robust loss)
    that stands for the oracle between calls. An oracle with a budget (`BudgetedOracle`) is never overdrawn. seed: of the Sobol points.
    Raises InputError when surrogate, oracle, samples and pseudo_oracle are not about the same domain.
    """
    config = config or SearchConfig()
    _same_domain(surrogate, oracle, samples, pseudo_oracle)
    if config.slopes == "none" and config.method == "trust_region" and pseudo_oracle is None:
        raise InputError("search: slopes 'none' needs a pseudo_oracle: without either nothing is known around a point")
    from tqdm import tqdm

    inner = InnerAscent(surrogate, pseudo_oracle if config.method == "trust_region" else None, precision=config.precision, backend=config.backend)
    unit = _seeds(inner, config, samples, pseudo_oracle, seed)
    with tqdm(total=config.budget, desc=f"search with {oracle.name}", unit="call", delay=2, leave=False, disable=not progress) as bar:
        asker = Asker(oracle if config.budget is None else BudgetedOracle(oracle, config.budget), on_spent=bar.update)
        climb = _first_look(surrogate, unit, asker, inner, config)
        if config.method == "plain":
            plain_ascent(climb, inner, asker, config)
        else:
            TrustRegion(climb, inner, asker, config).run()
    return _maximizers(surrogate, climb, asker, config)


def _same_domain(surrogate: Surrogate, oracle: Oracle, samples: Samples | None, pseudo_oracle: Surrogate | None) -> None:
    ours = oracle.domain
    for name, part in (("surrogate", surrogate), ("samples", samples), ("pseudo_oracle", pseudo_oracle)):
        if part is None:
            continue
        theirs = part.domain
        if (theirs.names, theirs.lower, theirs.upper, theirs.scales) != (ours.names, ours.lower, ours.upper, ours.scales):
            raise InputError(
                f"search: the domain of {name} differs from that of oracle {oracle.name} (features {', '.join(theirs.names)} and "
                f"{', '.join(ours.names)}, or their bounds or scales); give both the same domain"
            )


def _seeds(inner: InnerAscent, config: SearchConfig, samples: Samples | None, pseudo_oracle: Surrogate | None, seed: int) -> torch.Tensor:
    """Seeds in the unit cube, the most telling first: [count, d]; no more than half the budget, so that something is left to climb with."""
    surrogate, parts = inner.surrogate, []
    count = config.seeds if config.budget is None else min(config.seeds, max(config.budget // 2, 1))
    if pseudo_oracle is not None and config.screen_share:
        points, _ = screen(
            surrogate, pseudo_oracle, merging_radius=config.merging_radius, seed=seed, precision=config.precision, backend=config.backend
        )
        parts.append(points[: round(config.screen_share * count)])
    if samples is not None and config.residual_share:
        rows = residual_seeds(samples, surrogate, round(config.residual_share * count), distance=config.seed_distance)
        parts.append(rows.to(inner.device))
    parts.append(space_filling_seeds(surrogate.domain, count - sum(part.shape[0] for part in parts), seed=seed, device=inner.device))
    return torch.cat(parts)


def _first_look(surrogate: Surrogate, unit: torch.Tensor, asker: Asker, inner: InnerAscent, config: SearchConfig) -> Climb:
    """The climbers: the worst seeds, with the oracle's gradient where the method starts from it."""
    gradient = config.method == "plain" or needs_gradients(config, inner)
    select, values = unit.shape[0] > config.climbers, surrogate_values(surrogate, unit)
    answers = asker.ask(unit, gradient=gradient and not select)
    if not select:
        return Climb(unit, values, answers)
    errors = values - answers.values
    known = torch.isfinite(errors).nonzero()[:, 0]
    known = known[thin(unit[known], errors[known], config.radius)]
    chosen = known[_basins(unit[known], errors[known], config.climbers)]
    climb = Climb(unit[chosen], values[chosen], answers.subset(chosen))
    if gradient:
        climb.take_slopes(asker.ask(climb.unit, gradient=True))
    return climb


def _basins(unit: torch.Tensor, errors: torch.Tensor, count: int) -> torch.Tensor:
    """The `count` seeds most likely to stand for a maximizer of their own: by |error| times the distance to the nearest seed with a larger one.

    Source: the nearest-better distance of M. Preuss, "Niching the CMA-ES via nearest-better clustering", GECCO (2010).
    """
    sizes = errors.abs()
    if not sizes.numel():  # the oracle failed at every seed
        return torch.zeros(0, dtype=torch.int64, device=sizes.device)
    order = torch.argsort(sizes, descending=True, stable=True)
    points, score = unit[order], torch.full_like(sizes, -torch.inf)
    for first in range(0, points.shape[0], _BLOCK):
        block = order[first : first + _BLOCK]
        if first >= count:  # no two points of the cube are farther apart than its diagonal: most seeds of a large search cannot come in
            least = torch.topk(score, count).values[-1]
            if bool(sizes[block[0]] * math.sqrt(unit.shape[1]) < least):
                break
        score[block] = sizes[block] * _nearest_before(points, first)
        if not first:
            score[block[0]] = torch.inf
    return torch.argsort(score, descending=True, stable=True)[:count]


def _nearest_before(points: torch.Tensor, first: int) -> torch.Tensor:
    """For each of a block of points the distance to the nearest point that comes before it; infinity for the very first."""
    block = points[first : first + _BLOCK]
    nearest = torch.full_like(block[:, 0], torch.inf)
    for others in points[: first + block.shape[0]].split(_BLOCK):
        distances = torch.cdist(block, others, compute_mode="donot_use_mm_for_euclid_dist")
        if others.data_ptr() == block.data_ptr():
            distances = distances.masked_fill(torch.ones_like(distances, dtype=torch.bool).triu(), torch.inf)
        nearest = torch.minimum(nearest, distances.amin(dim=1))
    return nearest


def _maximizers(surrogate: Surrogate, climb: Climb, asker: Asker, config: SearchConfig) -> Maximizers:
    known = climb.known.nonzero()[:, 0]
    kept = known[thin(climb.unit[known], climb.errors[known], config.merging_radius)]
    unit = climb.unit[kept]
    x = surrogate.domain.to_natural(unit)
    return Maximizers(
        surrogate.domain,
        x,
        unit,
        climb.surrogate[kept],
        climb.oracle[kept],
        climb.standard_errors[kept],
        climb.status[kept],
        asker.spent,
        asker.failures,
    )
