"""What `ops.train` promises, for every backend: against torch.optim.AdamW, itself in parts, and closed forms."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from train_cases import FEATURES, ROWS, assert_same_bits, start, tensors

from pybackdoor.ops.philox import permutation
from pybackdoor.ops.train import train
from pybackdoor.ops.train.minibatch import minibatch
from pybackdoor.ops.train.schedule import learning_rate
from pybackdoor.records import TrainingPlan, TrainingState


@pytest.mark.parametrize("loss", ["mse", "huber"])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_adamw_of_torch(backend, data, loss, weighted):
    x, y = data
    plan = TrainingPlan(steps=30, batch_size=40, learning_rate=0.01, weight_decay=0.2, loss=loss, huber_delta=0.3, beta1=0.8, beta2=0.95, seed=5)
    weights = torch.linspace(0, 2, ROWS, dtype=torch.float64) if weighted else None
    state = start()
    module = torch.nn.Sequential(torch.nn.Linear(3, 12), torch.nn.SiLU(), torch.nn.Linear(12, 9), torch.nn.SiLU(), torch.nn.Linear(9, 1)).double()
    layers = [module[0], module[2], module[4]]
    for layer, weight, bias in zip(layers, state.weights, state.biases, strict=True):
        layer.load_state_dict({"weight": weight[0], "bias": bias[0]})
    optimizer = torch.optim.AdamW(module.parameters(), weight_decay=0.2, betas=(0.8, 0.95), eps=plan.epsilon)
    criterion = torch.nn.MSELoss(reduction="none") if loss == "mse" else torch.nn.HuberLoss(reduction="none", delta=0.3)
    total = 0.0
    for step in range(1, 31):
        batch = minibatch(plan, step - 1, 1, ROWS, 0)[0]
        optimizer.param_groups[0]["lr"] = learning_rate(plan, step)
        optimizer.zero_grad()
        losses = criterion(module(x[batch])[:, 0], y[batch])
        mean = (losses if weights is None else losses * weights[batch]).mean()
        mean.backward()
        optimizer.step()
        total += float(mean.detach())
    after, history = train(state, plan, x, y, activation="silu", sample_weights=weights, backend=backend)
    for layer, weight, bias in zip(layers, after.weights, after.biases, strict=True):
        torch.testing.assert_close(weight[0], layer.weight.detach(), rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(bias[0], layer.bias.detach(), rtol=1e-11, atol=1e-12)
    assert float(history.training_loss[0, 0]) == pytest.approx(total / 30, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_split_of_the_steps_gives_the_same_bits(backend, data, dtype):
    x, y = data
    plan = TrainingPlan(steps=45, batch_size=64, weight_decay=0.01, seed=1)
    state = start(networks=2, dtype=dtype)
    options = {"activation": "silu", "rows": [torch.arange(200), torch.arange(50, 300)], "backend": backend}
    whole, _ = train(state, plan, x, y, **options)
    parts = state
    for until in (0, 1, 2, 17, 17, 44, 45):
        parts, _ = train(parts, plan, x, y, until=until, **options)
    assert_same_bits(whole, parts)


def test_the_input_state_and_the_data_are_not_changed(backend, data):
    x, y = data
    state, before = start(), start()
    train(state, TrainingPlan(steps=3, batch_size=10), x, y, activation="silu", backend=backend)
    assert_same_bits(state, before)


def test_networks_do_not_see_one_another(backend, data):
    x, y = data
    plan = TrainingPlan(steps=25, batch_size=32, seed=2)
    rows = [torch.arange(300), torch.arange(0, 300, 2), torch.tensor([7, 7, 250])]
    weights = torch.rand(3, ROWS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    state = start("tanh", networks=3, seed=9)
    options = {"activation": "tanh", "validation_rows": torch.arange(40), "backend": backend, "snapshot_steps": (25,)}
    together, history = train(state, plan, x, y, rows=rows, sample_weights=weights, **options)
    for number in range(3):
        one = TrainingState(
            *([tensor[number : number + 1] for tensor in part] for part in (state.weights, state.biases, state.first_moments, state.second_moments))
        )
        alone, own = train(one, plan, x, y, rows=rows[number : number + 1], sample_weights=weights[number], streams=[number], **options)
        for joint, single in zip(tensors(together), tensors(alone), strict=True):
            torch.testing.assert_close(joint[number], single[0], rtol=1e-10, atol=1e-13)
        torch.testing.assert_close(history.validation_loss[:, number], own.validation_loss[:, 0], rtol=1e-10, atol=0)
        torch.testing.assert_close(history.snapshots[25][number], own.snapshots[25][0], rtol=1e-10, atol=1e-12)


def test_each_epoch_sees_every_row_once():
    plan = TrainingPlan(steps=30, batch_size=7, seed=4)
    seen = minibatch(plan, 0, 30, 21, stream=6).ravel().reshape(10, 21)
    assert torch.equal(seen.sort(dim=1).values, torch.arange(21).expand(10, -1))
    assert len({tuple(epoch.tolist()) for epoch in seen}) == 10
    assert torch.equal(minibatch(plan, 11, 3, 21, 6), minibatch(plan, 0, 30, 21, 6)[11:14])
    assert torch.equal(seen[0], permutation(21, seed=4, purpose="minibatch", stream=6))


@pytest.mark.parametrize("rows", [1, 2, 3, 100, 257])
def test_backends_read_the_same_minibatches(backend, rows):
    """The snapshot after a step from zero weights tells the batch's mean, so each row carries its own power of two."""
    x = torch.zeros(rows, 1, dtype=torch.float64)
    y = torch.arange(1, rows + 1, dtype=torch.float64).sqrt()
    zero = TrainingState(
        *((torch.zeros(1, 1, 1, dtype=torch.float64),), (torch.zeros(1, 1, dtype=torch.float64),)),
        *((torch.zeros(1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)),) * 2,
    )
    plan = TrainingPlan(steps=9, batch_size=5, learning_rate=1e-30, schedule="constant", seed=8)
    _, history = train(zero, plan, x, y, activation="relu", report_every=1, streams=[3], backend=backend)
    expected = torch.stack([y[batch].square().mean() for batch in minibatch(plan, 0, 9, rows, 3)])
    torch.testing.assert_close(history.training_loss[:, 0], expected, rtol=1e-12, atol=0)


def test_zero_weight_rows_have_no_influence(backend, data):
    x, y = data
    weights = torch.ones(ROWS, dtype=torch.float64)
    weights[::3] = 0
    spoiled = torch.where(weights > 0, y, torch.full_like(y, 1e6))
    plan = TrainingPlan(steps=20, batch_size=30)
    options = {"activation": "gelu", "sample_weights": weights, "validation_rows": torch.arange(90), "backend": backend}
    clean, clean_history = train(start("gelu"), plan, x, y, **options)
    other, other_history = train(start("gelu"), plan, x, spoiled, **options)
    assert_same_bits(clean, other)
    assert torch.equal(clean_history.validation_loss, other_history.validation_loss)


def test_a_batch_of_zero_weights_is_harmless(backend, data):
    x, y = data
    state = start()
    after, history = train(state, TrainingPlan(steps=5, batch_size=30), x, y, activation="silu", sample_weights=torch.zeros(ROWS), backend=backend)
    assert all(torch.equal(a, b) for a, b in zip(after.weights, state.weights, strict=True))
    assert float(history.training_loss[0, 0]) == 0


def test_a_linear_model_finds_the_least_squares(backend, data):
    x, _ = data
    y = x @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) + 0.25
    plan = TrainingPlan(steps=3000, batch_size=60, learning_rate=0.05)
    state, _ = train(start(widths=(FEATURES, 1)), plan, x, y, activation="relu", backend=backend)
    torch.testing.assert_close(state.weights[0][0, 0], torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64), rtol=0, atol=1e-4)
    assert float(state.biases[0][0, 0]) == pytest.approx(0.25, abs=1e-4)


def test_fits_a_function_in_single_precision(backend, data):
    x, y = data
    _, history = train(
        start(widths=(FEATURES, 32, 32, 1), dtype=torch.float32),
        TrainingPlan(steps=1200, batch_size=64, learning_rate=1e-2),
        x,
        y,
        activation="silu",
        backend=backend,
        snapshot_steps=[1200],
    )
    assert history.training_loss.dtype == history.snapshots[1200].dtype == torch.float32
    assert float(history.snapshots[1200].std()) < 0.05 * float(y.std())


def test_several_python_threads_at_once(backend, data):
    x, y = data
    plan = TrainingPlan(steps=40, batch_size=20)
    expected, _ = train(start(), plan, x, y, activation="silu", backend=backend)
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(train, start(), plan, x, y, activation="silu", backend=backend, threads=2) for _ in range(3)]
        for run in runs:
            assert_same_bits(run.result()[0], expected)


def test_schedules_in_closed_form():
    one_cycle = TrainingPlan(steps=100, learning_rate=2.0, warmup=0.1, final_fraction=0.01)
    assert learning_rate(one_cycle, 1) == pytest.approx(0.2)
    assert learning_rate(one_cycle, 10) == pytest.approx(2.0)
    assert learning_rate(one_cycle, 55) == pytest.approx(2.0 * (0.01 + 0.99 / 2))
    assert learning_rate(one_cycle, 100) == pytest.approx(0.02)
    cosine = TrainingPlan(steps=100, learning_rate=2.0, schedule="cosine", final_fraction=0)
    assert learning_rate(cosine, 50) == pytest.approx(1.0)
    assert learning_rate(cosine, 100) == pytest.approx(0.0, abs=1e-15)
    assert {learning_rate(TrainingPlan(steps=9, learning_rate=0.5, schedule="constant"), step) for step in (1, 5, 9)} == {0.5}


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
def test_backends_follow_the_schedule(backend, schedule):
    """With beta1 = beta2 = 0 a step moves each parameter by the learning rate (epsilon aside), whatever the gradient's size."""
    plan = TrainingPlan(steps=10, batch_size=1, learning_rate=0.1, schedule=schedule, warmup=0.3, beta1=0, beta2=0, epsilon=1e-300)
    state = start(widths=(1, 1))
    x, y = torch.zeros(1, 1, dtype=torch.float64), torch.full((1,), 1e6, dtype=torch.float64)
    for step in range(1, 11):
        after, _ = train(state, plan, x, y, activation="relu", until=step, backend=backend)
        assert float(after.biases[0] - state.biases[0]) == pytest.approx(learning_rate(plan, step), rel=1e-9)
        state = after


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_initial_weights_have_the_stated_spread(activation):
    state = start(activation, networks=3, widths=(50, 200, 200, 1), seed=3)
    gain = {"relu": 2.0, "tanh": 1.0}[activation]
    assert float(state.weights[1].var()) == pytest.approx(gain / 200, rel=0.03)
    assert float(state.weights[1].abs().max()) <= math.sqrt(3 * gain / 200)
    assert float(state.weights[2].var()) == pytest.approx(1 / 200, rel=0.2)
    assert float(state.biases[1].abs().max()) <= 1 / math.sqrt(200)
    assert not torch.equal(state.weights[0][0], state.weights[0][1])
    single = start(activation, widths=(50, 200, 200, 1), seed=3, streams=[2], dtype=torch.float32)
    assert torch.equal(single.weights[0][0], state.weights[0][2].float())
    assert all(not tensor.any() for tensor in (*state.first_moments, *state.second_moments))
