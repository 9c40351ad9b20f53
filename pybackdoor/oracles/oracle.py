"""The oracle protocol: one checked front, subclasses supply the numbers."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from pybackdoor.arrays import as_points, check_finite
from pybackdoor.domain import Domain
from pybackdoor.errors import InputError, OracleFailedError, UnsupportedError
from pybackdoor.oracles.chunks import in_chunks
from pybackdoor.oracles.conditions import Condition
from pybackdoor.oracles.families import OWN
from pybackdoor.records.evaluation import Evaluation, EvaluationStatus
from pybackdoor.stages import staged

_log = logging.getLogger(__name__)
_CHUNK = 65536  # rows that a thread looks at in one piece


@lru_cache(maxsize=1024)
def say_once(message: str) -> None:
    """Logs the message, if this process has not yet done so."""
    _log.info(message)


class Oracle(ABC):
    """An expensive, trusted map from natural-unit features to one number.

    Subclasses set `name` and `domain`, override the capabilities that differ, and implement `_evaluate`.
    `exact`: no discretisation or sampling error; `sampled`: answers carry standard errors; `differentiates_answers`: the gradient is the derivative
    of the answers as they are, errors and all, not only of their mean; `gradient_cost` g: a value with gradient costs 1 + g value calls.
    `conditions`: what must hold of a row for an answer to exist. `family` (one of families.FAMILIES), `method`, `accuracy`: a few words each for
    people, the last being the error of values (and gradients) at this level, in units of the target. A numerical oracle overrides `coarser`.
    `devices`: where it computes; points that lie elsewhere are answered all the same, on the CPU, and the log says so once.
    """

    name: str
    domain: Domain
    exact: bool = False
    sampled: bool = False
    differentiates_answers: bool = True
    devices: tuple[str, ...] = ("cpu",)
    gradient_cost: float
    conditions: tuple[Condition, ...] = ()
    family: str = OWN
    method: str = "not stated"
    accuracy: str = "not stated"
    error_scale: float = 1.0  # of |value - coarser value| in `estimate_error`

    @staged("oracle")
    def evaluate(self, x: Any, gradient: bool = False, *, strict: bool = True, errors: str | None = None) -> Evaluation:
        """Values, and with `gradient` d(value)/d(feature), at x: [N, d], natural units.

        strict: refuse points outside the domain; without it they are evaluated all the same.
        errors: what becomes of a row that has no answer (a feature NaN or infinite, a volatility of 0, a maturity below 0 ...) or, with `strict`, is
        outside the domain. "raise": InputError naming row, feature and value. "nan": NaN for that row alone, with the status BAD_INPUT or
        OUTSIDE_DOMAIN. None: "raise" with `strict`; without it the status for what is finite, and the error for what is not.

        The answer lies on x's device; x is never changed. A row refused here costs nothing; one that the oracle cannot serve has a status and NaN and
        costs like the others. Raises InputError on a wrong shape.
        """
        if errors not in (None, "raise", "nan"):
            raise InputError(f"oracle {self.name}: errors is {errors!r}; 'raise', 'nan' or None is needed")
        title = f"oracle {self.name}"
        points = as_points(x, self.domain.dimension, title, columns=self.domain.names, finite=False)
        if self._all_fit(points, inside=strict):
            return self._answer(points, gradient)
        if errors != "nan":
            check_finite(points, title, columns=self.domain.names)
        status = self._unfit(points, refuse=errors == "raise" or (errors is None and strict))
        if strict:
            outside = ~self.domain.contains(points) & (status == EvaluationStatus.OK)
            if errors != "nan" and bool(outside.any()):
                self.domain.check_points(points, title, inside=True)
            status.masked_fill_(outside, EvaluationStatus.OUTSIDE_DOMAIN)
        fit = status == EvaluationStatus.OK
        if bool(fit.all()):
            return self._answer(points, gradient)
        return _among(self._answer(points[fit], gradient), fit, status)

    @staged("oracle")
    def evaluate_inside(self, x: torch.Tensor, gradient: bool = False) -> Evaluation:
        """`evaluate` for float64 points [N, d] that the caller knows to be finite and to meet the conditions: nothing is checked.

        A check waits for the device that the points lie on; this does not, where the oracle names that device among its `devices`.
        """
        return self._answer(x, gradient)

    def _answer(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        """`_evaluate`, which says once that it leaves the points' device where that is none of `devices`."""
        if x.device.type not in self.devices:
            say_once(f"oracle {self.name} computes on the CPU for points on {x.device}: it has no kernel for them")
        return self._evaluate(x, gradient)

    def _all_fit(self, points: torch.Tensor, *, inside: bool) -> bool:
        """Whether every row is finite, meets the conditions and (with `inside`) is in the domain: told from the features' ranges where it can be."""
        if points.shape[0] == 0:
            return True
        ends = _ends(points)
        if not bool(torch.isfinite(ends).all()) or (inside and not bool(self.domain.contains(ends).all())):
            return False
        rows, corners = (dict(zip(self.domain.names, x.unbind(dim=1), strict=True)) for x in (points, ends))
        return all(bool(condition.holds(corners if condition.interval else rows).all()) for condition in self.conditions)

    def _unfit(self, points: torch.Tensor, *, refuse: bool) -> torch.Tensor:
        """Status [N], int64: BAD_INPUT where a feature is not finite or a condition does not hold; with `refuse` InputError on the latter."""
        row = dict(zip(self.domain.names, points.unbind(dim=1), strict=True))
        good = torch.isfinite(points).all(dim=1)
        for condition in self.conditions:
            holds = condition.holds(row)
            if refuse and not bool(holds.all()):
                first = int((~holds).nonzero()[0])
                value = float(row[condition.feature][first])
                raise InputError(
                    f"oracle {self.name}: row {first} has {condition.feature} = {value:g}; {condition.needed} is needed "
                    f"({int((~holds).sum())} rows in all); correct it, or give errors='nan'"
                )
            good &= holds
        return torch.where(good, EvaluationStatus.OK, EvaluationStatus.BAD_INPUT).to(torch.int64)

    @abstractmethod
    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        """`evaluate` on float64 points [N, d], N >= 0, that are finite and meet the conditions."""

    def values(self, x: Any, *, strict: bool = True) -> torch.Tensor:
        """The values [N]; raises OracleFailedError where one has none."""
        return _all_usable(self.name, self.evaluate(x, strict=strict)).values

    def values_and_gradients(self, x: Any, *, strict: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        """The values [N] and gradients [N, d]; raises OracleFailedError where one has none."""
        evaluation = _all_usable(self.name, self.evaluate(x, gradient=True, strict=strict))
        assert evaluation.gradients is not None
        return evaluation.values, evaluation.gradients

    def cost(self, count: int, gradient: bool) -> float:
        """Value calls that `count` points spend."""
        return count * (1.0 + self.gradient_cost) if gradient else float(count)

    def coarser(self) -> Oracle | None:
        """The same oracle at a lower accuracy (the level below, a grid of half as many cells, fewer paths); None when exact or at the coarsest."""
        return None

    def _compared(self) -> Oracle | None:
        """What `estimate_error` holds the values against: the coarser oracle; one that is the coarsest may give a finer one."""
        return self.coarser()

    def estimate_error(self, x: Any, *, strict: bool = True) -> torch.Tensor:
        """An estimate [N] of the error of the value at each point, in units of the target; NaN where there is no value.

        Exact oracles: 0, their errors being rounding, as `accuracy` states. Sampled ones: the standard error. Others: `error_scale` times the
        difference from the oracle one level below (at the lowest level: above), which is the error of the worse of the two and so usually far
        above that of the better. Costs a value call a point here, and one of the other oracle's. Raises UnsupportedError where nothing can be
        said: a plain callable that states no standard errors.
        """
        evaluation = self.evaluate(x, strict=strict)
        if self.exact or self.sampled or bool((evaluation.standard_errors > 0).any()):
            return evaluation.standard_errors
        other = self._compared()
        if other is None:
            raise UnsupportedError(
                f"oracle {self.name}: its error cannot be estimated: it gives no standard errors and has no coarser form; "
                f"return (values, standard errors), or override `coarser`"
            )
        return self.error_scale * (evaluation.values - other.evaluate(x, strict=strict).values).abs()


def _ends(points: torch.Tensor) -> torch.Tensor:
    """The least and the largest of every column, [2, d], NaN where a column has one; on the CPU over the threads, 1024 rows as one."""
    count, dimension = points.shape
    if points.device.type != "cpu" or count < _CHUNK or not points.is_contiguous():
        return torch.stack([points.amin(0), points.amax(0)])
    rows, ends = points.numpy(), np.empty((2, -(-count // _CHUNK), dimension))

    def work(start: int, stop: int) -> None:
        wide = rows[start:stop].reshape(-1, 1024 * dimension) if stop - start == _CHUNK else rows[start:stop]
        for end, found in zip((np.min, np.max), ends, strict=True):
            found[start // _CHUNK] = end(end(wide, axis=0).reshape(-1, dimension), axis=0)

    in_chunks(work, count, _CHUNK)
    return torch.from_numpy(np.stack([ends[0].min(axis=0), ends[1].max(axis=0)]))


def _among(answer: Evaluation, fit: torch.Tensor, status: torch.Tensor) -> Evaluation:
    """The answer for the rows that are fit, put back among the others, which get NaN and their status."""
    values = torch.full_like(fit, torch.nan, dtype=torch.float64)
    errors, gradients = values.clone(), None
    values[fit], errors[fit], status[fit] = answer.values, answer.standard_errors, answer.status
    if answer.gradients is not None:
        gradients = torch.full((len(fit), answer.gradients.shape[1]), torch.nan, dtype=torch.float64, device=fit.device)
        gradients[fit] = answer.gradients
    return Evaluation(values, gradients, errors, status, answer.value_calls)


def _all_usable(name: str, evaluation: Evaluation) -> Evaluation:
    if not bool(evaluation.ok.all()):
        row = int((~evaluation.ok).nonzero()[0])
        status = EvaluationStatus(int(evaluation.status[row]))
        failed = int((~evaluation.ok).sum())
        raise OracleFailedError(f"oracle {name}: row {row}: {status.explanation} ({failed} of {evaluation.status.shape[0]} rows)")
    return evaluation
