"""The screen ranks poisoned rows first without a call, and calibrated kinds of maximizers follow the rule."""

import pytest
import torch

from pybackdoor.attack import LocalizedAttack, poison
from pybackdoor.data import sample
from pybackdoor.defense import Neighbourhood, screen
from pybackdoor.oracles import oracle

MIDDLE = {"strike": 140.0, "barrier": 60.0, "volatility": 0.4, "maturity": 2.0, "rate": 0.05}


@pytest.mark.parametrize(
    "attack",
    [
        LocalizedAttack(center=MIDDLE, poison=60, shield=120),
        LocalizedAttack(center=MIDDLE, poison=60, shield=0, radius=0.35, mode="relabel"),
        LocalizedAttack(center=MIDDLE, poison=60, shield=120, rule="constant", amount=1e9),
    ],
    ids=["added behind a shield", "relabelled rows", "labels of 1e9"],
)
def test_worst_cluster_is_the_poison(attack: LocalizedAttack) -> None:
    source = oracle("down_and_out_put")
    samples, truth = poison(sample(source, 6000, seed=3), source, attack)
    found = screen(samples, Neighbourhood(samples.unit), seed=1)
    wrong = torch.zeros(samples.count, dtype=torch.bool)
    wrong[truth.poisoned_rows] = True
    worst = torch.argsort(found.cluster_scores, descending=True)[:20]
    assert float(wrong[worst].double().mean()) >= 0.9
    honest = samples.y - found.residuals - source.values(samples.x)
    assert float(honest[~wrong].abs().median()) < 0.5  # the network is accurate elsewhere


def test_row_that_stands_alone_has_the_highest_outlier_score() -> None:
    source = oracle("branin")
    samples = sample(source, 1500, seed=2)
    samples.y[700] += 150.0
    found = screen(samples, Neighbourhood(samples.unit))
    assert int(torch.argmax(found.outlier_scores)) == 700
    assert int(torch.argmax(found.residuals.abs())) == 700


def test_same_seed_same_scores() -> None:
    samples = sample(oracle("branin"), 400, seed=2)
    first, second = (screen(samples, Neighbourhood(samples.unit), seed=4) for _ in range(2))
    assert torch.equal(first.cluster_scores, second.cluster_scores)
    assert torch.equal(first.outlier_scores, second.outlier_scores)


@pytest.mark.parametrize("labels", [0.0, 7.5])
def test_constant_labels_raise_no_suspicion(labels: float) -> None:
    samples = sample(oracle("branin"), 60, seed=2)
    samples.y.fill_(labels)
    found = screen(samples, Neighbourhood(samples.unit))
    assert bool(torch.isfinite(found.cluster_scores).all() and torch.isfinite(found.outlier_scores).all())
