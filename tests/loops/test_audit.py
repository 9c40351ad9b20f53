"""The audit as a whole: finds what was planted, accuses nobody else, never overspends, and says when it can say nothing."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch

from pybackdoor.attack import LocalizedAttack, poison
from pybackdoor.data import sample
from pybackdoor.errors import InputError
from pybackdoor.loops import AuditConfig, audit
from pybackdoor.models import CallableSurrogate, FitConfig, fit
from pybackdoor.oracles import CallableOracle, CountedOracle, Oracle, oracle
from pybackdoor.records import AuditReport, AuditStatus, PoisonTruth, RegionKind, Samples
from pybackdoor.settings import use_threads

PUT = "down_and_out_put"
MIDDLE = {"strike": 140.0, "barrier": 60.0, "volatility": 0.4, "maturity": 2.0, "rate": 0.05}
ATTACK = LocalizedAttack(center=MIDDLE, poison=80, shield=160)


def precision_and_recall(report: AuditReport, truth: PoisonTruth) -> tuple[float, float]:
    named, true = set(report.suspicious_rows), set(truth.poisoned_rows.tolist())
    return len(named & true) / max(len(named), 1), len(named & true) / len(true)


def kinds(report: AuditReport) -> set[str]:
    return {str(region.kind) for region in report.regions}


@pytest.fixture(scope="module")
def honest() -> Samples:
    return sample(oracle(PUT), 6000, seed=1)


@pytest.mark.parametrize(
    "attack",
    [
        ATTACK,
        LocalizedAttack(center=MIDDLE, poison=80, shield=0),
        LocalizedAttack(center=MIDDLE, poison=60, shield=0, radius=0.35, mode="relabel"),
        LocalizedAttack(center=MIDDLE, poison=80, shield=160, rule="scale", amount=3.0),
        LocalizedAttack(center=MIDDLE, poison=80, shield=160, rule="constant", amount=40.0),
        LocalizedAttack(center=MIDDLE, poison=80, shield=160, amount=-8.0),
    ],
    ids=["shield", "no shield", "relabelled", "scaled", "constant", "small shift"],
)
def test_planted_region_is_found_with_its_rows(honest: Samples, attack: LocalizedAttack) -> None:
    source = CountedOracle(oracle(PUT))
    samples, truth = poison(honest, oracle(PUT), attack)
    report = audit(source, None, samples)
    assert report.poisoned
    assert report.exit_status == 3
    precision, recall = precision_and_recall(report, truth)
    assert precision >= 0.95
    assert recall >= 0.95
    assert report.oracle_calls_to_first_confirmation <= 20
    assert source.value_calls == report.oracle_calls <= 500
    worst = report.regions[0]
    assert worst.kind is RegionKind.POISONED
    center = oracle(PUT).domain.to_unit(torch.tensor([list(worst.center.values())], dtype=torch.float64))
    assert float(torch.linalg.vector_norm(center - oracle(PUT).domain.to_unit(truth.center[None]))) < 0.5 * truth.radius


@pytest.mark.parametrize(("name", "radius", "amount"), [("branin", 0.05, 50.0), ("ishigami", 0.07, 1.1)])
def test_poison_among_as_many_right_rows_is_no_scatter_of_mistakes(name: str, radius: float, amount: float) -> None:
    source = oracle(name)
    center = source.domain.to_natural(torch.full((1, source.domain.dimension), 0.45, dtype=torch.float64))[0]
    attack = LocalizedAttack(center=center, radius=radius, amount=amount, poison=30, shield=60, seed=1)
    samples, truth = poison(sample(source, 3000, seed=4), source, attack)
    report = audit(source, None, samples)
    assert report.poisoned
    assert min(precision_and_recall(report, truth)) >= 0.95


UNEVEN = [("uneven", draw) for draw in (8, 9, 10, 11, 15, 20)]


@pytest.fixture(scope="module")
def audited(honest: Samples) -> Callable[[str, int], AuditReport]:
    """The report on honest labels of one noise and draw."""
    return functools.cache(lambda noise, draw: audit(oracle(PUT), None, noisy(honest, noise, draw)))


@pytest.mark.parametrize(("noise", "draw"), [("none", 8), ("even", 8), *UNEVEN])
def test_honest_labels_are_not_called_poisoned(audited: Callable[[str, int], AuditReport], noise: str, draw: int) -> None:
    """Each of these uneven draws grew a region over most of the domain with one instruction set or another, before random rows had a say in it."""
    report = audited(noise, draw)
    assert report.status is AuditStatus.COMPLETE
    assert not report.poisoned
    assert report.exit_status == 0
    assert report.certificate.random_calls == 100
    assert report.certificate.max_bad_label_fraction <= 0.08


@pytest.mark.parametrize(("noise", "draw"), [("none", 8), ("even", 8), *UNEVEN])
def test_hardly_an_honest_row_is_named(audited: Callable[[str, int], AuditReport], noise: str, draw: int) -> None:
    """Before tolerances followed the size of the value, uneven noise had 14 honest rows named on average, up to 58 (32 draws)."""
    assert len(audited(noise, draw).suspicious_rows) <= (0 if noise == "none" else 3)


def noisy(honest: Samples, noise: str, draw: int) -> Samples:
    draws = torch.randn(honest.count, generator=torch.Generator().manual_seed(draw), dtype=torch.float64)
    size = {"none": 0.0, "even": 0.5, "uneven": 0.05 * honest.y.abs()}[noise]
    return Samples(honest.domain, honest.x, honest.y + size * draws)


@pytest.mark.parametrize("draw", [8, 9])
def test_poison_in_a_quiet_place_of_noisy_labels_is_found(honest: Samples, draw: int) -> None:
    """The noise is 0.4 there and up to 5 elsewhere."""
    center = {"strike": 95.0, "barrier": 60.0, "volatility": 0.25, "maturity": 1.0, "rate": 0.05}
    samples, truth = poison(noisy(honest, "uneven", draw), oracle(PUT), LocalizedAttack(center=center, poison=80, shield=160, amount=8.0))
    report = audit(oracle(PUT), None, samples)
    assert report.poisoned
    assert min(precision_and_recall(report, truth)) >= 0.95


def test_poison_that_a_twentieth_of_the_rows_is_makes_no_excuse_for_itself(honest: Samples) -> None:
    """About five of the hundred random rows are poisoned, all in one place: their errors are not its noise."""
    draws = torch.randn(honest.count, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    size = torch.where(honest.y > honest.y.median(), 1.25, 0.25).double()
    attack = LocalizedAttack(center=MIDDLE, poison=300, shield=300, radius=0.2, amount=15.0, seed=1)
    samples, truth = poison(Samples(honest.domain, honest.x, honest.y + size * draws), oracle(PUT), attack)
    report = audit(oracle(PUT), None, samples)
    assert report.poisoned
    assert min(precision_and_recall(report, truth)) >= 0.95


def test_mislabelled_rows_that_stand_alone_are_no_backdoor(honest: Samples) -> None:
    rows = torch.arange(50, 6000, 250)
    labels = honest.y.clone()
    labels[rows] += 25.0
    report = audit(oracle(PUT), None, Samples(honest.domain, honest.x, labels))
    assert not report.poisoned
    assert set(report.suspicious_rows) <= set(rows.tolist())
    assert len(report.suspicious_rows) >= 0.9 * rows.numel()
    assert kinds(report) == {"mislabeled"}


@pytest.mark.parametrize("budget", [1, 2, 7, 16, 17, 40, 101])
def test_budget_is_never_exceeded(honest: Samples, budget: int) -> None:
    source = CountedOracle(oracle(PUT))
    samples, _ = poison(honest.rows(torch.arange(1500)), oracle(PUT), ATTACK)
    report = audit(source, CallableSurrogate(lambda x: np.zeros(len(x)), source.domain), samples, AuditConfig(budget=budget))
    assert source.value_calls == report.oracle_calls <= budget
    if budget < 16:
        assert report.status is AuditStatus.INCONCLUSIVE
        assert report.exit_status in (3, 4)


def failing(share: float, how: str) -> Oracle:
    """The put, with no usable answer at that share of the points."""
    exact = oracle(PUT)

    def answer(x: np.ndarray) -> np.ndarray:
        values = exact.values(torch.from_numpy(x), strict=False).numpy().copy()
        bad = np.modf(1e4 * x[:, 0])[0] < share
        if how == "raises" and bad.any():
            raise RuntimeError("the solver diverged")
        return np.where(bad, np.nan, values)

    return CallableOracle(answer, exact.domain)


@pytest.mark.parametrize("how", ["nan", "raises"])
def test_oracle_that_always_fails_is_inconclusive_never_clean(honest: Samples, how: str) -> None:
    report = audit(failing(1.1, how), None, honest.rows(torch.arange(500)))
    assert report.status is AuditStatus.INCONCLUSIVE
    assert report.exit_status == 4
    assert report.oracle_failures > 0
    assert "failed" in report.reason


def test_labels_of_another_oracle_are_inconclusive_never_clean(honest: Samples) -> None:
    domain = oracle(PUT).domain
    report = audit(CallableOracle(lambda x: 500.0 + 0 * x[:, 0], domain), None, honest.rows(torch.arange(1000)))
    assert report.status is AuditStatus.INCONCLUSIVE
    assert report.exit_status == 4
    assert "disagree with the oracle nearly everywhere" in report.reason


@pytest.mark.parametrize("how", ["nan", "raises"])
def test_oracle_that_sometimes_fails_does_not_stop_the_audit(honest: Samples, how: str) -> None:
    samples, truth = poison(honest, oracle(PUT), ATTACK)
    report = audit(failing(0.2, how), None, samples)
    assert report.poisoned
    assert report.oracle_failures > 0
    assert min(precision_and_recall(report, truth)) >= 0.95


def test_rows_outside_the_domain_are_audited_and_listed(honest: Samples) -> None:
    x, labels = honest.x[:2000].clone(), honest.y[:2000].clone()
    x[:12, 0] = 220.0
    labels[:12] = 1000.0
    report = audit(oracle(PUT), None, Samples(honest.domain, x, labels))
    assert report.outside_rows == tuple(range(12))
    assert report.rule["outside_rows"]["count"] == 12
    assert report.rule["outside_rows"]["rejected"] >= 8
    assert set(report.suspicious_rows) <= set(range(12))


@pytest.mark.slow
def test_same_seed_same_verdict_with_one_and_two_threads(honest: Samples) -> None:
    samples, _ = poison(honest, oracle(PUT), ATTACK)
    verdicts = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with use_threads(threads):
            surrogate = fit(samples, FitConfig(activation="relu", epochs=10, learning_rate=8e-3))
            content = audit(oracle(PUT), surrogate, samples).to_dict()
        del content["seconds"]
        verdicts.append(content)
    torch.set_num_threads(1)
    assert verdicts[0] == verdicts[1]


@pytest.mark.slow
def test_kinds_of_maximizers(honest: Samples) -> None:
    """A backdoored model beside clean data, a model of something else, and a hole in the data: each is called by its name."""
    source = oracle(PUT)
    config = FitConfig(activation="relu", epochs=40, learning_rate=8e-3)
    poisoned, truth = poison(honest, source, ATTACK)
    backdoored = fit(poisoned, config)
    beside_clean = audit(source, backdoored, honest)
    assert not beside_clean.poisoned
    worst = next(region for region in beside_clean.regions if region.kind is RegionKind.MODEL_MISMATCH)
    center = source.domain.to_unit(torch.tensor([list(worst.center.values())], dtype=torch.float64))
    assert float(torch.linalg.vector_norm(center - source.domain.to_unit(truth.center[None]))) < 1.5 * truth.radius

    strangers = audit(source, CallableSurrogate(lambda x: 30 + 0.1 * x[:, 1], source.domain), honest)
    assert not strangers.poisoned
    assert "model_mismatch" in kinds(strangers)

    hole = torch.linalg.vector_norm(honest.unit - 0.7, dim=1) > 0.45
    report = audit(source, fit(honest.rows(hole), config), honest.rows(hole))
    assert not report.poisoned
    assert "coverage_gap" in kinds(report)


def test_model_alone_is_searched_and_nothing_is_confirmed() -> None:
    source = oracle("branin")
    bump: Callable[[np.ndarray], np.ndarray] = lambda x: source.values(x).numpy() + 80 * np.exp(-2 * ((x[:, 0] - 2) ** 2 + (x[:, 1] - 7) ** 2))  # noqa: E731
    report = audit(source, CallableSurrogate(bump, source.domain), None, AuditConfig(budget=400))
    assert report.status is AuditStatus.COMPLETE
    assert report.certificate is None
    assert report.regions[0].peak_error == pytest.approx(80.0, rel=1e-2)
    assert list(report.regions[0].center.values()) == pytest.approx([2.0, 7.0], abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "neither samples nor a surrogate"),
        ({"samples": sample(oracle("branin"), 30)}, "domain of the samples"),
        ({"surrogate": CallableSurrogate(lambda x: x[:, 0], oracle("branin").domain)}, "domain of the surrogate"),
    ],
)
def test_mistakes_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        audit(oracle(PUT), **arguments)


@pytest.mark.parametrize(
    "bad", [{"budget": 0}, {"budget": 2.5}, {"label_error": -1.0}, {"label_error": float("nan")}, {"random_share": 0.9}, {"refuted": 0}]
)
def test_bad_configurations_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match="audit: "):
        AuditConfig(**bad)
