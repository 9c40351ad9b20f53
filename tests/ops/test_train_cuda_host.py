"""The CUDA training without a device: refused with the reason, and what surrounds its launches equal to the reference."""

import math

import pytest
import torch
from train_cases import CUDA_SHAPES, assert_same_bits, deviation, moved, problem
from train_on_host import train_on_host

from pybackdoor.errors import UnsupportedError
from pybackdoor.ops.train import cuda, initial_state, train
from pybackdoor.ops.train.native import native_plan
from pybackdoor.ops.train.schedule import learning_rate
from pybackdoor.records import TrainingPlan


@pytest.fixture
def native():
    module = pytest.importorskip("pybackdoor._native_cuda", reason="the CUDA module is not built")
    assert hasattr(module, "train"), "the CUDA module is older than its sources; build it again"
    return module


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("backend", ["cuda", "cuda_tf32x3"])
def test_without_a_device_it_is_refused_with_the_reason(backend):
    x, y = problem()
    with pytest.raises(UnsupportedError, match=rf"backend '{backend}' cannot serve this call: .*CUDA.*these can: cpu, reference"):
        train(initial_state((5, 8, 1), "silu"), TrainingPlan(steps=1), x, y, activation="silu", backend=backend)


@pytest.mark.parametrize("widths", CUDA_SHAPES, ids=lambda widths: "-".join(map(str, widths)))
def test_every_parameter_has_a_place_of_its_own(native, widths):
    shape = native.TrainShape(widths[0], list(widths[1:-1]), 0)
    places = native.train_places(shape)
    numbers = native.place_train(shape, 256, 227 * 1024).numbers
    assert len(places) == len(set(places.tolist())) == sum(a * b + a for a, b in zip(widths[1:], widths[:-1], strict=True))
    assert places.min() >= 0
    assert places.max() < numbers


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
def test_what_a_step_of_adam_needs(native, schedule):
    plan = TrainingPlan(steps=50, learning_rate=0.02, schedule=schedule, beta1=0.8, beta2=0.95, epsilon=1e-6, weight_decay=0.3)
    made = native.train_scalars(native_plan(plan), 3, 48)
    for step, row in zip(range(3, 51), made, strict=True):
        rate = learning_rate(plan, step)
        expected = [0.8, 0.2, 0.95, 0.05, 1 / math.sqrt(1 - 0.95**step), 1e-6, rate / (1 - 0.8**step), 1 - 0.3 * rate]
        assert row.tolist() == pytest.approx(expected, rel=2e-7)


@pytest.mark.parametrize("loss", ["mse", "huber"])
@pytest.mark.parametrize("weighted", [None, "shared", "own"])
@pytest.mark.parametrize("own_rows", [False, True])
def test_launches_on_the_host_equal_the_reference(native, monkeypatch, loss, weighted, own_rows):
    """Everything but the kernel: packing, slices, rows, weights, history, snapshots."""
    x, y = problem(80)
    plan = TrainingPlan(steps=40, batch_size=21, loss=loss, huber_delta=0.4, weight_decay=0.1, seed=3)
    state = initial_state((5, 9, 40, 1), "silu", networks=3)
    options = {
        "activation": "silu",
        "rows": [torch.arange(70), torch.arange(9, 80), torch.tensor([5, 5, 77, 2])] if own_rows else None,
        "sample_weights": None
        if weighted is None
        else torch.linspace(0.1, 2, 80 if weighted == "shared" else 240).reshape(80 if weighted == "shared" else (3, 80)),
        "validation_rows": [range(3), range(40, 60), range(7)] if own_rows else torch.arange(0, 80, 3),
        "report_every": 7,
        "snapshot_steps": (0, 5, 40),
        "streams": (4, 2**32 - 1, 0),
    }
    state, _ = train(state, plan, x, y, until=3, backend="reference", **options)
    expected, history = train(state, plan, x, y, until=33, backend="reference", **options)
    host = train_on_host(monkeypatch, native, x, y)
    seen = []
    after, own = train(state, plan, x, y, until=33, backend="cuda", progress=seen.append, **options)
    assert deviation(after, expected) < 1e-5
    assert after.step == 33
    for one, other in zip(after.first_moments + after.second_moments, expected.first_moments + expected.second_moments, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-7)
    assert own.steps.tolist() == history.steps.tolist() == [7, 14, 21, 28, 33]
    torch.testing.assert_close(own.training_loss, history.training_loss, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(own.validation_loss, history.validation_loss, rtol=1e-4, atol=1e-6)
    assert own.snapshots.keys() == history.snapshots.keys() == {5}
    torch.testing.assert_close(own.snapshots[5], history.snapshots[5], rtol=1e-4, atol=1e-5)
    assert sum(host.sizes) == 30
    assert max(host.sizes) > 1  # longer once it is known how long a step takes
    assert [step for step in seen if step in (7, 14, 21, 28, 33)] == [7, 14, 21, 28, 33]


def test_nothing_to_do_and_interruption_on_the_host(native, monkeypatch):
    x, y = problem(50)
    state = initial_state((5, 33, 1), "tanh", networks=2)
    train_on_host(monkeypatch, native, x, y)
    options = {"activation": "tanh", "backend": "cuda", "validation_rows": range(4)}
    same, history = train(state, TrainingPlan(steps=9), x, y, until=0, snapshot_steps=[0], **options)
    assert_same_bits(same, state)
    assert history.training_loss.shape == history.validation_loss.shape == (0, 2)
    assert history.snapshots[0].shape == (2, 50)

    def interrupt(step):
        raise KeyboardInterrupt

    before = moved(state)
    with pytest.raises(KeyboardInterrupt):
        train(state, TrainingPlan(steps=9), x, y, report_every=2, progress=interrupt, **options)
    assert_same_bits(state, before)


def test_the_scalars_are_sent_anew_when_used_up(native, monkeypatch):
    x, y = problem(30)
    state, plan = initial_state((5, 4, 1), "silu"), TrainingPlan(steps=40, batch_size=8)
    expected, _ = train(state, plan, x, y, activation="silu", backend="reference")
    train_on_host(monkeypatch, native, x, y)
    monkeypatch.setattr(cuda, "_SCALARS", 6)
    after, _ = train(state, plan, x, y, activation="silu", backend="cuda")
    assert deviation(after, expected) < 1e-5
