"""The paper's experiment end to end: an accurate surrogate, a localized backdoor, the audit that finds it, the repair that removes it.

After X. Li, G. Kesidis, D. J. Miller, V. Lucic, "Backdoor Attack and Defense for Deep Regression", arXiv 2109.02381 (2021), on its example
problem, the down-and-out put; sizes and settings are ours.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import torch

from pybackdoor.attack import LocalizedAttack, poison
from pybackdoor.attack.ball import uniform_in_shell
from pybackdoor.data import sample
from pybackdoor.defense import repair
from pybackdoor.domain import Domain
from pybackdoor.loops.audit import audit
from pybackdoor.loops.audit_config import AuditConfig
from pybackdoor.models import FitConfig, NetworkSurrogate, fit, fit_many
from pybackdoor.oracles import Oracle, oracle
from pybackdoor.records import AuditReport, PoisonTruth, Samples

CLEAN, UNSHIELDED, POISONED, REPAIRED = "clean", "poisoned, no shield", "poisoned", "repaired"
SHELLS = ((1.0, 1.5), (1.5, 2.5))  # radii of the ball between which collateral error is measured
CENTER = {"strike": 140.0, "barrier": 60.0, "volatility": 0.4, "maturity": 2.0, "rate": 0.05}
PROBES = 2000


@dataclass(frozen=True)
class ExperimentConfig:
    """What fixes the experiment; each of `seeds` repeats it with other data, poison, networks and audit draws."""

    oracle: str = "down_and_out_put"
    rows: int = 20_000
    test_rows: int = 20_000
    attack: LocalizedAttack = field(default_factory=lambda: LocalizedAttack(center=CENTER))
    fit: FitConfig = field(default_factory=FitConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    seeds: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class ModelErrors:
    """Errors of one model against the oracle, target units.

    Over the whole domain: `test_rmse`, `maximum`; in the attack's ball: mean signed error `ball`, `ball_rmse`; `shells`: RMSE in two shells
    around it.
    """

    test_rmse: float
    maximum: float
    ball: float
    ball_rmse: float
    shells: tuple[float, ...]


@dataclass(frozen=True)
class Detection:
    """An audit beside the truth it never saw: precision and recall of its suspicious rows (1 where there is nothing to find or nothing was named)."""

    report: AuditReport
    precision: float
    recall: float


@dataclass(frozen=True)
class Trial:
    """One seed: models by name, their errors, signed errors at the test points [T], audits of the poisoned data and of the clean twin, seconds a
    stage.
    """

    seed: int
    surrogates: dict[str, NetworkSurrogate]
    errors: dict[str, ModelErrors]
    test_errors: dict[str, torch.Tensor]
    detections: dict[str, Detection]
    truth: PoisonTruth
    seconds: dict[str, float]


def run_trial(config: ExperimentConfig, seed: int, *, progress: bool = False) -> Trial:
    """The experiment with one seed: four models, two audits, one repair."""
    source = oracle(config.oracle)
    attack = replace(config.attack, seed=seed)
    seconds = {}
    start = time.perf_counter()
    clean = sample(source, config.rows, seed=2 * seed + 1)
    test = sample(source, config.test_rows, method="uniform", seed=2 * seed + 2)
    unshielded, _ = poison(clean, source, replace(attack, shield=0))
    poisoned, truth = poison(clean, source, attack)
    seconds["data"] = time.perf_counter() - start
    start = time.perf_counter()
    fitting = replace(config.fit, seed=seed)
    names = (CLEAN, UNSHIELDED, POISONED)
    surrogates = dict(zip(names, fit_many([clean, unshielded, poisoned], fitting, progress=progress), strict=True))
    seconds["training"] = time.perf_counter() - start
    auditing = replace(config.audit, seed=seed)
    start = time.perf_counter()
    nothing = torch.zeros(0, dtype=torch.int64)
    detections = {
        POISONED: _detection(audit(source, surrogates[POISONED], poisoned, auditing, progress=progress), truth.poisoned_rows),
        CLEAN: _detection(audit(source, surrogates[CLEAN], clean, auditing, progress=progress), nothing),
    }
    seconds["audits"] = time.perf_counter() - start
    start = time.perf_counter()
    surrogates[REPAIRED] = fit(repair(poisoned, detections[POISONED].report), fitting, progress=progress)
    seconds["repair"] = time.perf_counter() - start
    errors = {name: _errors(surrogate, source, test, truth) for name, surrogate in surrogates.items()}
    test_errors = {name: surrogate.values(test.x) - test.y for name, surrogate in surrogates.items()}
    return Trial(seed, surrogates, errors, test_errors, detections, truth, seconds)


@dataclass(frozen=True)
class Slice:
    """Oracle and models along one feature through the ball's center: positions [P], natural units; curves {name: [P]}; ball and shield as
    intervals.
    """

    feature: str
    positions: torch.Tensor
    curves: dict[str, torch.Tensor]
    ball: tuple[float, float]
    shell: tuple[float, float]
    log: bool


def slice_through(trial: Trial, source: Oracle, *, feature: str | None = None, points: int = 401) -> Slice:
    """The slice along `feature` (default: the first) through the center of the trial's attack, with `points` calls of the oracle."""
    domain: Domain = source.domain
    axis = domain.names.index(feature) if feature is not None else 0
    center = domain.to_unit(trial.truth.center[None])  # [1, d]
    unit = center.repeat(points, 1)
    unit[:, axis] = torch.linspace(0, 1, points, dtype=torch.float64)
    x = domain.to_natural(unit)
    curves = {"oracle": source.values(x)} | {name: surrogate.values(x) for name, surrogate in trial.surrogates.items() if name != UNSHIELDED}

    def interval(radius: float) -> tuple[float, float]:
        ends = center.repeat(2, 1)
        ends[:, axis] += torch.tensor([-radius, radius], dtype=torch.float64)
        low, high = domain.to_natural(ends.clamp(0, 1))[:, axis].tolist()
        return low, high

    return Slice(
        domain.names[axis], x[:, axis], curves, interval(trial.truth.radius), interval(trial.truth.shield_radius), domain.scales[axis] == "log"
    )


def _detection(report: AuditReport, poisoned: torch.Tensor) -> Detection:
    named, true = set(report.suspicious_rows), set(poisoned.tolist())
    hits = len(named & true)
    return Detection(report, hits / len(named) if named else 1.0, hits / len(true) if true else 1.0)


def _errors(surrogate: NetworkSurrogate, source: Oracle, test: Samples, truth: PoisonTruth) -> ModelErrors:
    overall = surrogate.values(test.x) - test.y
    center = source.domain.to_unit(truth.center[None])[0]

    def between(inner: float, outer: float) -> torch.Tensor:
        unit = uniform_in_shell(PROBES, center, inner, outer, seed=int(test.count), purpose="experiment.probes")
        x = source.domain.to_natural(unit)
        return surrogate.values(x) - source.values(x)

    ball = between(0.0, truth.radius)
    shells = tuple(_rms(between(inner * truth.radius, outer * truth.radius)) for inner, outer in SHELLS)
    return ModelErrors(_rms(overall), float(overall.abs().max()), float(ball.mean()), _rms(ball), shells)


def _rms(values: torch.Tensor) -> float:
    return float(values.square().mean().sqrt())
