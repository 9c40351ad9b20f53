"""What `ops.train` promises, for every backend: against torch.optim.AdamW, itself in parts, and closed forms."""

import math
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from pybackdoor.errors import InputError, InputTypeError, UnknownNameError, UnsupportedError
from pybackdoor.ops.activation import value_and_derivative
from pybackdoor.ops.philox import permutation
from pybackdoor.ops.train import BACKENDS, initial_state, train
from pybackdoor.ops.train.minibatch import minibatch
from pybackdoor.ops.train.schedule import learning_rate
from pybackdoor.records import TrainingPlan, TrainingState

ROWS, FEATURES = 300, 3


@pytest.fixture(params=sorted(set(BACKENDS) - {"cuda", "cuda_tf32x3"}))  # test_train_cuda.py has the device's
def backend(request):
    return request.param


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(ROWS, FEATURES, generator=generator, dtype=torch.float64)
    return x, torch.sin(4 * x[:, 0]) + x[:, 1] * x[:, 2]


def start(activation="silu", networks=1, widths=(FEATURES, 12, 9, 1), dtype=torch.float64, **options):
    return initial_state(widths, activation, networks=networks, dtype=dtype, **options)


def tensors(state):
    return [*state.weights, *state.biases, *state.first_moments, *state.second_moments]


def assert_same_bits(one, other):
    assert one.step == other.step
    assert all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))


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


def test_several_python_threads_at_once(backend, data):
    x, y = data
    plan = TrainingPlan(steps=40, batch_size=20)
    expected, _ = train(start(), plan, x, y, activation="silu", backend=backend)
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(train, start(), plan, x, y, activation="silu", backend=backend, threads=2) for _ in range(3)]
        for run in runs:
            assert_same_bits(run.result()[0], expected)


def test_numpy_and_non_contiguous_data_are_taken(backend, data):
    x, y = data
    plan = TrainingPlan(steps=5, batch_size=20)
    weights = torch.linspace(0, 1, ROWS)
    options = {"activation": "silu", "backend": backend}
    expected, _ = train(start(), plan, x, y, rows=torch.arange(0, ROWS, 2), sample_weights=weights, **options)
    wide = np.asfortranarray(np.hstack([x.numpy(), x.numpy()]))
    other, _ = train(
        start(),
        plan,
        wide[:, :FEATURES],
        y.numpy()[::-1][::-1],
        rows=torch.arange(ROWS)[::2],
        sample_weights=torch.stack([weights, weights], dim=1)[:, 0],
        **options,
    )
    assert_same_bits(expected, other)


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(300, 4)}, r"x: got shape \(300, 4\); \[N, 3\]"),
        ({"x": torch.full((300, 3), torch.nan)}, "x: row 0, column 0 is nan"),
        ({"y": torch.zeros(299)}, r"y: got shape \(299,\); \[300\]"),
        ({"x": torch.zeros(0, 3), "y": torch.zeros(0)}, "x: no rows"),
        ({"activation": "swish"}, "unknown activation 'swish'"),
        ({"until": 11}, "until: got 11; a whole number from 0 to 10"),
        ({"until": 2.5}, "until: got 2.5"),
        ({"rows": torch.tensor([300])}, r"rows\[0\]: row numbers from 300 to 300; the data have rows 0 to 299"),
        ({"rows": torch.tensor([], dtype=torch.int64)}, r"rows\[0\]: .*non-empty"),
        ({"rows": torch.ones(300, dtype=torch.bool)}, r"rows\[0\]: .*torch.bool"),
        ({"rows": [torch.arange(3)] * 2}, "rows: got 2 index vectors for 1 networks"),
        ({"validation_rows": [-1]}, r"validation_rows\[0\]: row numbers from -1"),
        ({"sample_weights": -torch.ones(300)}, "sample_weights: 300 are negative"),
        ({"sample_weights": torch.ones(2, 300)}, "sample_weights: got shape"),
        ({"sample_weights": torch.zeros(300), "validation_rows": [1]}, r"validation_rows\[0\]: all its sample weights are 0"),
        ({"snapshot_steps": [11]}, "snapshot_steps: got 11"),
        ({"report_every": 0}, "report_every: got 0"),
        ({"streams": [1, 2]}, "streams: got 2 for 1 networks"),
        ({"streams": [-1]}, "streams: got -1"),
        ({"threads": 0}, "threads: got 0"),
    ],
)
def test_bad_input(data, change, message):
    x, y = data
    arguments = {"x": x, "y": y, "activation": "silu"} | change
    with pytest.raises(InputError, match=message):
        train(start(), TrainingPlan(steps=10), **arguments)


def test_bad_states_and_plans(data):
    x, y = data
    plan = TrainingPlan(steps=10)
    with pytest.raises(InputTypeError, match="plan: got dict"):
        train(start(), {}, x, y, activation="silu")
    with pytest.raises(InputTypeError, match="state: got list"):
        train([], plan, x, y, activation="silu")
    good = start()
    for bad, message in (
        (TrainingState(good.weights, good.biases[:2], good.first_moments, good.second_moments), "state: 3 weights, 2 biases"),
        (TrainingState(good.weights[::2], good.biases[::2], good.first_moments[:4], good.second_moments[:4]), r"\[M, width, 12\]"),
        (TrainingState(good.weights[:2], good.biases[:2], good.first_moments[:4], good.second_moments[:4]), "9 outputs"),
        (TrainingState(good.weights, good.biases, good.first_moments[::-1], good.second_moments), "state: a tensor of shape"),
        (TrainingState(*([t.half() for t in part] for part in (good.weights, good.biases, good.first_moments, good.second_moments))), "float16"),
    ):
        with pytest.raises(InputError, match=message):
            train(bad, plan, x, y, activation="silu")
    late = TrainingState(good.weights, good.biases, good.first_moments, good.second_moments, 7)
    with pytest.raises(InputError, match="the state has taken 7 steps already"):
        train(late, plan, x, y, activation="silu", until=6)


def test_bad_backends(data):
    x, y = data
    with pytest.raises(UnknownNameError, match="unknown train backend 'cpuu'; did you mean cpu"):
        train(start(), TrainingPlan(steps=1), x, y, activation="silu", backend="cpuu")
    assert "meta" in BACKENDS["cpu"].unsupported(torch.device("meta"), dtype=torch.float32)


def test_a_named_backend_never_falls_back(data, monkeypatch):
    x, y = data
    monkeypatch.setitem(sys.modules, "pybackdoor._native", None)
    with pytest.raises(UnsupportedError, match=r"train: backend 'cpu' cannot serve this call: the native module cannot be imported.*: reference$"):
        train(start(), TrainingPlan(steps=1), x, y, activation="silu", backend="cpu")
    expected, _ = train(start(), TrainingPlan(steps=1), x, y, activation="silu", backend="reference")
    fallen, _ = train(start(), TrainingPlan(steps=1), x, y, activation="silu")
    assert_same_bits(expected, fallen)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": (3,)}, "widths"),
        ({"widths": (3, 0, 1)}, "widths"),
        ({"widths": (3, 4, 2)}, "widths"),
        ({"activation": "swish"}, "activation"),
        ({"networks": 0}, "networks: 0"),
        ({"networks": 2, "streams": [1]}, "networks: 2, with 1 streams"),
        ({"dtype": torch.float16}, "dtype"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_initial_states(arguments, message):
    with pytest.raises(InputError, match=message):
        initial_state(**{"widths": (3, 4, 1), "activation": "relu"} | arguments)
