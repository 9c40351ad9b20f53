"""The native training backend against the float64 reference: every instruction set, activation and shape; the same bits for any threads."""

import os
import signal
import threading

import pytest
import torch

from pybackdoor import _native
from pybackdoor.ops.train import initial_state, train
from pybackdoor.records import ACTIVATIONS, TrainingPlan, TrainingState
from pybackdoor.settings import use_instruction_set

SMOOTH = [name for name in ACTIVATIONS if name not in ("relu", "leaky_relu")]


@pytest.fixture(params=_native.instruction_sets())
def instruction_set(request):
    with use_instruction_set(request.param):
        yield request.param


def problem(rows=400, features=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(rows, features, generator=generator, dtype=torch.float64) - 1
    y = torch.sin(3 * x[:, 0]) + x[:, -1] * x.sum(1)
    return x.float().double(), (y / y.std()).float().double()  # the same numbers in both precisions


def cast(state, dtype):
    return TrainingState(
        *(tuple(tensor.to(dtype) for tensor in part) for part in (state.weights, state.biases, state.first_moments, state.second_moments)), state.step
    )


def tensors(state):
    return [*state.weights, *state.biases, *state.first_moments, *state.second_moments]


def deviation(one, other):
    """The largest difference of a weight or bias."""
    return max(float((a.double() - b.double()).abs().max()) for a, b in zip(one.weights + one.biases, other.weights + other.biases, strict=True))


@pytest.mark.parametrize("activation", SMOOTH)
def test_hundred_steps_in_single_precision(instruction_set, activation):
    x, y = problem()
    plan = TrainingPlan(steps=100, batch_size=64, learning_rate=3e-3, weight_decay=0.01)
    start = initial_state((5, 50, 64, 1), activation, networks=2)
    expected, history = train(cast(start, torch.float64), plan, x, y, activation=activation, report_every=10, backend="reference")
    after, own = train(start, plan, x, y, activation=activation, report_every=10, backend="cpu")
    assert deviation(after, expected) < 1e-4
    assert deviation(after, start) > 1e-2
    torch.testing.assert_close(own.training_loss.double(), history.training_loss, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_hundred_steps_with_kinks(instruction_set, activation):
    """A rounding at a kink grows into different weights, so the measure is what torch in single precision does itself, over 12 networks."""
    x, y = problem()
    plan = TrainingPlan(steps=100, batch_size=64, learning_rate=3e-3)
    start = initial_state((5, 64, 64, 1), activation, networks=12)
    expected, _ = train(cast(start, torch.float64), plan, x, y, activation=activation, backend="reference")
    torch_single, _ = train(start, plan, x, y, activation=activation, backend="reference")
    after, _ = train(start, plan, x, y, activation=activation, backend="cpu")
    squares = [
        sum(float((a.double() - b).square().sum()) for a, b in zip(tensors(state)[:6], tensors(expected)[:6], strict=True))
        for state in (after, torch_single)
    ]
    assert squares[0] ** 0.5 <= 2 * squares[1] ** 0.5
    assert 0 < deviation(after, expected) < 1e-2


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_double_precision_equals_the_reference(instruction_set, activation):
    x, y = problem()
    plan = TrainingPlan(steps=60, batch_size=67, learning_rate=3e-3, loss="huber", huber_delta=0.4, weight_decay=0.01)
    weights = torch.linspace(0, 2, 400, dtype=torch.float64)
    start = initial_state((5, 21, 40, 1), activation, networks=2, dtype=torch.float64)
    options = {"activation": activation, "sample_weights": weights, "validation_rows": [range(50), range(7, 33)], "snapshot_steps": [60]}
    expected, history = train(start, plan, x, y, backend="reference", **options)
    after, own = train(start, plan, x, y, backend="cpu", **options)
    for one, other in zip(tensors(after), tensors(expected), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(own.validation_loss, history.validation_loss, rtol=1e-10, atol=0)
    torch.testing.assert_close(own.snapshots[60], history.snapshots[60], rtol=1e-9, atol=1e-10)


SHAPES = [(1, 1), (40, 1), (1, 1, 1), (3, 2, 5, 1), (5, 1, 7, 1), (70, 17, 130, 1), (2, 65, 1), (9, 16, 16, 16, 16, 16, 16, 1)]


@pytest.mark.parametrize("widths", SHAPES, ids=lambda widths: "-".join(map(str, widths)))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["single", "double"])
def test_shapes(instruction_set, widths, dtype):
    x, y = problem(rows=150, features=widths[0])
    plan = TrainingPlan(steps=12, batch_size=71)
    start = initial_state(widths, "sigmoid", dtype=dtype)
    expected, _ = train(cast(start, torch.float64), plan, x, y, activation="sigmoid", backend="reference")
    after, _ = train(start, plan, x, y, activation="sigmoid", backend="cpu")
    assert deviation(after, expected) < (2e-5 if dtype == torch.float32 else 1e-11)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 6, 63, 64, 65, 66, 67, 131, 400])
def test_batch_sizes(instruction_set, batch_size):
    x, y = problem(rows=37)
    plan = TrainingPlan(steps=9, batch_size=batch_size)
    start = initial_state((5, 19, 6, 1), "softplus", dtype=torch.float64)
    expected, _ = train(start, plan, x, y, activation="softplus", backend="reference")
    after, _ = train(start, plan, x, y, activation="softplus", backend="cpu")
    assert deviation(after, expected) < 1e-11


@pytest.mark.parametrize("networks", [1, 3])
def test_the_same_bits_for_any_number_of_threads(instruction_set, networks):
    x, y = problem(rows=5000)
    plan = TrainingPlan(steps=30, batch_size=256, seed=3)
    start = initial_state((5, 64, 64, 1), "silu", networks=networks)
    options = {"activation": "silu", "validation_rows": torch.arange(4500, 5000), "report_every": 10, "snapshot_steps": [0, 30], "backend": "cpu"}
    one, history = train(start, plan, x, y, threads=1, **options)
    for threads in (2, 5):
        other, own = train(start, plan, x, y, threads=threads, **options)
        assert all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))
        assert torch.equal(history.training_loss, own.training_loss)
        assert torch.equal(history.validation_loss, own.validation_loss)
        assert torch.equal(history.snapshots[30], own.snapshots[30])


def test_evaluation_in_blocks_covers_every_row(instruction_set):
    x, y = problem(rows=9001)
    start = initial_state((5, 8, 1), "tanh", dtype=torch.float64)
    options = {"activation": "tanh", "validation_rows": range(9001), "snapshot_steps": [1], "sample_weights": torch.linspace(0, 1, 9001)}
    _, expected = train(start, TrainingPlan(steps=1), x, y, backend="reference", **options)
    _, history = train(start, TrainingPlan(steps=1), x, y, backend="cpu", **options)
    torch.testing.assert_close(history.snapshots[1], expected.snapshots[1], rtol=0, atol=1e-13)
    torch.testing.assert_close(history.validation_loss, expected.validation_loss, rtol=1e-12, atol=0)


def test_vanishing_gradients_do_not_slow_training_into_subnormals():
    """Moments of a perfect fit decay to zero instead of resting among the subnormal numbers."""
    x = torch.zeros(10, 2, dtype=torch.float64)
    start = initial_state((2, 16, 1), "relu")
    done, _ = train(start, TrainingPlan(steps=4000, batch_size=10), x, torch.zeros(10), activation="relu", backend="cpu")
    tiny = torch.finfo(torch.float32).tiny
    assert all(bool(((moment == 0) | (moment.abs() >= tiny)).all()) for moment in (*done.first_moments, *done.second_moments))


@pytest.mark.slow
def test_trained_accuracy_is_statistically_that_of_the_reference():
    """Ten seeds until rounding has driven the weights apart: the held-out losses of the two differ by no more than chance."""
    x, y = problem(rows=1500)
    plan = TrainingPlan(steps=1200, batch_size=128, learning_rate=1e-2)
    start = initial_state((5, 32, 32, 1), "relu", networks=10)
    options = {"activation": "relu", "rows": range(1000), "validation_rows": range(1000, 1500)}
    expected, reference = train(start, plan, x, y, backend="reference", **options)
    after, own = train(start, plan, x, y, backend="cpu", **options)
    assert deviation(after, expected) > 1e-3
    assert float(own.validation_loss.max()) < 0.05
    ratio = (own.validation_loss / reference.validation_loss).log()[0].double()
    assert abs(float(ratio.mean())) < 3.5 * float(ratio.std()) / 10**0.5
    assert float(ratio.std()) < 0.5


@pytest.mark.parametrize(("networks", "threads"), [(3, 2), (1, 1), (1, 2)])
def test_control_c_stops_a_training_of_hours(networks, threads):
    x, y = problem()
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        train(
            initial_state((5, 64, 64, 1), "silu", networks=networks),
            TrainingPlan(steps=10**8),
            x,
            y,
            activation="silu",
            backend="cpu",
            threads=threads,
        )


def test_a_forked_child_can_train():
    x, y = problem()
    start, plan = initial_state((5, 16, 1), "silu", networks=2), TrainingPlan(steps=20)
    expected, _ = train(start, plan, x, y, activation="silu", backend="cpu", threads=2)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            after, _ = train(start, plan, x, y, activation="silu", backend="cpu", threads=2)
            os.write(writer, b"same" if torch.equal(after.weights[0], expected.weights[0]) else b"other")
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    assert os.read(reader, 10) == b"same"
    os.close(reader)
