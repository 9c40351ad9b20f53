"""The CUDA training: equal to the reference on a GPU."""

from __future__ import annotations

import threading
import time

import pytest
import torch
from train_cases import CUDA_SHAPES, assert_same_bits, deviation, moved, problem, tensors

from pybackdoor.errors import UnsupportedError
from pybackdoor.ops.train import cuda, initial_state, train
from pybackdoor.records import ACTIVATIONS, TrainingPlan, TrainingState

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
SMOOTH = [name for name in ACTIVATIONS if name not in ("relu", "leaky_relu")]


def on_gpu(start, plan, x, y, backend="cuda", **options):
    return train(moved(start, device="cuda"), plan, x.cuda(), y.cuda(), backend=backend, **options)


@pytest.fixture(params=["cuda", "cuda_tf32x3"])
def backend(request):
    return request.param


def exactly(start, plan, x, y, **options):
    return train(moved(start, dtype=torch.float64), plan, x.double(), y.double(), backend="reference", **options)


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("width", [30, 64, 100, 200])
@pytest.mark.parametrize("activation", SMOOTH)
def test_hundred_steps(activation, width, backend):
    x, y = problem()
    plan = TrainingPlan(steps=100, batch_size=64, learning_rate=3e-3, weight_decay=0.01)
    start = initial_state((5, width - 10, width, 1), activation, networks=3)
    expected, history = exactly(start, plan, x, y, activation=activation, report_every=10)
    after, own = on_gpu(start, plan, x, y, backend, activation=activation, report_every=10)
    assert deviation(after, expected) < 1e-4
    assert deviation(after, start) > 1e-2
    torch.testing.assert_close(own.training_loss.cpu().double(), history.training_loss, rtol=1e-4, atol=1e-6)


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_hundred_steps_with_kinks(activation, backend):
    """A rounding at a kink grows into different weights, so the measure is what torch in single precision does itself, over 12 networks.

    Tensor cores cut off the sums they add to, which errs a few times as much.
    """
    x, y = problem()
    plan = TrainingPlan(steps=100, batch_size=64, learning_rate=3e-3)
    start = initial_state((5, 64, 64, 1), activation, networks=12)
    expected, _ = exactly(start, plan, x, y, activation=activation)
    single, _ = train(start, plan, x, y, activation=activation, backend="reference")
    after, _ = on_gpu(start, plan, x, y, backend, activation=activation)
    squares = [
        sum(float((a.cpu().double() - b).square().sum()) for a, b in zip(tensors(state)[:6], tensors(expected)[:6], strict=True))
        for state in (after, single)
    ]
    assert squares[0] ** 0.5 <= (2 if backend == "cuda" else 6) * squares[1] ** 0.5
    assert 0 < deviation(after, expected) < 1e-2


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("widths", CUDA_SHAPES, ids=lambda widths: "-".join(map(str, widths)))
def test_shapes(widths, backend):
    x, y = problem(rows=150, features=widths[0])
    plan = TrainingPlan(steps=12, batch_size=71)
    start = initial_state(widths, "sigmoid")
    expected, _ = exactly(start, plan, x, y, activation="sigmoid", snapshot_steps=[0, 12])
    after, history = on_gpu(start, plan, x, y, backend, activation="sigmoid", snapshot_steps=[0, 12])
    assert deviation(after, expected) < (2e-5 if backend == "cuda" else 1e-4)
    assert history.snapshots.keys() == {0, 12}


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("batch_size", [1, 2, 5, 63, 64, 65, 131, 400, 1023, 1024, 1025, 3001])
@pytest.mark.parametrize("rows", [1, 37, 5000])
def test_batch_sizes_and_rows(batch_size, rows, backend):
    x, y = problem(rows=rows + 1)
    x, y = x[:rows], y[:rows]
    plan = TrainingPlan(steps=7, batch_size=batch_size)
    start = initial_state((5, 19, 6, 1), "softplus")
    expected, _ = exactly(start, plan, x, y, activation="softplus")
    after, _ = on_gpu(start, plan, x, y, backend, activation="softplus")
    assert deviation(after, expected) < (2e-5 if backend == "cuda" else 1e-4)


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("width", [16, 64, 128, 256])
def test_any_split_of_the_steps_gives_the_same_bits(width, monkeypatch, backend):
    x, y = problem(300)
    plan = TrainingPlan(steps=45, batch_size=70, weight_decay=0.01, seed=1)
    start = initial_state((5, width, width, width, 1), "silu", networks=2)
    options = {"activation": "silu", "rows": [torch.arange(200), torch.arange(50, 300)]}
    whole, _ = on_gpu(start, plan, x, y, backend, **options)
    parts = start
    for until in (0, 1, 2, 17, 17, 44, 45):
        parts, _ = on_gpu(parts, plan, x, y, backend, until=until, report_every=3, **options)
    assert_same_bits(whole, parts)
    monkeypatch.setattr(cuda, "_SLICE", 1e-9)
    assert_same_bits(whole, on_gpu(start, plan, x, y, backend, **options)[0])


@needs_gpu
@pytest.mark.gpu
def test_networks_do_not_see_one_another(backend):
    """More of them than any chip has multiprocessors; each the same bits as alone."""
    x, y = problem(300)
    networks, plan = 401, TrainingPlan(steps=20, batch_size=96, seed=2)
    start = initial_state((5, 64, 64, 1), "tanh", networks=networks)
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randperm(300, generator=generator)[: 1 + m % 300] for m in range(networks)]
    weights = 0.1 + torch.rand(networks, 300, generator=generator)
    options = {"activation": "tanh", "validation_rows": torch.arange(40), "snapshot_steps": (20,), "report_every": 20}
    together, history = on_gpu(start, plan, x, y, backend, rows=rows, sample_weights=weights.cuda(), **options)
    for m in (0, 1, 131, 132, 400):
        one = TrainingState(
            *(tuple(tensor[m : m + 1] for tensor in part) for part in (start.weights, start.biases, start.first_moments, start.second_moments))
        )
        alone, own = on_gpu(one, plan, x, y, backend, rows=rows[m : m + 1], sample_weights=weights[m].cuda(), streams=[m], **options)
        assert all(torch.equal(joint[m], single[0]) for joint, single in zip(tensors(together), tensors(alone), strict=True))
        assert torch.equal(history.training_loss[:, m], own.training_loss[:, 0])
        assert torch.equal(history.snapshots[20][m], own.snapshots[20][0])
        torch.testing.assert_close(history.validation_loss[:, m], own.validation_loss[:, 0], rtol=1e-6, atol=0)


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_the_history_equals_the_references(loss, backend):
    x, y = problem(500)
    plan = TrainingPlan(steps=60, batch_size=67, loss=loss, huber_delta=0.4, weight_decay=0.01, schedule="cosine")
    start = initial_state((5, 21, 40, 1), "gelu", networks=2)
    weights = torch.linspace(0, 2, 1000).reshape(2, 500)
    options = {"activation": "gelu", "validation_rows": [range(50), range(7, 333)], "snapshot_steps": [0, 31, 60], "report_every": 17}
    expected, history = exactly(start, plan, x, y, sample_weights=weights.double(), **options)
    poison = [torch.full((1 << 22,), torch.nan, device="cuda") for _ in range(4)]  # what is allocated next finds NaN
    del poison
    after, own = on_gpu(start, plan, x, y, backend, sample_weights=weights.cuda(), **options)
    assert deviation(after, expected) < 1e-4
    assert own.steps.tolist() == [17, 34, 51, 60]
    torch.testing.assert_close(own.training_loss.cpu().double(), history.training_loss, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(own.validation_loss.cpu().double(), history.validation_loss, rtol=1e-4, atol=1e-6)
    for step, residuals in history.snapshots.items():
        torch.testing.assert_close(own.snapshots[step].cpu().double(), residuals, rtol=1e-4, atol=1e-4)


@needs_gpu
@pytest.mark.gpu
def test_other_streams_and_threads_do_not_disturb():
    x, y = problem(300)
    plan = TrainingPlan(steps=200, batch_size=64)
    starts = [initial_state((5, 64, 64, 1), "silu", networks=40, seed=seed) for seed in range(3)]
    alone = [on_gpu(start, plan, x, y, activation="silu")[0] for start in starts]
    found = {}

    def work(number):
        with torch.cuda.stream(torch.cuda.Stream()):
            found[number], _ = on_gpu(starts[number], plan, x, y, activation="silu")
            torch.cuda.current_stream().synchronize()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(3):
        assert_same_bits(found[number], alone[number])


@needs_gpu
@pytest.mark.gpu
def test_an_interrupt_takes_effect_within_a_second():
    x, y = problem(5000)
    start = initial_state((5, 64, 64, 64, 64, 1), "silu", networks=600)
    began = []

    def interrupt(step):
        began.append(time.monotonic())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        on_gpu(start, TrainingPlan(steps=10**6), x, y, activation="silu", progress=interrupt)
    torch.cuda.synchronize()
    assert time.monotonic() - began[0] < 1


@needs_gpu
@pytest.mark.gpu
def test_what_it_cannot_serve_is_refused_with_the_reason_and_served_by_another():
    x, y = problem()
    plan = TrainingPlan(steps=3, batch_size=16)
    for start, reason in (
        (initial_state((5, 8, 1), "silu", dtype=torch.float64), "it trains in float32, not torch.float64"),
        (initial_state((5, 257, 1), "silu"), "1 to 256 units"),
        (initial_state((5, 1), "silu"), "1 to 32 hidden layers"),
        (initial_state((5, *[4] * 33, 1), "silu"), "1 to 32 hidden layers"),
    ):
        with pytest.raises(UnsupportedError, match=reason):
            on_gpu(start, plan, x, y, activation="silu")
        after, _ = train(moved(start, device="cuda"), plan, x.cuda(), y.cuda(), activation="silu")
        assert after.step == 3
    start = initial_state((5, 64, 1), "silu")
    named, _ = on_gpu(start, plan, x, y, activation="silu")
    chosen, _ = train(moved(start, device="cuda"), plan, x.cuda(), y.cuda(), activation="silu")
    assert_same_bits(named, chosen)


@needs_gpu
@pytest.mark.gpu
def test_a_training_that_diverges_goes_on_and_reports_it(backend):
    x, y = problem()
    x[7] = 1e30
    after, history = on_gpu(
        initial_state((5, 64, 64, 1), "silu"), TrainingPlan(steps=30, batch_size=100), x, y, backend, activation="silu", report_every=10
    )
    assert after.step == 30
    assert not bool(history.training_loss[-1].isfinite().all())
