"""What `ops.train` tells of a training, for every backend: history, snapshots, progress, and how it is interrupted."""

import math

import pytest
import torch
from train_cases import FEATURES, ROWS, assert_same_bits, start

from pybackdoor.ops.activation import value_and_derivative
from pybackdoor.ops.train import train
from pybackdoor.records import TrainingPlan


def test_history_and_snapshots_are_those_of_the_states_on_the_way(backend, data):
    x, y = data
    held = torch.tensor([3, 1, 4, 1, 5])
    weights = torch.linspace(0.5, 1.5, ROWS, dtype=torch.float64)
    plan = TrainingPlan(steps=20, batch_size=50, loss="huber", huber_delta=0.2)
    options = {"activation": "elu", "sample_weights": weights, "validation_rows": held, "backend": backend}
    _, history = train(start("elu"), plan, x, y, report_every=6, snapshot_steps=[20, 0, 7, 7], until=19, **options)
    assert history.steps.tolist() == [6, 12, 18, 19]
    assert sorted(history.snapshots) == [0, 7]
    for entry, step in enumerate((6, 12, 18, 19)):
        state, _ = train(start("elu"), plan, x, y, until=step, **options)
        error = residuals(state, "elu", x, y)[held]
        loss = torch.nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=0.2)
        assert float(history.validation_loss[entry, 0]) == pytest.approx(float((weights[held] * loss).sum() / weights[held].sum()), rel=1e-11)
    for step, snapshot in history.snapshots.items():
        state, _ = train(start("elu"), plan, x, y, until=step, **options)
        torch.testing.assert_close(snapshot[0], residuals(state, "elu", x, y), rtol=1e-10, atol=1e-12)


def residuals(state, activation, x, y):
    values = x
    for layer, (weight, bias) in enumerate(zip(state.weights, state.biases, strict=True)):
        values = values @ weight[0].T + bias[0]
        if layer < len(state.weights) - 1:
            values, _ = value_and_derivative(activation, values)
    return y - values[:, 0]


def test_training_loss_is_the_mean_since_the_entry_before(backend, data):
    x, y = data
    plan = TrainingPlan(steps=12, batch_size=20)
    _, each = train(start(), plan, x, y, activation="silu", report_every=1, backend=backend)
    _, some = train(start(), plan, x, y, activation="silu", report_every=5, backend=backend)
    losses = each.training_loss[:, 0]
    means = torch.stack([losses[:5].mean(), losses[5:10].mean(), losses[10:].mean()])
    torch.testing.assert_close(some.training_loss[:, 0], means, rtol=1e-12, atol=0)


def test_an_empty_range_returns_the_same_state(backend, data):
    x, y = data
    state, history = train(start(), TrainingPlan(steps=0), x, y, activation="silu", validation_rows=[0], backend=backend)
    assert_same_bits(state, start())
    assert history.training_loss.shape == history.validation_loss.shape == (0, 1)


def test_divergence_is_reported_as_nan(backend, data):
    x, y = data
    plan = TrainingPlan(steps=60, batch_size=20, learning_rate=1e30, schedule="constant")
    _, history = train(start("relu", dtype=torch.float32), plan, x, y, activation="relu", validation_rows=[0, 1], backend=backend)
    assert not math.isfinite(float(history.training_loss[-1, 0]))
    assert not math.isfinite(float(history.validation_loss[-1, 0]))


def test_an_exception_in_progress_stops_and_leaves_the_state(backend, data):
    x, y = data
    state, seen = start("relu", widths=(FEATURES, 64, 64, 1)), []

    def stop(step):
        seen.append(step)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(state, TrainingPlan(steps=10**9, batch_size=256), x, y, activation="relu", progress=stop, backend=backend)
    assert len(seen) == 1
    assert 0 <= seen[0] < 10**9
    assert_same_bits(state, start("relu", widths=(FEATURES, 64, 64, 1)))


def test_progress_ends_with_the_last_step(backend, data):
    x, y = data
    seen = []
    train(start(), TrainingPlan(steps=10, batch_size=5), x, y, activation="silu", progress=seen.append, backend=backend)
    assert seen[-1] == 10
    assert seen == sorted(seen)
