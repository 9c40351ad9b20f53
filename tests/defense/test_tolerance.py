"""The tolerance: few false alarms on honest noise, unmoved by a minority of wrong labels, local where the noise is."""

import pytest
import torch

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
