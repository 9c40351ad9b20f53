"""Heston by QE-M against the semi-closed form: moments of a step, bias and its fall with the steps, gradients, identities, corners, bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm

from pybackdoor import settings
from pybackdoor.data import design
from pybackdoor.errors import InputError
from pybackdoor.oracles import oracle
from pybackdoor.oracles.compiled import kernel
from pybackdoor.oracles.heston_mc import HestonCallMonteCarlo, HestonPutMonteCarlo
from pybackdoor.oracles.scalar.quadratic_exponential import quadratic_exponential
from pybackdoor.oracles.scalar.variance_integral import integral_shares

ANDERSEN = {  # his three cases, spot and strike 100, ten, fifteen and five years cut to four
    "I": [100.0, 100.0, 0.04, 0.5, 0.04, 1.0, -0.9, 4.0, 0.0, 0.0],
    "II": [100.0, 100.0, 0.04, 0.3, 0.04, 0.9, -0.5, 4.0, 0.0, 0.0],
    "III": [100.0, 100.0, 0.09, 1.0, 0.09, 1.0, -0.3, 4.0, 0.0, 0.0],
}


@kernel
def _steps(psi, z, tail, y, out):  # type: ignore[no-untyped-def]
    for i in range(z.shape[0]):
        out[0, i], out[1, i], out[2, i], out[3, i], out[4, i] = quadratic_exponential(psi, z[i], tail[i], y)


@pytest.mark.parametrize("psi", [1e-4, 0.1, 1.0, 1.35, 1.5, 1.7, 1.9, 5.0])
def test_a_step_has_the_moments_it_should_and_is_smooth(psi: float) -> None:
    count = 2**20
    u = (np.arange(count) + 0.5) / count
    z, tail, out = norm.ppf(u), -np.log1p(-u), np.empty((5, count))
    y = 0.05
    _steps(psi, z, tail, y, out)
    assert out[0].mean() == pytest.approx(1, abs=2e-4)
    assert out[0].var() == pytest.approx(psi, rel=4e-3)
    assert np.log(np.exp(y * out[0]).mean()) == pytest.approx(out[2, 0], abs=2e-5)
    up, down = np.empty((5, count)), np.empty((5, count))
    _steps(psi * (1 + 1e-6), z, tail, y, up)
    _steps(psi * (1 - 1e-6), z, tail, y, down)
    for value, slope in ((0, 1), (2, 3)):
        gap = np.abs((up[value] - down[value]) / (2e-6 * psi) - out[slope]) / (1 + np.abs(out[slope]))
        assert np.quantile(gap, 0.999) < 1e-5
        assert np.abs(up[value] - down[value]).max() < 1e-4 * (1 + out[0].max())  # no jump
    _steps(psi, z, tail, y + 1e-6, up)
    _steps(psi, z, tail, y - 1e-6, down)
    assert (up[2, 0] - down[2, 0]) / 2e-6 == pytest.approx(out[4, 0], rel=1e-6)


@pytest.mark.parametrize("case", ANDERSEN)
def test_feller_violated(case: str) -> None:
    row = [ANDERSEN[case]]
    truth, slopes = oracle("heston_put").values_and_gradients(row)
    answer = HestonPutMonteCarlo(paths=2**18, steps=64).evaluate(row, True)
    assert answer.values.item() == pytest.approx(truth.item(), abs=4 * answer.standard_errors.item() + 0.03)
    assert answer.standard_errors.item() < 0.02
    assert float(((answer.gradients - slopes).abs() / (1 + slopes.abs())).max()) < 0.03


def test_more_steps_do_not_spoil_the_derivatives() -> None:
    """Where the variance lingers at 0 the tangents' spread grew with every step, and their mean was in paths too rare to be drawn."""
    slopes = oracle("heston_put").values_and_gradients([ANDERSEN["I"]])[1][0]
    spread = []
    for steps in (32, 128):
        answers = [HestonPutMonteCarlo(paths=4096, steps=steps, seed=seed).evaluate([ANDERSEN["I"]], True).gradients[0] for seed in range(12)]
        mean, deviation = torch.stack(answers).mean(dim=0), torch.stack(answers).std(dim=0)
        assert bool(((mean - slopes).abs() < 4.5 * deviation / 12**0.5 + 80 / steps**2 * slopes.abs()).all())  # 2.2 (11 degrees) and the steps' bias
        spread.append(deviation)
    assert bool((spread[1] < 2.5 * spread[0]).all())
    assert bool((spread[1] < 0.3 * (1 + slopes.abs())).all())


def test_bias_falls_with_the_steps() -> None:
    """Where vol^2 dt is small beside the variance the order is 2; noise is kept out by many paths and the same first coordinates."""
    rows = torch.tensor([[100.0, strike, 0.04, 2.0, 0.09, 0.3, -0.7, 2.0, 0.02, 0.0] for strike in (80.0, 100.0, 120.0)], dtype=torch.float64)
    truth = oracle("heston_put").values(rows)
    bias = [float((HestonPutMonteCarlo(paths=2**16, steps=steps).values(rows) - truth).abs().max()) for steps in (2, 4, 8)]
    assert np.log2(bias[0] / bias[1]) > 1.5
    assert bias[2] < 0.3 * bias[1]
    assert bias[0] > 0.05


def test_where_the_variance_hardly_moves_the_correlation_does_not_matter() -> None:
    """Reversion x step .3 to 3: matching the mean of int v dt alone moved the price by (reversion x step x correlation)^2 / 12 of its variance."""
    rows = torch.tensor([[100.0, 100.0, 0.4, reversion, 0.4, 0.05, 0.9, 5.0, 0.0, 0.0] for reversion in (1.0, 3.0, 10.0)], dtype=torch.float64)
    truth, slopes = oracle("heston_put").values_and_gradients(rows)
    values, gradients = HestonPutMonteCarlo(paths=2**14, steps=16).values_and_gradients(rows)
    assert float((values - truth).abs().max()) < 0.08  # was 10.4, at reversion 10
    assert float((gradients - slopes)[:, 6].abs().max()) < 0.2  # was 19.3


@pytest.mark.parametrize("x", [1e-6, 0.05, 0.2999, 0.3001, 1.0, 7.0, 50.0])
def test_the_integral_given_both_ends(x: float) -> None:
    """Against quadrature of E[I], Cov(I, v') and Var I; derivatives against differences."""
    nodes, weights = np.polynomial.legendre.leggauss(120)
    s, w = 0.5 * (nodes + 1), 0.5 * weights  # of the step
    own, pulled = np.exp(-x * s), -np.expm1(-x * s)  # E[v_s] by v and by mean
    end, inner = np.exp(-x * (1 - s)), -np.expm1(-x * (1 - s)) / x  # what a shock at s makes of v' and of I
    (mean, q1, q2, f1, f2), slopes = integral_shares(x)
    assert mean == pytest.approx(w @ own, rel=1e-12)
    for part, q, f in ((own, q1, f1), (pulled, q2, f2)):
        cross, spread = w @ (part * end * inner), w @ (part * end * end)
        assert q == pytest.approx(cross / spread, rel=1e-10)
        assert f == pytest.approx(w @ (part * inner * inner) - cross**2 / spread, rel=1e-9, abs=1e-16)
    up, down = integral_shares(x * (1 + 1e-4))[0], integral_shares(x * (1 - 1e-4))[0]
    for number, slope in enumerate(slopes):
        assert (up[number] - down[number]) / (2e-4 * x) == pytest.approx(slope, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(("steps", "half", "most"), [(16, 0.03, 1.5), (64, 0.01, 0.3)])
def test_over_the_domain(steps: int, half: float, most: float) -> None:
    points = design(HestonPutMonteCarlo.domain, 96, seed=5)
    truth, slopes = oracle("heston_put").values_and_gradients(points)
    answer = HestonPutMonteCarlo(steps=steps).evaluate(points, True)
    error = (answer.values - truth).abs()
    assert float(error.median()) < half
    assert float(error.max()) < most
    if steps == 64:
        gap = (answer.gradients - slopes).abs() / (1 + slopes.abs())
        assert float(gap.median()) < 2e-3
        assert float(gap.quantile(0.99)) < 0.2


def test_errors_are_what_the_standard_errors_say() -> None:
    row = torch.tensor([[100.0, 105.0, 0.04, 2.0, 0.09, 0.3, -0.7, 0.5, 0.02, 0.0]], dtype=torch.float64)
    truth = oracle("heston_call").values(row)
    for draws in ("sobol", "philox"):
        answers = [HestonCallMonteCarlo(paths=2048, steps=16, seed=seed, draws=draws).evaluate(row) for seed in range(100)]
        score = torch.cat([(answer.values - truth) / answer.standard_errors for answer in answers])
        assert float(score.std()) == pytest.approx(1.03, abs=0.25)
        assert float(score.abs().max()) < 5


@pytest.mark.parametrize("kind", [HestonPutMonteCarlo, HestonCallMonteCarlo])
def test_gradients_are_those_of_the_drawn_price(kind: type[HestonPutMonteCarlo]) -> None:
    """Where tangents are carried: where the variance at maturity is spread by less than its mean."""
    points = design(kind.domain, 72, seed=9)
    variance, reversion, mean, vol, maturity = points[:, [2, 3, 4, 5, 7]].unbind(dim=1)
    start, pulled = variance * torch.exp(-reversion * maturity), mean * -torch.expm1(-reversion * maturity)
    spread = vol**2 / reversion * -torch.expm1(-reversion * maturity) * (start + pulled / 2)
    points = points[spread < (start + pulled) ** 2]
    assert len(points) > 40
    priced = kind(paths=2048, steps=12)
    gradients = priced.values_and_gradients(points)[1]
    for feature in range(10):
        step = 1e-6 * points[:, feature].abs().clamp(min=1e-2)
        up, down = points.clone(), points.clone()
        up[:, feature] += step
        down[:, feature] -= step
        slope = (priced.values(up, strict=False) - priced.values(down, strict=False)) / (2 * step)
        gap = (slope - gradients[:, feature]).abs() / (1 + slope.abs())
        assert float(gap.max()) < 4e-6


def test_parity_and_scaling() -> None:
    """Black's formula on each path: parity holds up to the mean of the forward, which the correction makes 1."""
    points = design(HestonPutMonteCarlo.domain, 64, seed=6)
    call, put = HestonCallMonteCarlo(steps=32).evaluate(points), HestonPutMonteCarlo(steps=32).evaluate(points, True)
    gap = call.values - put.values - points[:, 0] * torch.exp(-points[:, 9] * points[:, 7]) + points[:, 1] * torch.exp(-points[:, 8] * points[:, 7])
    spread = call.standard_errors + put.standard_errors
    assert bool((gap.abs() < 4.2 * spread + 0.02).all())
    spot, strike, variance, reversion, mean, vol, _, maturity, rate, dividend = (points * put.gradients).unbind(dim=1)
    assert float((spot + strike - put.values).abs().max()) < 1e-10
    assert float((variance + mean + reversion + vol - maturity + rate + dividend).abs().max()) < 1e-6


def test_corners() -> None:
    unit = torch.rand(64, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).round()
    points = HestonPutMonteCarlo.domain.to_natural(unit)
    answer = HestonPutMonteCarlo(paths=2048).evaluate(points, True)
    assert bool(answer.ok.all())
    no_variance = points.clone()
    no_variance[:, 2] = 0.0
    assert bool(HestonPutMonteCarlo(paths=2048).evaluate(no_variance, True, strict=False).ok.all())


def test_bits_depend_neither_on_threads_nor_on_the_batch() -> None:
    priced = HestonPutMonteCarlo(paths=2048, steps=5)
    points = design(priced.domain, 70, method="uniform", seed=1)
    whole = priced.evaluate(points, gradient=True)
    with settings.use_threads(3):
        assert torch.equal(priced.evaluate(points, gradient=True).gradients, whole.gradients)
    assert torch.equal(priced.evaluate(points[50:51], gradient=True).gradients, whole.gradients[50:51])


def test_refused() -> None:
    with pytest.raises(InputError, match="0 steps; at least 1"):
        HestonPutMonteCarlo(steps=0)
