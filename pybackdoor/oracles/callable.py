"""A plain Python callable as an oracle, called here or in worker processes; its gradient is the user's, or finite differences that are charged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Unpack

import numpy as np
import torch

from pybackdoor.arrays import as_tensor, as_values
from pybackdoor.domain import Domain
from pybackdoor.errors import InputError, InputTypeError
from pybackdoor.oracles.differences import difference_points, differences
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.records.evaluation import Evaluation, EvaluationStatus
from pybackdoor.workers import PoolOptions, WorkerPool

_log = logging.getLogger(__name__)
_STEP = 6e-6  # of a range: the cube root of the rounding error

ArrayFunction = Callable[[np.ndarray], Any]


class CallableOracle(Oracle):
    """`function(x)` with x a float64 array [N, d] in natural units, returning [N] values, or the pair (values [N], standard errors [N]).

    gradient: a callable [N, d] -> [N, d], d(value)/d(feature) in natural units, taken to cost as much as `gradient_cost` values (1 unless said
    otherwise); without it the gradient is by second-order differences, central and at the bounds one-sided, which cost 2 d values more.
    difference_step: their step in the unit cube, one number or {feature: step}; raise it for a function with noise.
    processes: `PoolOptions`; with workers=4 and timeout=60, say, rows are evaluated one by one in four processes, and one that takes longer than a
    minute is stopped (status TIMED_OUT). The processes are kept until `close`, an exception, or the end of this one.

    A batch on which `function` raises, or returns anything but one number a point, is evaluated point by point, and only the failing points get a
    status (RAISED, BAD_SHAPE, NOT_FINITE; from processes also TIMED_OUT, and CRASHED where the process died) and NaN. A row whose gradient fails
    counts as failed. Points that fail are charged like others; the failed batch and further attempts are not. `function` receives copies. Raises
    InputTypeError when `function` or `gradient` cannot be called, and InputError when they cannot be brought into a process.

    >>> domain = Domain(("a", "b"), (0.0, 0.0), (1.0, 1.0))
    >>> CallableOracle(lambda x: x[:, 0] * x[:, 1], domain, name="product").values([[0.5, 0.5]])
    tensor([0.2500], dtype=torch.float64)
    """

    method = "Python function"

    def __init__(
        self,
        function: ArrayFunction,
        domain: Domain,
        *,
        name: str | None = None,
        gradient: ArrayFunction | None = None,
        gradient_cost: float | None = None,
        difference_step: float | Mapping[str, float] = _STEP,
        **processes: Unpack[PoolOptions],
    ) -> None:
        for role, given in (("function", function), ("gradient", gradient)):
            if not callable(given) and not (role == "gradient" and given is None):
                raise InputTypeError(f"callable oracle: {role} is a {type(given).__name__}; a callable on arrays [N, {domain.dimension}] is needed")
        if gradient_cost is not None and (gradient is None or not gradient_cost >= 0):
            raise InputError(f"callable oracle: gradient_cost {gradient_cost}; a number >= 0 that goes with `gradient` is needed")
        self.name = name if name is not None else str(getattr(function, "__name__", "callable"))
        self.domain = domain
        self.gradient_cost = 2.0 * domain.dimension if gradient is None else 1.0 if gradient_cost is None else float(gradient_cost)
        self._function = function
        self._gradient = gradient
        self._step = _steps(difference_step, domain)
        options = dict(processes)
        self._progress, workers = options.pop("progress", False), options.pop("workers", 0)
        idle = [name for name, value in options.items() if value]
        if not workers and idle:
            raise InputError(f"callable oracle: {', '.join(idle)} without workers; give workers=1 or more")
        self._pool = WorkerPool(self.functions, workers, **options) if workers else None  # type: ignore[arg-type]

    @property
    def functions(self) -> tuple[ArrayFunction, ...]:
        """The function, and the gradient where one was given."""
        return (self._function,) if self._gradient is None else (self._function, self._gradient)

    @property
    def difference_steps(self) -> dict[str, float]:
        """The step of every feature in the unit cube, for gradients by differences."""
        return dict(zip(self.domain.names, self._step.tolist(), strict=True))

    def close(self) -> None:
        """Ends the worker processes, if there are any; the next question starts new ones."""
        if self._pool is not None:
            self._pool.close()

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
        if self._pool is not None:
            return self._ask_workers(self._pool, points, width, matrix=matrix)
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
        return answer, _finite_status(answer)

    def _ask_workers(self, pool: WorkerPool, points: torch.Tensor, width: int, *, matrix: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """`_ask`, row by row in the worker processes."""
        from tqdm import tqdm

        tasks = [(int(matrix), row[None].copy()) for row in points.numpy()]
        with tqdm(total=len(tasks), desc=self.name, unit="row", delay=2, leave=False, disable=not self._progress) as bar:
            outcomes = pool.run(tasks, done=lambda outcome: bar.update())
        answers, status, reason = torch.full((len(tasks), width), torch.nan, dtype=torch.float64), torch.zeros(len(tasks), dtype=torch.int64), ""
        for row, (kind, content) in enumerate(outcomes):
            try:
                if kind != "answer":
                    status[row] = _FAILURES[kind]
                    raise _BadAnswerError(f"{kind.replace('_', ' ')}: {content}")
                status[row] = EvaluationStatus.BAD_SHAPE
                answers[row] = (_matrix(content, 1, width) if matrix else _pairs(content, 1))[0]
                status[row] = _finite_status(answers[row : row + 1])[0]
            except _BadAnswerError as error:
                reason = reason or f"at {points[row].tolist()} {error}"
        if reason:
            _log.warning("oracle %s failed at %d of %d points; the first: %s", self.name, int((status != 0).sum()), len(tasks), reason)
        return answers, status


_FAILURES = {
    "bad_answer": EvaluationStatus.BAD_SHAPE,
    "raised": EvaluationStatus.RAISED,
    "timed_out": EvaluationStatus.TIMED_OUT,
    "crashed": EvaluationStatus.CRASHED,
}


class _BadAnswerError(Exception):
    """The function returned something that is not one number (or one gradient) a point."""


def _steps(step: float | Mapping[str, float], domain: Domain) -> torch.Tensor:
    """The step of every feature, [d]."""
    given = {name: step for name in domain.names} if not isinstance(step, Mapping) else dict(step)
    unknown = sorted(given.keys() - set(domain.names))
    if unknown:
        raise InputError(f"callable oracle: difference_step for {', '.join(unknown)}; the features are {', '.join(domain.names)}")
    for name, width in given.items():
        if not 0 < width <= 0.25:
            raise InputError(f"callable oracle: difference_step of {name} is {width}; a fraction of the range in (0, 0.25] is needed")
    return torch.tensor([given.get(name, _STEP) for name in domain.names], dtype=torch.float64)


def _finite_status(answer: torch.Tensor) -> torch.Tensor:
    finite = torch.isfinite(answer).all(dim=1)
    return torch.where(finite, EvaluationStatus.OK, EvaluationStatus.NOT_FINITE).to(torch.int64)


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
