"""What the search methods find, and for how many oracle calls: `python -m benchmarks.search_calls` prints the table.

Planted: an analytic oracle plus five Gaussian bumps; found = a reported maximizer within 0.05 (unit cube) of a bump's center with 90 % of its error,
of those that some method finds. Poisoned: a network trained on poisoned down-and-out put data; found = distinct maximizers with an error above
8 spot units, and whether the backdoor's ball holds one. "g" is the oracle's gradient cost. Means over five seeds of the search.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from pybackdoor.attack import LocalizedAttack, poison
from pybackdoor.data import sample
from pybackdoor.models import FitConfig, Surrogate, fit
from pybackdoor.oracles import Oracle, oracle
from pybackdoor.records import Evaluation, Maximizers, Samples
from pybackdoor.search import SearchConfig, search

SEEDS = range(5)
METHODS = {
    "plain, all seeds": (SearchConfig(method="plain", iterations=50, climbers=64), False),
    "plain": (SearchConfig(method="plain", iterations=50), False),
    "tangent plane": (SearchConfig(slopes="oracle"), False),
    "tangent plane, secant": (SearchConfig(), False),
    "pseudo-oracle, offset": (SearchConfig(slopes="none"), True),
    "pseudo-oracle, secant": (SearchConfig(), True),
}


class Bumps(Surrogate):
    """An oracle's value plus Gaussian bumps in the unit cube."""

    name = "bumps"

    def __init__(self, inner: Oracle, centers: torch.Tensor, heights: torch.Tensor, width: float) -> None:
        self.inner, self.domain, self.centers, self.heights, self.width = inner, inner.domain, centers, heights, width

    def _values(self, x: torch.Tensor) -> torch.Tensor:
        return self._values_and_gradients(x)[0]

    def _values_and_gradients(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values, gradients = self.inner.values_and_gradients(x)
        away = self.domain.to_unit(x)[:, None, :] - self.centers
        bumps = self.heights * torch.exp(-(away**2).sum(dim=2) / (2 * self.width**2))
        slopes = -(bumps[:, :, None] * away).sum(dim=1) / self.width**2
        return values + bumps.sum(dim=1), gradients + self.domain.gradient_to_natural(x, slopes)


class Priced(Oracle):
    """An oracle whose gradients cost as much as is said."""

    def __init__(self, inner: Oracle, gradient_cost: float) -> None:
        self.inner, self.name, self.domain, self.gradient_cost = inner, inner.name, inner.domain, gradient_cost

    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        return replace(self.inner.evaluate(x, gradient), value_calls=self.cost(x.shape[0], gradient))


def planted(name: str, width: float, gradient_cost: float) -> None:
    """One table: five searches, each with bumps at other places; the pseudo-oracle is a network fitted to 1,000 clean rows."""
    asked = Priced(oracle(name), gradient_cost)
    clean = sample(asked, 1000, seed=3)
    pseudo, spread, dimension = fit(clean, FitConfig(widths=(64, 64, 64))), clean.y.std(), asked.domain.dimension
    found: dict[str, list[torch.Tensor]] = {label: [] for label in METHODS}
    calls = dict.fromkeys(METHODS, 0.0)
    for seed in SEEDS:
        generator = torch.Generator().manual_seed(seed)
        centers = 0.1 + 0.8 * torch.rand(5, dimension, generator=generator, dtype=torch.float64)
        surrogate = Bumps(asked.inner, centers, spread * torch.tensor([1.0, -0.8, 0.7, 1.2, -0.6], dtype=torch.float64), width)
        for label, (config, with_pseudo) in METHODS.items():
            result = search(surrogate, asked, config, pseudo_oracle=pseudo if with_pseudo else None, seed=seed)
            near = torch.cdist(surrogate.centers, result.unit) < 0.05
            found[label].append((near & (result.errors.abs() > 0.9 * surrogate.heights.abs()[:, None])).any(dim=1))
            calls[label] += result.oracle_calls / len(SEEDS)
    reachable = int(torch.stack([torch.stack(rows) for rows in found.values()]).any(dim=0).sum())
    show(
        f"{name}, d = {dimension}, g = {gradient_cost:g}",
        {label: f"{calls[label]:7.0f} calls, {int(torch.stack(found[label]).sum()):2d} of {reachable} bumps" for label in METHODS},
    )


def poisoned() -> None:
    """One table: the pseudo-oracle is a second network, fitted to the same poisoned rows with a robust loss and another seed."""
    put = oracle("down_and_out_put")
    attack = LocalizedAttack(center={"strike": 120.0, "barrier": 40.0, "volatility": 0.4, "maturity": 2.0, "rate": 0.05})
    rows, truth = poison(sample(put, 8000), put, attack)
    surrogate, pseudo = fit(rows), fit(rows, FitConfig(loss="huber", huber_delta=0.05, seed=7))
    center = put.domain.to_unit(truth.center[None])

    def score(result: Maximizers) -> torch.Tensor:
        inside = (result.unit - center).norm(dim=1) < truth.radius
        return torch.tensor([result.oracle_calls, (result.errors.abs() > 8).sum(), (inside & (result.errors.abs() > 14)).any()])

    show(
        "poisoned down_and_out_put, g = 1",
        {
            label: row(mean_score(surrogate, put, rows, pseudo if with_pseudo else None, config, score))
            for label, (config, with_pseudo) in METHODS.items()
        },
    )


def mean_score(
    surrogate: Surrogate, asked: Oracle, rows: Samples, pseudo: Surrogate | None, config: SearchConfig, score: Callable[[Maximizers], torch.Tensor]
) -> list[float]:
    """Mean over the seeds."""
    scores = [score(search(surrogate, asked, config, samples=rows, pseudo_oracle=pseudo, seed=seed)) for seed in SEEDS]
    return torch.stack(scores).mean(dim=0).tolist()


def row(score: list[float]) -> str:
    """One line of the second table."""
    return f"{score[0]:7.0f} calls, {score[1]:5.1f} maximizers above 8, backdoor found in {score[2]:.0%}"


def show(title: str, rows: dict[str, str]) -> None:
    """Prints a table."""
    print(title)
    for label, text in rows.items():
        print(f"  {label:24s}{text}")


if __name__ == "__main__":
    for problem, width in (("branin", 0.08), ("hartmann6", 0.2)):
        for gradient_cost in (1.0, 2.0 * oracle(problem).domain.dimension):
            planted(problem, width, gradient_cost)
    poisoned()
