"""What `ops.train` takes and refuses: kinds of arrays, bad data, plans, states and backends."""

import sys

import numpy as np
import pytest
import torch
from train_cases import FEATURES, ROWS, assert_same_bits, start

from pybackdoor.errors import InputError, InputTypeError, UnknownNameError, UnsupportedError
from pybackdoor.ops.train import BACKENDS, initial_state, train
from pybackdoor.records import TrainingPlan, TrainingState


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
