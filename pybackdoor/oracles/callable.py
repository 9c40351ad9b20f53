"""A plain Python callable as an oracle; its gradient is the user's, or finite differences that are charged."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from pybackdoor.arrays import as_tensor, as_values
from pybackdoor.domain import Domain
from pybackdoor.errors import InputError, InputTypeError
from pybackdoor.oracles.differences import difference_points, differences
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.records.evaluation import Evaluation, EvaluationStatus

_log = logging.getLogger(__name__)

ArrayFunction = Callable[[np.ndarray], Any]


class CallableOracle(Oracle):
    """`function(x)` with x a float64 array [N, d] in natural units, returning [N] values, or the pair (values [N], standard errors [N]).

    gradient: a callable [N, d] -> [N, d], d(value)/d(feature) in natural units, taken to cost as much as `gradient_cost` values (1 unless said
    otherwise); without it the gradient is by second-order differences, central and at the bounds one-sided, which cost 2 d values more.
    difference_step: their step in the unit cube; raise it for a function with noise.

    A batch on which `function` raises, or returns anything but one number a point, is evaluated point by point, and only the failing points get a
    status (RAISED, BAD_SHAPE, NOT_FINITE) and NaN. A row whose gradient fails counts as failed. Points that fail are charged like others, the failed
    batch is not. `function` receives copies. Raises InputTypeError when `function` or `gradient` cannot be called.

    >>> domain = Domain(("a", "b"), (0.0, 0.0), (1.0, 1.0))
    >>> CallableOracle(lambda x: x[:, 0] * x[:, 1], domain, name="product").values([[0.5, 0.5]])
    tensor([0.2500], dtype=torch.float64)
    """

    def __init__(
        self,
        function: ArrayFunction,
        domain: Domain,
        *,
        name: str | None = None,
        gradient: ArrayFunction | None = None,
        gradient_cost: float | None = None,
        difference_step: float = 6e-6,
    ) -> None:
        for role, given in (("function", function), ("gradient", gradient)):
            if not callable(given) and not (role == "gradient" and given is None):
                raise InputTypeError(f"callable oracle: {role} is a {type(given).__name__}; a callable on arrays [N, {domain.dimension}] is needed")
        if not 0 < difference_step <= 0.25:
            raise InputError(f"callable oracle: difference_step is {difference_step}; a fraction of the range in (0, 0.25] is needed")
        if gradient_cost is not None and (gradient is None or not gradient_cost >= 0):
            raise InputError(f"callable oracle: gradient_cost {gradient_cost}; a number >= 0 that goes with `gradient` is needed")
        self.name = name if name is not None else str(getattr(function, "__name__", "callable"))
        self.domain = domain
        self.gradient_cost = 2.0 * domain.dimension if gradient is None else 1.0 if gradient_cost is None else float(gradient_cost)
        self._function = function
        self._gradient = gradient
        self._step = difference_step

    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        points = x.cpu()
        count, dimension = points.shape
        gradients = None
        if gradient and self._gradient is None:
            stencil = difference_points(self.domain, points, self._step)  # [2 d, N, d]
            answers, status = self._ask(self._function, torch.cat([points[None], stencil]).reshape(-1, dimension), 2)
            answers, status = answers.reshape(1 + 2 * dimension, count, 2), status.reshape(1 + 2 * dimension, count)
            gradients = differences(points, stencil, answers[..., 0])
            status = torch.where(status[0] != 0, status[0], status.max(dim=0).values)
            answers = answers[0]
        else:
            answers, status = self._ask(self._function, points, 2)
            if gradient:
                assert self._gradient is not None
                gradients, failed = self._ask(self._gradient, points, dimension, matrix=True)
                status = torch.where(status != 0, status, failed)
        bad = status != EvaluationStatus.OK
        values, errors = answers[:, 0].masked_fill(bad, torch.nan), answers[:, 1].masked_fill(bad, torch.nan)
        if gradients is not None:
            gradients = gradients.masked_fill(bad[:, None], torch.nan).to(x.device)
        return Evaluation(values.to(x.device), gradients, errors.to(x.device), status.to(x.device), self.cost(count, gradient))

    def _ask(self, function: ArrayFunction, points: torch.Tensor, width: int, *, matrix: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """What `function` returns at points [N, d], as [N, width] with NaN where it failed, and the status [N]."""
        count = points.shape[0]
        if count == 0:
            return torch.zeros(0, width, dtype=torch.float64), torch.zeros(0, dtype=torch.int64)
        try:
            raw = function(points.numpy().copy())
            answer = _matrix(raw, count, width) if matrix else _pairs(raw, count)
        except Exception as error:  # the user's function may raise anything; what it did is in the status of the rows
            code = EvaluationStatus.BAD_SHAPE if isinstance(error, _BadAnswerError) else EvaluationStatus.RAISED
            if count == 1:
                _log.debug("oracle %s failed at %s: %s", self.name, points[0].tolist(), error)
                return torch.full((1, width), torch.nan, dtype=torch.float64), torch.full((1,), code, dtype=torch.int64)
            _log.warning("oracle %s failed on a batch of %d points (%s: %s); asking point by point", self.name, count, type(error).__name__, error)
            rows = [self._ask(function, point[None], width, matrix=matrix) for point in points]
            return torch.cat([row for row, _ in rows]), torch.cat([status for _, status in rows])
        finite = torch.isfinite(answer).all(dim=1)
        status = torch.where(finite, EvaluationStatus.OK, EvaluationStatus.NOT_FINITE).to(torch.int64)
        return answer, status


class _BadAnswerError(Exception):
    """The function returned something that is not one number (or one gradient) a point."""


def _pairs(answer: Any, count: int) -> torch.Tensor:
    """Values and standard errors: [N, 2]."""
    values, errors = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, None)
    pair = torch.zeros(count, 2, dtype=torch.float64)
    pair[:, 0] = _vector(values, count)
    if errors is not None:
        given = _vector(errors, count)
        pair[:, 1] = torch.where(given >= 0, given, torch.nan)
    return pair


def _vector(answer: Any, count: int) -> torch.Tensor:
    try:
        vector = as_tensor(answer, "answer").cpu()
        return as_values(vector.reshape(1) if vector.ndim == 0 and count == 1 else vector, count, "answer", finite=False)
    except (InputError, InputTypeError) as error:
        raise _BadAnswerError(str(error)) from error


def _matrix(answer: Any, count: int, dimension: int) -> torch.Tensor:
    try:
        matrix = as_tensor(answer, "gradient").cpu()
    except InputTypeError as error:
        raise _BadAnswerError(str(error)) from error
    if matrix.shape != (count, dimension):
        raise _BadAnswerError(f"gradient has shape {tuple(matrix.shape)}; [{count}, {dimension}] is needed")
    return matrix
