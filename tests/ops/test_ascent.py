"""The inner loop: its definition on cases worked by hand, for every backend, and whole ascents against the reference."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from ascent_cases import INSTRUCTION_SETS, cube_points, random_network
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pybackdoor.errors import InputError, InputTypeError, UnknownNameError, UnsupportedError
from pybackdoor.ops import backends
from pybackdoor.ops.ascent import ascend, value_and_input_gradient
from pybackdoor.records import ACTIVATIONS, Ascents, AscentSchedule, AscentStatus, Network
from pybackdoor.settings import use_instruction_set

DOUBLE = torch.float64


@pytest.fixture(params=["reference", *(f"cpu-{name}" for name in INSTRUCTION_SETS)])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    name, _, instruction_set = request.param.partition("-")
    with use_instruction_set(instruction_set) if instruction_set else nullcontext():
        yield name


@pytest.fixture(params=["float32", "float64"])
def precision(request: pytest.FixtureRequest) -> str:
    return request.param


def line(*slope: float, bias: float = 0.0) -> Network:
    """y = slope . u + bias."""
    zero = torch.zeros(len(slope), dtype=DOUBLE)
    return Network((torch.tensor([slope], dtype=DOUBLE),), (torch.tensor([bias], dtype=DOUBLE),), "relu", zero, zero + 1, zero)


def rows(*values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=DOUBLE)


def test_one_normalised_step(backend: str, precision: str) -> None:
    result = ascend(line(3, 4), rows([0.5, 0.25]), schedule=AscentSchedule(steps=1, step_size=0.1), backend=backend, precision=precision)
    torch.testing.assert_close(result.points, rows([0.56, 0.33]), rtol=1e-6, atol=0)
    torch.testing.assert_close(result.values, torch.tensor([3.0], dtype=DOUBLE), rtol=1e-6, atol=0)
    torch.testing.assert_close(result.objectives, torch.tensor([9.0], dtype=DOUBLE), rtol=1e-6, atol=0)
    assert (result.status.tolist(), result.steps.tolist()) == ([AscentStatus.STEPS_DONE], [1])


def test_one_raw_step_towards_a_more_negative_error(backend: str, precision: str) -> None:
    offsets = torch.tensor([3.0], dtype=DOUBLE)  # Y - R = 2.5 - 3 < 0: the objective grows where Y falls
    schedule = AscentSchedule(steps=1, step_size=0.05, direction="raw")
    result = ascend(line(3, 4), rows([0.5, 0.25]), schedule=schedule, offsets=offsets, backend=backend, precision=precision)
    torch.testing.assert_close(result.points, rows([0.35, 0.05]), rtol=1e-6, atol=1e-7)


def test_the_tangent_plane_and_the_second_network_are_subtracted(backend: str, precision: str) -> None:
    # Y - R = 3a + 4b - (a + b) - 1 - (2 (a - 0.4) + 3 (b - 0.2)) = 0.4: gradient exactly 0 everywhere
    result = ascend(
        line(3, 4),
        rows([0.5, 0.25]),
        second=line(1, 1),
        offsets=torch.ones(1),
        slopes=rows([2.0, 3.0]),
        anchors=rows([0.4, 0.2]),
        backend=backend,
        precision=precision,
    )
    torch.testing.assert_close(result.objectives, torch.tensor([0.16], dtype=DOUBLE), rtol=1e-5, atol=0)
    assert (result.status.tolist(), result.steps.tolist()) == ([AscentStatus.FLAT], [0])


def test_the_step_shrinks_by_its_schedule(backend: str, precision: str) -> None:
    schedule = AscentSchedule(steps=3, step_size=0.1, decay=1.0, patience=0)
    result = ascend(line(1.0, 0.0), rows([0.0, 0.5]), schedule=schedule, backend=backend, precision=precision, offsets=torch.tensor([-1.0]))
    torch.testing.assert_close(result.points, rows([0.1 + 0.05 + 0.1 / 3, 0.5]), rtol=1e-6, atol=0)


def test_the_box_stops_a_seed_in_its_corner(backend: str, precision: str) -> None:
    result = ascend(line(3, 4), rows([0.97, 0.95]), backend=backend, precision=precision)
    assert result.points.tolist() == [[1.0, 1.0]]
    assert result.status.tolist() == [AscentStatus.CONVERGED]


def test_the_ball_comes_before_the_box(backend: str, precision: str) -> None:
    schedule = AscentSchedule(steps=1, step_size=1.0)
    result = ascend(line(3, 4), rows([0.9, 0.5]), schedule=schedule, radii=torch.tensor([0.5]), backend=backend, precision=precision)
    torch.testing.assert_close(result.points, rows([1.0, 0.9]), rtol=1e-6, atol=0)


def test_a_ball_of_radius_zero_and_one_without_end(backend: str, precision: str) -> None:
    radii = torch.tensor([0.0, torch.inf], dtype=DOUBLE)
    schedule = AscentSchedule(steps=1, step_size=0.1)
    result = ascend(line(3, 4), rows([0.5, 0.25], [0.5, 0.25]), schedule=schedule, radii=radii, backend=backend, precision=precision)
    torch.testing.assert_close(result.points, rows([0.5, 0.25], [0.56, 0.33]), rtol=1e-6, atol=0)
    assert result.status.tolist() == [AscentStatus.CONVERGED, AscentStatus.STEPS_DONE]


def test_a_start_outside_is_moved_first(backend: str, precision: str) -> None:
    result = ascend(line(1, 1), rows([-3.0, 7.0]), schedule=AscentSchedule(steps=0), backend=backend, precision=precision)
    assert result.points.tolist() == [[0.0, 1.0]]
    assert result.values.tolist() == [1.0]


def test_no_error_is_flat(backend: str, precision: str) -> None:
    result = ascend(line(3, 4), rows([0.5, 0.25]), second=line(3, 4), backend=backend, precision=precision)
    assert (result.status.tolist(), result.objectives.tolist()) == ([AscentStatus.FLAT], [0.0])


def test_a_seed_that_gains_little_is_stalled(backend: str, precision: str) -> None:
    schedule = AscentSchedule(steps=50, step_size=1e-4, decay=0.0, patience=4, improvement=0.5)
    result = ascend(line(1, 0, bias=1), rows([0.0, 0.5]), schedule=schedule, backend=backend, precision=precision)
    assert (result.status.tolist(), result.steps.tolist()) == ([AscentStatus.STALLED], [4])
    torch.testing.assert_close(result.points, rows([4e-4, 0.5]), rtol=1e-6, atol=0)


def test_what_is_not_finite_stops_its_seed_alone(backend: str, precision: str) -> None:
    starts = cube_points(40, 3)
    starts[7, 1] = torch.nan
    offsets = torch.zeros(40, dtype=DOUBLE)
    offsets[11], offsets[12] = torch.inf, torch.nan
    network = random_network((12, 12), 3, "tanh")
    result = ascend(network, starts, offsets=offsets, backend=backend, precision=precision)
    bad = torch.zeros(40, dtype=torch.bool)
    bad[[7, 11, 12]] = True
    assert result.status[bad].tolist() == [AscentStatus.NOT_FINITE] * 3
    assert result.steps[bad].tolist() == [0] * 3
    good = ascend(network, starts[~bad], offsets=offsets[~bad], backend=backend, precision=precision)
    torch.testing.assert_close((result.points[~bad], result.objectives[~bad]), (good.points, good.objectives), rtol=1e-12, atol=0)
    assert bool(result.objectives[~bad].isfinite().all())


def test_the_best_point_is_kept(backend: str, precision: str) -> None:
    network = random_network((24, 24), 3, "tanh", seed=4)
    starts = cube_points(60, 3)
    long_step = AscentSchedule(steps=1, step_size=1.0)
    result = ascend(network, starts, schedule=long_step, backend=backend, precision=precision)
    at_start = value_and_input_gradient(network, starts, precision="float64")[0].square()
    assert bool((result.objectives >= at_start * (1 - 1e-5)).all())
    torch.testing.assert_close(value_and_input_gradient(network, result.points, precision="float64")[0], result.values, rtol=1e-5, atol=1e-5)
    assert int((result.objectives <= at_start * (1 + 1e-5)).sum()) > 0, "no seed overshot: the scenario is too easy"


def test_no_seeds(backend: str, precision: str) -> None:
    result = ascend(line(3, 4), torch.empty(0, 2), backend=backend, precision=precision)
    assert result.points.shape == (0, 2)
    assert result.status.shape == (0,)


schedules = st.builds(
    AscentSchedule,
    steps=st.integers(0, 30),
    step_size=st.floats(1e-3, 0.2),
    decay=st.floats(0, 1),
    patience=st.integers(0, 6),
    step_tolerance=st.sampled_from([1e-10, 1e-6, 5e-3]),
    improvement=st.sampled_from([0.0, 1e-4, 0.05]),
)


@pytest.mark.parametrize("instruction_set", INSTRUCTION_SETS)
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    schedule=schedules,
    activation=st.sampled_from([name for name in ACTIVATIONS if "relu" not in name]),
    seed=st.integers(0, 10**6),
    dimension=st.integers(1, 12),
    count=st.sampled_from([1, 16, 33, 70]),
    raw=st.booleans(),
    parts=st.integers(0, 15),
)
def test_whole_ascents_match_the_reference(
    instruction_set: str,
    data: st.DataObject,
    schedule: AscentSchedule,
    activation: str,
    seed: int,
    dimension: int,
    count: int,
    raw: bool,
    parts: int,
) -> None:
    if raw:
        schedule = replace(schedule, direction="raw", step_size=0.01 * schedule.step_size)
    starts = cube_points(count, dimension, seed)
    options = {
        "radii": 0.3 * cube_points(count, 1, seed + 1)[:, 0] if parts & 1 else None,
        "second": random_network((11,), dimension, "silu", seed=seed + 2) if parts & 2 else None,
        "offsets": cube_points(count, 1, seed + 3)[:, 0] if parts & 4 else None,
        "slopes": cube_points(count, dimension, seed + 4) - 0.5 if parts & 8 else None,
        "anchors": (starts + 0.01).clamp(max=1) if data.draw(st.booleans()) else None,
    }
    network = random_network((18, 13), dimension, activation, seed=seed)
    expected = ascend(network, starts, schedule=schedule, precision="float64", backend="reference", **options)
    with use_instruction_set(instruction_set):
        computed = ascend(network, starts, schedule=schedule, precision="float64", backend="cpu", **options)
    same = (computed.status == expected.status) & (computed.steps == expected.steps)
    # A stop rule that compares two numbers equal up to rounding may fall either way.
    assert int((~same).sum()) <= 1 + count // 50
    torch.testing.assert_close(computed.points[same], expected.points[same], rtol=0, atol=1e-7)
    torch.testing.assert_close(computed.objectives[same], expected.objectives[same], rtol=1e-7, atol=1e-10)
    torch.testing.assert_close(computed.values[same], expected.values[same], rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_kinked_networks_climb_as_the_reference_does(activation: str) -> None:
    network, starts = random_network((30, 30), 5, activation, seed=8), cube_points(200, 5)
    expected = ascend(network, starts, precision="float64", backend="reference", offsets=torch.ones(200))
    computed = ascend(network, starts, precision="float64", backend="cpu", offsets=torch.ones(200))
    agree = (computed.points - expected.points).norm(dim=1) < 1e-6
    assert int(agree.sum()) >= 190  # a seed that meets a kink within rounding may turn the other way
    torch.testing.assert_close(computed.objectives.mean(), expected.objectives.mean(), rtol=1e-3, atol=0)


def test_a_named_backend_never_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="unknown ascent backend 'cup'; did you mean cpu"):
        ascend(line(1), rows([0.5]), backend="cup")
    monkeypatch.setattr("pybackdoor.ops.ascent.cpu._native", None)
    monkeypatch.setattr("pybackdoor.ops.ascent.cpu._MISSING", "the native module is not there", raising=False)
    with pytest.raises(UnsupportedError, match="backend 'cpu' cannot serve this call: the native module is not there; these can: reference"):
        ascend(line(1), rows([0.5]), backend="cpu")
    assert ascend(line(1), rows([0.5])).points.shape == (1, 1)


def test_auto_says_once_which_backend_serves(caplog: pytest.LogCaptureFixture) -> None:
    backends._report.cache_clear()
    with caplog.at_level(logging.INFO, logger="pybackdoor"):
        ascend(line(1), rows([0.5]))
        ascend(line(1), rows([0.5]))
    assert sum(record.getMessage().startswith("ascent is served by backend cpu") for record in caplog.records) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"starts": rows([0.5, 0.5, 0.5])}, r"starts: got shape \(1, 3\); \[N, 2\] is needed"),
        ({"radii": torch.tensor([-1.0])}, "radii: row 0 is -1.0; numbers >= 0"),
        ({"radii": torch.tensor([0.1, 0.2])}, r"radii: got shape \(2,\); \[1\] is needed"),
        ({"slopes": rows([1.0, 1.0], [1.0, 1.0])}, "slopes: 2 rows for 1 starts"),
        ({"anchors": rows([torch.nan, 1.0])}, "anchors: row 0, column 0 is nan"),
        ({"second": line(1)}, "second: has 1 features; the points have 2"),
        ({"precision": "float16"}, "precision: got 'float16'; one of float32, float64"),
        ({"threads": 0}, "threads: got 0; a whole number from 1 to 1024"),
        ({"schedule": AscentSchedule(steps=2**24 + 1)}, "schedule: got 16777217 steps; at most 16777216"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_bad_arguments_are_named(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ascend(**{"network": line(1, 1), "starts": rows([0.5, 0.5]), **change})


def test_wrong_types_are_named() -> None:
    with pytest.raises(InputTypeError, match="network: got str; a pybackdoor Network is needed"):
        ascend("network", rows([0.5]))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"out\[1\]: got torch.float32 of shape \(1, 2\)"):
        value_and_input_gradient(line(1, 1), rows([0.5, 0.5]), out=(torch.empty(1, dtype=DOUBLE), torch.empty(1, 2)))


def test_out_is_filled_and_returned(backend: str) -> None:
    network, starts = random_network((16, 16), 3, "silu"), torch.rand(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = ascend(network, starts, backend=backend)
    out = Ascents(torch.full((7, 3), torch.nan, dtype=torch.float64), *torch.full((2, 7), torch.nan, dtype=torch.float64), *torch.full((2, 7), -1))
    assert ascend(network, starts, backend=backend, out=out) is out
    for name in ("points", "values", "objectives", "status", "steps"):
        assert torch.equal(getattr(out, name), getattr(expected, name))
    assert expected.points is not out.points


def test_an_out_that_does_not_fit_is_named() -> None:
    network, starts = random_network((16, 16), 3, "silu"), torch.rand(7, 3, dtype=torch.float64)
    good = ascend(network, starts)
    for change, message in (
        ({"points": good.points[:6]}, "out.points: got torch.float64 of shape"),
        ({"values": good.values.float()}, "out.values: got torch.float32"),
        ({"steps": good.values}, "out.steps: got torch.float64"),
    ):
        with pytest.raises(InputError, match=message):
            ascend(network, starts, out=replace(good, **change))
    with pytest.raises(InputTypeError, match="an Ascents to write into"):
        ascend(network, starts, out=good.points)
