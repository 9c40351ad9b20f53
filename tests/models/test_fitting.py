from dataclasses import replace

import pytest
import torch
from networks import DOMAIN, points, surrogate

from pybackdoor.domain import Domain
from pybackdoor.errors import InputError, NotConvergedError
from pybackdoor.models import FitConfig, NetworkSurrogate, early_stopping, fit, fit_many
from pybackdoor.models.scaling import rescaled
from pybackdoor.records import Samples

PLANE = Domain(("a", "b"), (0, 1), (1, 10), ("linear", "log"), "price")
QUICK = FitConfig(widths=(16, 16), epochs=1, least_steps=50, batch_size=64)


def truth(x: torch.Tensor) -> torch.Tensor:
    return 100 + 20 * torch.sin(4 * x[:, 0]) * torch.log(x[:, 1])


def rows(count: int = 400, seed: int = 0, noise: float = 0.0) -> Samples:
    generator = torch.Generator().manual_seed(seed)
    x = PLANE.to_natural(torch.rand(count, 2, generator=generator, dtype=torch.float64))
    return Samples(PLANE, x, truth(x) + noise * torch.randn(count, generator=generator, dtype=torch.float64))


def error(model: NetworkSurrogate, seed: int = 9) -> float:
    fresh = rows(2000, seed)
    return float((model.values(fresh.x) - fresh.y).square().mean().sqrt())


@pytest.mark.parametrize("activation", ["silu", "tanh", "relu"])
def test_a_smooth_function_is_learned(activation):
    model = fit(rows(1000), FitConfig(widths=(32, 32), activation=activation, epochs=60, least_steps=0, batch_size=64))
    spread = float(rows(2000, 9).y.std())
    assert error(model) < (0.05 if activation == "relu" else 0.02) * spread


def test_the_seed_decides_and_nothing_else():
    torch.manual_seed(1)
    first = fit(rows(), QUICK)
    torch.manual_seed(2)
    again, other = fit(rows(), QUICK), fit(rows(), replace(QUICK, seed=1))
    x = rows().x
    assert torch.equal(first.values(x), again.values(x))
    assert not torch.allclose(first.values(x), other.values(x))


def test_the_best_state_is_kept_and_patience_ends_the_fit(monkeypatch):
    stops = []
    inner = early_stopping.train

    def watched(*arguments, **settings):
        stops.append(settings["until"])
        return inner(*arguments, **settings)

    monkeypatch.setattr(early_stopping, "train", watched)
    noisy = rows(60, noise=10.0)
    overfit = FitConfig(widths=(64, 64), epochs=1500, least_steps=0, batch_size=60, learning_rate=5e-3, schedule="constant")
    last = fit(noisy, overfit)
    held = replace(overfit, validation_fraction=0.3)
    best, stopped = fit(noisy, held), fit(noisy, replace(held, patience=200))
    assert stops[0] == 1500
    assert stops[50] == 1500  # fifty looks at the validation loss
    assert len(stops) < 1 + 50 + 40  # and fewer with patience
    assert error(best) < 0.8 * error(last)
    assert error(stopped) < 0.8 * error(last)


def test_rows_of_weight_zero_have_no_influence():
    samples = rows()
    weights = torch.ones(400)
    weights[::4] = 0
    spoiled = samples.y.clone()
    spoiled[::4] += 1e6
    config = replace(QUICK, validation_fraction=0.1)
    clean = fit(samples, config, sample_weights=weights)
    assert torch.equal(fit(Samples(PLANE, samples.x, spoiled), config, sample_weights=weights).values(samples.x), clean.values(samples.x))
    assert torch.allclose(fit(samples, config, sample_weights=4 * weights).values(samples.x), clean.values(samples.x), rtol=1e-5)
    assert not torch.allclose(fit(samples, config).values(samples.x), clean.values(samples.x), rtol=1e-5)


@pytest.mark.parametrize("y", [0.0, 5.0, -1e9])
def test_a_constant_target_is_learned(y):
    samples = Samples(PLANE, rows().x, torch.full((400,), y, dtype=torch.float64))
    model = fit(samples, replace(QUICK, least_steps=500))
    assert torch.allclose(model.values(samples.x), samples.y, atol=1e-7, rtol=1e-7)


def test_rescaling_leaves_the_function_alone():
    for rate in (0.0, 4.0):
        network = surrogate(input_rate=torch.tensor([0.0, rate, 0.0], dtype=torch.float64)).network
        model, other = NetworkSurrogate(network, DOMAIN), NetworkSurrogate(rescaled(network, -7.0, 50.0), DOMAIN)
        assert torch.allclose(model.values(points()), other.values(points()), rtol=1e-12)
        assert other.network.output_scale == 50.0


def test_fine_tuning_begins_where_the_start_is():
    samples = rows(1000)
    start = fit(samples, replace(QUICK, least_steps=800))
    still = fit(samples, replace(QUICK, learning_rate=1e-12), start=start)
    assert torch.allclose(still.values(samples.x), start.values(samples.x), rtol=1e-5)
    moved = Samples(PLANE, samples.x, samples.y + 5 * samples.x[:, 0])  # another mean and spread, so another output map
    tuned, scratch = (fit(moved, replace(QUICK, least_steps=100, learning_rate=3e-3), start=each) for each in (start, None))
    fresh = rows(2000, 9)
    errors = [float((model.values(fresh.x) - fresh.y - 5 * fresh.x[:, 0]).square().mean().sqrt()) for model in (tuned, scratch)]
    assert errors[0] < 0.5 * errors[1]


def test_many_fits_are_each_what_one_is():
    sets = [rows(seed=seed) for seed in (1, 2)]
    together = fit_many(sets, QUICK)
    for samples, model in zip(sets, together, strict=True):
        assert torch.allclose(fit(samples, QUICK).values(samples.x), model.values(samples.x), rtol=1e-4)
    ensemble = fit_many([sets[0]] * 2, QUICK, streams=[0, 1])
    assert not torch.allclose(ensemble[0].values(sets[0].x), ensemble[1].values(sets[0].x), rtol=1e-4)
    assert fit_many([], QUICK) == []


def test_few_rows_get_enough_steps():
    assert FitConfig(epochs=10, least_steps=500).plan(20).steps == 500
    assert FitConfig(epochs=10, least_steps=500).plan(20).batch_size == 20
    assert FitConfig(epochs=10, least_steps=5, batch_size=100).plan(950).steps == 100


def test_an_interruption_comes_through(monkeypatch):
    def interrupted(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(early_stopping, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(rows(), QUICK, progress=True)


@pytest.mark.parametrize(
    ("arguments", "settings", "text"),
    [
        ({"epochs": 0}, {}, "epochs 0"),
        ({"widths": (4, 0)}, {}, "widths"),
        ({"activation": "sine"}, {}, "activation 'sine'"),
        ({"validation_fraction": 1.0}, {}, r"validation_fraction 1\.0"),
        ({"patience": 5}, {}, "needs validation rows"),
        ({"schedule": "step"}, {}, "schedule"),
        ({}, {"sample_weights": torch.ones(3)}, r"\[400\] is needed"),
        ({}, {"sample_weights": -torch.ones(400)}, "row 0 is negative"),
        ({}, {"sample_weights": torch.eye(1, 400)[0]}, "1 rows of positive weight"),
        ({}, {"start": surrogate()}, "another domain"),
        ({}, {"start": surrogate(domain=PLANE)}, r"widths \(6, 5\)"),
    ],
)
def test_what_does_not_fit_is_named(arguments, settings, text):
    with pytest.raises(InputError, match=text):
        fit(rows(), FitConfig(**arguments), **settings)


def test_divergence_is_an_error():
    with pytest.raises(NotConvergedError, match="lower learning_rate"):
        fit(rows(), replace(QUICK, learning_rate=1e30))
