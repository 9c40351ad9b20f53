"""How a search is run."""

from __future__ import annotations

from dataclasses import dataclass

from pybackdoor.errors import InputError

METHODS = ("trust_region", "plain")
SLOPES = ("oracle", "secant", "none")
PRECISIONS = ("float32", "float64")


@dataclass(frozen=True)
class SearchConfig:
    """How local error maximizers are looked for. Lengths are Euclidean, in the unit cube.

    method: "trust_region", or "plain", the paper's ascent with value and gradient of the oracle at every step.
    seeds: points whose error is asked for, at most half the `budget`; climbers: how many of these are climbed from, those with
    large errors that no larger error is near to.
    residual_share: share of the seeds taken from samples with the largest |label - surrogate|, no two within seed_distance; screen_share: share taken
    from a search against the pseudo-oracle alone; each needs its input, the rest are space-filling.
    slopes: where the trust region's model gets the oracle's slope from: "oracle" (its gradient, at every accepted point), "secant" (its gradient at
    the start, with a pseudo-oracle not even there, then rank-one updates from the trials' values; the gradient again where that goes badly, and
    before a climber is CONVERGED), "none" (with a pseudo-oracle only: an offset alone, the fewest calls, and as good as the pseudo-oracle is).
    iterations: most steps (plain) or trials (trust region) of a climber; radius, smallest_radius, largest_radius: of the trust ball.
    tolerance: a climber is CONVERGED when no more than this fraction of its error can be gained; noise: an oracle with standard errors must show a
    change of this many of them. merging_radius: of two maximizers closer than this the worse (larger error) stays.
    step_size, decay, patience: of "plain", as in AscentSchedule. inner_steps: most steps of an inner solve.
    budget: most value calls of this search, or None: until the climbers are done or the oracle's own budget is spent.
    """

    method: str = "trust_region"
    seeds: int = 64
    climbers: int = 16
    residual_share: float = 0.25
    screen_share: float = 0.5
    seed_distance: float = 0.1
    slopes: str = "secant"
    iterations: int = 25
    radius: float = 0.1
    smallest_radius: float = 4e-3
    largest_radius: float = 0.4
    tolerance: float = 1e-3
    noise: float = 1.0
    merging_radius: float = 0.05
    step_size: float = 0.05
    decay: float = 0.1
    patience: int = 10
    inner_steps: int = 30
    budget: int | None = None
    precision: str = "float32"
    backend: str = "auto"

    def __post_init__(self) -> None:
        if self.method not in METHODS or self.slopes not in SLOPES:
            raise InputError(f"search: method {self.method!r} and slopes {self.slopes!r}; one of {METHODS} and one of {SLOPES} are needed")
        if self.precision not in PRECISIONS:
            raise InputError(f"search: precision {self.precision!r}; one of {PRECISIONS} is needed")
        if self.seeds < 1 or self.climbers < 1 or self.iterations < 0 or self.patience < 0 or self.inner_steps < 1:
            raise InputError(
                f"search: seeds {self.seeds}, climbers {self.climbers}, inner_steps {self.inner_steps}, iterations {self.iterations} "
                f"and patience {self.patience}; whole numbers are needed, the first three >= 1, the others >= 0"
            )
        if min(self.residual_share, self.screen_share) < 0 or self.residual_share + self.screen_share > 1:
            raise InputError(
                f"search: residual_share {self.residual_share} and screen_share {self.screen_share}; shares >= 0 with a sum of at most 1 are needed"
            )
        if not 0 < self.smallest_radius <= self.radius <= self.largest_radius:
            raise InputError(
                f"search: 0 < smallest_radius <= radius <= largest_radius is needed, got {self.smallest_radius}, {self.radius} and "
                f"{self.largest_radius}"
            )
        if min(self.seed_distance, self.merging_radius, self.tolerance, self.noise, self.decay) < 0 or not self.step_size > 0:
            raise InputError(
                f"search: seed_distance, merging_radius, tolerance, noise and decay must not be negative, and step_size positive, in {self}"
            )
        if self.budget is not None and self.budget < 1:
            raise InputError(f"search: a budget of {self.budget} value calls; at least 1 is needed, or None")
