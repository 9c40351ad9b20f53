"""The tolerance: few false alarms on honest noise, unmoved by a minority of wrong labels, local where the noise is."""

import pytest
import torch
from scipy.stats import norm

from pybackdoor.defense import label_tolerances

COUNT = 4000


def normal(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(errors: torch.Tensor, checks: int = 100) -> torch.Tensor:
    known = torch.full_like(errors, torch.nan)
    known[:checks] = errors[:checks]
    return known


LABELS = torch.linspace(0, 100, COUNT, dtype=torch.float64)


def test_declared_error_rejects_one_honest_audit_in_a_thousand() -> None:
    tolerances = label_tolerances(drawn(torch.zeros(COUNT)).double(), LABELS, torch.ones(COUNT).double(), label_error=2.0, checks=500)
    assert tolerances.overall.value == pytest.approx(2.0 * 4.75342, rel=1e-4)  # the normal quantile at 1 - 1e-3 / (2 * 500)
    assert bool((tolerances.rows == tolerances.overall.value).all())


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_estimate_is_not_moved_by_a_minority_of_wrong_labels(share: float) -> None:
    errors = normal(COUNT, 1)
    errors[: int(share * 100)] += 1000.0
    tolerances = label_tolerances(drawn(errors), LABELS, torch.ones_like(errors), label_error=None, checks=500)
    assert 3.0 < tolerances.overall.value < 10.0
    assert int((normal(500, 2).abs() > tolerances.overall.value).sum()) == 0


def test_exact_labels_leave_only_the_floor_whatever_the_network_scatters() -> None:
    tolerances = label_tolerances(drawn(torch.zeros(COUNT).double()), LABELS, 5 * normal(COUNT, 3).abs(), label_error=None, checks=500)
    assert bool((tolerances.rows == tolerances.overall.value).all())
    assert tolerances.overall.value == pytest.approx(1e-3 * 45, rel=1e-2)


def test_noisier_places_get_a_larger_tolerance() -> None:
    deviation = torch.where(torch.arange(COUNT) % 10 == 0, 1.4, 0.5).double()
    errors = deviation * normal(COUNT, 4)
    tolerances = label_tolerances(drawn(errors), LABELS, deviation, label_error=None, checks=500)
    assert int((errors.abs() > tolerances.rows).sum()) <= 2
    assert float(tolerances.rows[1]) < 4.0 < 5.5 < float(tolerances.rows[0])


def test_scatter_that_poison_makes_around_itself_excuses_no_label() -> None:
    scatter = torch.where(torch.arange(COUNT) >= COUNT - 200, 8.0, 0.5).double()  # as measured around 200 labels shifted by 20
    tolerances = label_tolerances(drawn(0.5 * normal(COUNT, 6)), LABELS, scatter, label_error=None, checks=500)
    assert float(tolerances.rows.max()) == pytest.approx(3 * tolerances.overall.value)
    assert float(tolerances.rows.max()) < 10.0


def test_without_any_comparison_it_says_so() -> None:
    tolerances = label_tolerances(torch.full((COUNT,), torch.nan).double(), LABELS, torch.ones(COUNT).double(), label_error=None, checks=500)
    assert "no label could be compared" in tolerances.overall.how


def test_a_row_alone_is_judged_among_all_rows() -> None:
    tolerances = label_tolerances(drawn(torch.zeros(COUNT)).double(), LABELS, torch.ones(COUNT).double(), label_error=2.0, checks=500)
    assert tolerances.alone.tolist() == pytest.approx([2.0 * float(norm.isf(1e-3 / (2 * COUNT)))] * COUNT)


def test_a_row_alone_needs_more_the_fewer_rows_the_deviation_comes_from() -> None:
    errors = normal(COUNT, 7)
    known = {
        count: label_tolerances(drawn(errors, count), LABELS, torch.ones_like(errors), label_error=None, checks=500) for count in (20, 100, 1000)
    }
    ratios = {count: float((found.alone / found.rows).median()) for count, found in known.items()}
    assert ratios[20] > 2.0 > 1.5 > ratios[100] > ratios[1000] > 1.0
    assert all(bool((found.alone >= found.rows).all()) for found in known.values())
    exact = label_tolerances(drawn(0 * errors, 20), LABELS, torch.ones_like(errors), label_error=None, checks=500)
    assert torch.equal(exact.alone, exact.rows)  # an error of nothing is nothing, however few rows show it


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_relative_noise_rejects_no_honest_label(seed: int) -> None:
    """A third of the labels is exact, the largest are off by 5; the screen's scale knows nothing of it, and the 85 % quantile no more than half."""
    labels = torch.clamp(torch.linspace(-50, 100, COUNT, dtype=torch.float64), min=0.0)[
        torch.randperm(COUNT, generator=torch.Generator().manual_seed(seed))
    ]
    errors = 0.05 * labels * normal(COUNT, seed)
    found = label_tolerances(drawn(errors), labels + errors, torch.ones_like(labels), labels, label_error=None, checks=500)
    assert int((errors.abs() > found.alone).sum()) == 0
    assert float(found.alone.max()) < 60.0
    assert float((found.alone / (0.05 * labels))[labels > 10].median()) < 9.0
