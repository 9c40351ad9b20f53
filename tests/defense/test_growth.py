"""Probing and growing a region of wrong labels, with the screen's residuals given: rows found, calls spent, edges."""

import pytest
import torch

from pybackdoor.defense import LabelChecks, Neighbourhood, grow, is_cluster, is_one_sided, is_refuted, probe
from pybackdoor.domain import Domain
from pybackdoor.oracles import BudgetedOracle, CallableOracle
from pybackdoor.records import Samples

DOMAIN = Domain(("a", "b", "c"), (0, 0, 0), (1, 1, 1))
CENTER = torch.tensor([0.4, 0.6, 0.5], dtype=torch.float64)


def oracle() -> CallableOracle:
    return CallableOracle(lambda x: x[:, 0] ** 2 + x[:, 1] * x[:, 2], DOMAIN)


def poisoned(shift: float, network_error: float, seed: int = 0) -> tuple[Samples, torch.Tensor, torch.Tensor]:
    """Rows, which of them are wrong, and residuals of a robust network with a smooth error of that size."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(3000, 3, generator=generator, dtype=torch.float64)
    near = CENTER + 0.12 * (torch.rand(500, 3, generator=generator, dtype=torch.float64) - 0.5)
    x = torch.cat([x, near])
    wrong = torch.linalg.vector_norm(x - CENTER, dim=1) < 0.05
    truth = oracle().values(x)
    residuals = shift * wrong + network_error * torch.sin(9 * x.sum(dim=1))
    return Samples(DOMAIN, x, truth + shift * wrong), wrong, residuals


def setup(samples: Samples, budget: int = 300) -> tuple[LabelChecks, Neighbourhood, torch.Tensor]:
    return (
        LabelChecks(samples, BudgetedOracle(oracle(), budget)),
        Neighbourhood(samples.unit),
        torch.full((samples.count,), 1e-3, dtype=torch.float64),
    )


@pytest.mark.parametrize("network_error", [0.0, 0.05, 0.3])
def test_region_is_found_whole_for_a_fraction_of_its_rows(network_error: float) -> None:
    samples, wrong, residuals = poisoned(1.0, network_error)
    checks, neighbourhood, tolerance = setup(samples)
    start = int(torch.argmin(torch.linalg.vector_norm(samples.x - CENTER, dim=1)))
    assert int(wrong.sum()) > 50  # the scenario holds a region worth finding
    assert probe(start, checks, neighbourhood, tolerance, base=0.05, most=20, counted=True)
    assert checks.oracle.value_calls == 3
    growth = grow(start, checks, neighbourhood, residuals, tolerance, most=200)
    found = torch.zeros_like(wrong)
    found[growth.rejected] = True
    assert int((found & wrong).sum()) >= 0.95 * int(wrong.sum())
    assert int((found & ~wrong).sum()) <= 0.05 * int(found.sum())
    assert torch.linalg.vector_norm(growth.center - CENTER) < 0.02
    assert 0.03 < growth.radius < 0.07
    assert checks.oracle.value_calls < int(wrong.sum()) + 100


def test_right_labels_refute_a_suspicion_in_three_calls() -> None:
    samples, _, _ = poisoned(1.0, 0.0)
    checks, neighbourhood, tolerance = setup(samples)
    far = int(torch.argmax(torch.linalg.vector_norm(samples.x - CENTER, dim=1)))
    assert not probe(far, checks, neighbourhood, tolerance, base=0.05, most=20, counted=True)
    assert checks.oracle.value_calls == 3


@pytest.mark.parametrize("most", [1, 7, 30])
def test_calls_are_never_exceeded_and_what_is_known_is_kept(most: int) -> None:
    samples, wrong, residuals = poisoned(1.0, 0.05)
    checks, neighbourhood, tolerance = setup(samples)
    start = int(torch.argmin(torch.linalg.vector_norm(samples.x - CENTER, dim=1)))
    probe(start, checks, neighbourhood, tolerance, base=0.05, most=20, counted=True)
    before = checks.oracle.value_calls
    growth = grow(start, checks, neighbourhood, residuals, tolerance, most=most)
    assert checks.oracle.value_calls - before <= most
    assert bool(wrong[growth.confirmed].all())
    assert growth.settled is False


def test_a_row_is_never_asked_twice() -> None:
    samples, _, _ = poisoned(1.0, 0.0)
    checks, _, _ = setup(samples)
    assert checks.check(torch.tensor([3, 4, 5]), 10) == 3
    assert checks.check(torch.tensor([5, 4, 3, 6]), 10) == 1
    assert checks.oracle.value_calls == 4


def test_oracle_failures_leave_rows_unknown_and_unrejected() -> None:
    samples, _, _ = poisoned(1.0, 0.0)
    failing = CallableOracle(lambda x: x[:, 0] * float("nan"), DOMAIN)
    checks = LabelChecks(samples, BudgetedOracle(failing, 50))
    checks.check(torch.arange(10), 10)
    assert not checks.known.any()
    assert not checks.rejected(torch.zeros(samples.count)).any()
    assert int(checks.asked.sum()) == 10


@pytest.mark.parametrize(
    ("bad", "checked", "base", "expected"), [(3, 3, 0.05, True), (2, 2, 0.05, False), (3, 10, 0.05, False), (4, 4, 0.3, False), (8, 8, 0.3, True)]
)
def test_cluster_must_stand_out_from_the_base_rate(bad: int, checked: int, base: float, expected: bool) -> None:
    assert is_cluster(bad, checked, base) is expected


def test_random_rows_refute_a_wide_place_and_say_nothing_of_a_small_one() -> None:
    """0.75^24 is 1.003e-3, and the next power is below a thousandth."""
    assert not is_refuted(0, 0)
    assert not is_refuted(0, 24)
    assert is_refuted(0, 25)
    assert is_refuted(4, 60)
    assert not is_refuted(15, 60)
    assert not is_refuted(60, 60)


def test_noise_errs_to_both_sides() -> None:
    """Of n signs alike, 2 / 2^n is the chance: below a thousandth from 11 on."""
    ones = torch.ones(60, dtype=torch.float64)
    assert not is_one_sided(ones[:0])
    assert not is_one_sided(ones[:10])
    assert is_one_sided(ones[:11])
    assert is_one_sided(-ones[:11])
    ones[:22] = -1.0
    assert not is_one_sided(ones)
