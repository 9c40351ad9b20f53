"""Active learning: ask the oracle where the surrogate is likely wrong and samples are few, fit again, until the budget or a target error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import torch

from pybackdoor.active import CollectingOracle, LearningHistory, LearningState, propose
from pybackdoor.data import design
from pybackdoor.errors import InputError, OracleFailedError
from pybackdoor.loops.learn_config import LearnConfig
from pybackdoor.models import fit_many
from pybackdoor.models.network_surrogate import NetworkSurrogate
from pybackdoor.oracles import BudgetedOracle, Oracle
from pybackdoor.records import Samples
from pybackdoor.search import SearchConfig, search
from pybackdoor.search.asking import Asker
from pybackdoor.stages import staged

_TEST = 1 << 20  # the stream of the test set: no round has this number


@staged("learn")
def learn(
    oracle: Oracle, config: LearnConfig | None = None, *, test: Samples | None = None, state: LearningState | None = None, progress: bool = False
) -> tuple[NetworkSurrogate, LearningHistory, Samples]:
    """The surrogate, the history and the training rows when the budget is spent or the target error is reached; see `learning_rounds`.

    >>> from pybackdoor.oracles import oracle
    >>> from pybackdoor.models import FitConfig
    >>> config = LearnConfig(start=50, budget=100, rounds=1, fine_tune_steps=50, fit=FitConfig(widths=(16,), least_steps=50, epochs=1))
    >>> surrogate, history, samples = learn(oracle("branin"), config)
    >>> history.rows, history.oracle_calls
    ((50, 100), (50.0, 100.0))
    """
    for following in learning_rounds(oracle, config, test=test, state=state, progress=progress):
        state = following
    assert state is not None  # without a state the first fit is always yielded
    return state.surrogate, state.history, state.samples


def learning_rounds(
    oracle: Oracle, config: LearnConfig | None = None, *, test: Samples | None = None, state: LearningState | None = None, progress: bool = False
) -> Iterator[LearningState]:
    """The state after the first fit, and after every round. Nothing is written: a caller that saves a state can go on from it later.

    Going on from a state gives, bit for bit, what the uninterrupted run gives. test: a test set at hand, which costs no call, instead of
    `config.test_rows`. An oracle with a smaller budget of its own ends the run early. Points without a usable value are counted, paid for and
    left out.
    Raises OracleFailedError when fewer than two rows of the start have a value, InputError when the state is of another strategy or seed.
    """
    config = config or LearnConfig()
    learner = _Learner(oracle, config, test, progress)
    if state is None:
        state = learner.begin()
        yield state
    elif (state.history.strategy, state.history.seed) != (config.strategy, config.seed):
        raise InputError(
            f"learn: the state is of strategy {state.history.strategy!r} and seed {state.history.seed}, the configuration of "
            f"{config.strategy!r} and {config.seed}; give the same to go on"
        )
    while not learner.done(state):
        following = learner.round(state)
        if following is None:
            return
        state = following
        yield state


class _Learner:
    """The rounds of one run; what changes between them is in the state."""

    def __init__(self, oracle: Oracle, config: LearnConfig, test: Samples | None, progress: bool) -> None:
        self.oracle, self.config, self.test, self.progress = oracle, config, test, progress

    def begin(self) -> LearningState:
        """The first design and the first fit."""
        config, history = self.config, LearningHistory(self.config.strategy, self.config.seed)
        test = self.test
        if test is None and config.test_rows:
            asker = Asker(self.oracle)
            test = self._asked(asker, design(self.oracle.domain, config.test_rows, method="uniform", seed=config.stream(_TEST)))
            history = replace(history, test_calls=asker.spent)
        asker = Asker(BudgetedOracle(self.oracle, config.budget))
        samples = self._asked(asker, design(self.oracle.domain, config.start, method="sobol", seed=config.seed))
        if samples.count < 2:
            raise OracleFailedError(
                f"learn: {samples.count} of the {config.start} points of the start have a value from oracle {self.oracle.name}, "
                f"{asker.failures} failed; at least two are needed to fit"
            )
        state = LearningState(samples, (), replace(history, test_rows=0 if test is None else test.count), test)
        return self._fitted(state, asker.spent, asker.failures, None)

    def done(self, state: LearningState) -> bool:
        """Whether all rounds are through or the error is small enough."""
        history, target = state.history, self.config.target_error
        error = history.test_rmse[-1] if history.test_rmse[-1] is not None else history.fresh_rmse[-1]
        return history.rounds > self.config.rounds or (target is not None and error is not None and error <= target)

    def round(self, state: LearningState) -> LearningState | None:
        """Asks for one round's rows and fits again: the new state, or None when there is no call left to spend."""
        config, number = self.config, state.history.rounds
        count = self._rows_after(number) - self._rows_after(number - 1)
        if count < 1:
            return None
        collecting = CollectingOracle(BudgetedOracle(self.oracle, count))
        if config.strategy == "random":
            points = design(self.oracle.domain, self._rows_after(number), method="sobol", seed=config.seed)[-count:]
            fresh = self._asked(Asker(collecting), points)
        else:
            fresh = self._directed(state, collecting, count, config.stream(number))
        rows = collecting.samples()
        if not rows.count and not collecting.value_calls:
            return None
        error = float((state.surrogate.values(fresh.x) - fresh.y).square().mean().sqrt()) if fresh.count else None
        return self._fitted(replace(state, samples=state.samples.join(rows)), collecting.value_calls, collecting.failures, error)

    def _directed(self, state: LearningState, oracle: CollectingOracle, count: int, seed: int) -> Samples:
        """Spends `count` calls where they should tell most; returns the space-filling rows among them."""
        config, second = self.config, state.surrogates[1]
        known, left = state.samples, count
        if config.strategy == "maximizers":
            budget = max(count // 2, 1)
            settings = SearchConfig(seeds=max(budget // 2, 1), climbers=max(budget // 5, 1), slopes="none", budget=budget)
            search(state.surrogate, oracle, settings, samples=known, pseudo_oracle=second, seed=seed)
            known, left = known.join(oracle.samples()), count - int(-(-oracle.value_calls // 1))
        if left < 1:
            return known.rows(torch.empty(0, dtype=torch.int64))
        proposal = propose(
            state.surrogate,
            second,
            known,
            left,
            exploration=config.exploration,
            maximizer_share=config.maximizer_share,
            sharpness=config.sharpness,
            seed=seed,
        )
        points = known.domain.to_natural(proposal.unit)
        asker = Asker(oracle)
        first = left - proposal.explored
        self._asked(asker, points[:first])
        return self._asked(asker, points[first:])

    def _fitted(self, state: LearningState, calls: float, failures: int, fresh_rmse: float | None) -> LearningState:
        config, history, number = self.config, state.history, state.history.rounds
        fit = replace(config.fit, seed=config.fit.seed + config.stream(number))
        starts = state.surrogates if number and config.refit == "fine_tune" else None
        if starts is not None:
            fit = replace(fit, epochs=1, least_steps=config.fine_tune_steps)
        networks = 1 if config.strategy == "random" else 2
        began = time.perf_counter()
        surrogates = tuple(fit_many([state.samples] * networks, fit, starts=starts, streams=range(networks), progress=self.progress))
        seconds = time.perf_counter() - began
        errors = None if state.test is None else surrogates[0].values(state.test.x) - state.test.y
        history = replace(
            history,
            rows=(*history.rows, state.samples.count),
            oracle_calls=(*history.oracle_calls, (history.oracle_calls or (0.0,))[-1] + calls),
            failures=(*history.failures, (history.failures or (0,))[-1] + failures),
            fit_seconds=(*history.fit_seconds, seconds),
            fresh_rmse=(*history.fresh_rmse, fresh_rmse),
            test_rmse=(*history.test_rmse, None if errors is None else float(errors.square().mean().sqrt())),
            test_max_error=(*history.test_max_error, None if errors is None else float(errors.abs().max())),
        )
        return replace(state, surrogates=surrogates, history=history)

    def _rows_after(self, number: int) -> int:
        """Calls that the start and `number` rounds may have spent."""
        config = self.config
        return config.start + (config.budget - config.start) * number // max(config.rounds, 1)

    def _asked(self, asker: Asker, x: torch.Tensor) -> Samples:
        """The usable answers at natural points x [N, d]."""
        unit = self.oracle.domain.to_unit(x)
        answers = asker.ask(unit)
        return Samples(self.oracle.domain, self.oracle.domain.to_natural(unit)[answers.usable], answers.values[answers.usable])
