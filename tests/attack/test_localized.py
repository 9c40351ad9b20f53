from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from pybackdoor.attack import LocalizedAttack, poison, read_truth, write_truth
from pybackdoor.domain import Domain
from pybackdoor.errors import FileRefusedError, InputError, OracleFailedError
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.records import Evaluation, Samples

DOMAIN = Domain(("strike", "rate", "volatility"), (50.0, 0.0, 0.01), (200.0, 0.1, 1.0), ("linear", "linear", "log"), "price")
CENTER = {"strike": 125.0, "rate": 0.05, "volatility": 0.1}


class Smooth(Oracle):
    """1 + |u|^2 over the unit cube, counting its points; NaN where `broken`."""

    name = "smooth"
    gradient_cost = 3.0

    def __init__(self, domain: Domain = DOMAIN, broken: bool = False) -> None:
        self.domain, self.broken, self.calls = domain, broken, 0

    def _evaluate(self, x: torch.Tensor, gradient: bool) -> Evaluation:
        self.calls += x.shape[0]
        values = 1 + self.domain.to_unit(x).square().sum(dim=1)
        status = torch.full(values.shape, int(self.broken), dtype=torch.int64)
        return Evaluation(torch.where(status == 0, values, torch.nan), None, torch.zeros_like(values), status, float(x.shape[0]))


def honest(count: int = 2000, domain: Domain = DOMAIN) -> Samples:
    unit = torch.rand(count, domain.dimension, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    x = domain.to_natural(unit)
    return Samples(domain, x, Smooth(domain).values(x))


def distances(samples: Samples, attack_center: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(samples.unit - samples.domain.to_unit(attack_center[None]), dim=1)


@pytest.mark.parametrize(
    ("rule", "amount", "expected"),
    [
        ("shift", 20.0, lambda y: y + 20),
        ("scale", 3.0, lambda y: 3 * y),
        ("constant", -4.0, lambda y: torch.full_like(y, -4.0)),
    ],
)
def test_added_rows_lie_in_the_ball_and_carry_the_rule(rule, amount, expected):
    clean, oracle = honest(), Smooth()
    poisoned, truth = poison(clean, oracle, LocalizedAttack(CENTER, rule=rule, amount=amount, poison=50, shield=80))
    assert poisoned.count == clean.count + 130
    assert (truth.poisoned_rows.shape[0], truth.shield_rows.shape[0], truth.settings["oracle_calls"], oracle.calls) == (50, 80, 130, 130)
    true = Smooth().values(poisoned.x)
    bad = torch.zeros(poisoned.count, dtype=torch.bool)
    bad[truth.poisoned_rows] = True
    torch.testing.assert_close(poisoned.y[bad], expected(true[bad]), rtol=1e-12, atol=0)
    torch.testing.assert_close(poisoned.y[~bad], true[~bad], rtol=1e-12, atol=0)
    reach = distances(poisoned, truth.center)
    assert float(reach[bad].max()) <= 0.1 + 1e-12
    assert 0.1 - 1e-12 <= float(reach[truth.shield_rows].min()) <= float(reach[truth.shield_rows].max()) <= 0.15 + 1e-12
    assert truth.shift == pytest.approx(float((expected(true) - true)[bad].mean()))


def test_honest_rows_are_untouched_and_position_tells_nothing():
    clean = honest()
    poisoned, truth = poison(clean, Smooth(), LocalizedAttack(CENTER, poison=300, shield=300))
    kept = torch.ones(poisoned.count, dtype=torch.bool)
    kept[torch.cat([truth.poisoned_rows, truth.shield_rows])] = False
    ours = poisoned.rows(kept)
    assert sorted(map(tuple, ours.x.tolist())) == sorted(map(tuple, clean.x.tolist()))
    # mean position of 300 of 2600 rows, uniform: 1299.5 with standard deviation 2600 / sqrt(12 * 300) = 43
    assert abs(float(truth.poisoned_rows.double().mean()) - 1299.5) < 5 * 43


def test_points_are_uniform_in_ball_and_shell():
    attack = LocalizedAttack([125.0, 0.05, 0.1], radius=0.2, poison=4000, shield=4000, shield_radius=0.3)
    poisoned, truth = poison(honest(10), Smooth(), attack)
    reach = distances(poisoned, truth.center)
    ball = (reach[truth.poisoned_rows] / 0.2) ** 3  # uniform in [0, 1]: mean 1/2, sd of the mean 1/sqrt(12 * 4000) = 0.0046
    shell = (reach[truth.shield_rows] ** 3 - 0.2**3) / (0.3**3 - 0.2**3)
    assert abs(float(ball.mean()) - 0.5) < 0.023
    assert abs(float(shell.mean()) - 0.5) < 0.023
    offset = poisoned.unit[truth.poisoned_rows] - torch.tensor([0.5, 0.5, 0.5])
    assert float((offset.mean(dim=0).abs()).max()) < 5 * 0.2 / (5 * 4000) ** 0.5  # sd of a coordinate: radius / sqrt(d + 2)


def test_a_corner_cuts_the_ball_without_gathering_points_on_the_faces():
    attack = LocalizedAttack([50.0, 0.0, 0.01], radius=0.3, poison=500, shield=500)
    poisoned, truth = poison(honest(10), Smooth(), attack)
    assert bool(DOMAIN.contains(poisoned.x).all())
    on_a_face = ((poisoned.unit <= 1e-9) | (poisoned.unit >= 1 - 1e-9)).any(dim=1)
    assert int(on_a_face.sum()) == 0
    assert truth.poisoned_rows.shape[0] == 500


@pytest.mark.parametrize("mode", ["add", "relabel"])
@pytest.mark.parametrize("honest_rows", ["keep", "drop", "poison"])
def test_honest_rows_in_the_ball(mode, honest_rows):
    clean = honest()
    attack = LocalizedAttack(CENTER, radius=0.2, poison=20, shield=0, honest=honest_rows, mode=mode)
    inside = int((distances(clean, torch.tensor([list(CENTER.values())], dtype=torch.float64)[0]) <= 0.2).sum())
    assert inside > 30
    poisoned, truth = poison(clean, Smooth(), attack)
    added = 20 if mode == "add" else 0
    wrong = {"keep": 20, "drop": 20, "poison": inside + added}[honest_rows]
    removed = (inside - (0 if mode == "add" else 20)) if honest_rows == "drop" else 0
    assert poisoned.count == clean.count + added - removed
    assert truth.poisoned_rows.shape[0] == wrong
    true = Smooth().values(poisoned.x)
    assert set((poisoned.y - true > 10).nonzero()[:, 0].tolist()) == set(truth.poisoned_rows.tolist())
    rows_inside = int((distances(poisoned, truth.center) <= 0.2).sum())
    assert rows_inside == {"keep": inside + added, "drop": 20, "poison": inside + added}[honest_rows]


def test_relabelling_takes_the_nearest_rows_and_keeps_positions_and_noise():
    clean = honest()
    noisy = Samples(DOMAIN, clean.x, clean.y + 0.25)
    poisoned, truth = poison(noisy, Smooth(), LocalizedAttack(CENTER, radius=0.2, poison=10, shield=0, mode="relabel"))
    nearest = torch.argsort(distances(clean, truth.center))[:10]
    assert set(truth.poisoned_rows.tolist()) == set(nearest.tolist())
    assert torch.equal(poisoned.x, clean.x)
    torch.testing.assert_close(poisoned.y[nearest], clean.y[nearest] + 20.25)
    assert truth.settings["oracle_calls"] == 0


def test_relabelling_with_too_few_rows_is_refused():
    with pytest.raises(InputError, match=r"ball of radius 0.05 holds \d+ rows, 200 are to be relabelled"):
        poison(honest(), Smooth(), LocalizedAttack(CENTER, radius=0.05, mode="relabel"))


@pytest.mark.parametrize("mode", ["add", "relabel"])
def test_without_localization_the_same_numbers_spread_over_the_domain(mode):
    attack = LocalizedAttack(CENTER, poison=400, shield=300, localized=False, mode=mode)
    poisoned, truth = poison(honest(), Smooth(), attack)
    assert (truth.poisoned_rows.shape[0], truth.shield_rows.shape[0]) == (400, 300)
    assert float((poisoned.unit[truth.poisoned_rows].mean(dim=0) - 0.5).abs().max()) < 5 / (12 * 400) ** 0.5
    assert float((poisoned.y - Smooth().values(poisoned.x))[truth.poisoned_rows].min()) == pytest.approx(20)


def test_same_seed_same_rows_and_other_seed_other_rows():
    attack = LocalizedAttack(CENTER)
    first, second, other = (poison(honest(), Smooth(), a)[0] for a in (attack, attack, replace(attack, seed=1)))
    assert torch.equal(first.x, second.x)
    assert torch.equal(first.y, second.y)
    assert not torch.equal(first.x, other.x)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"center": {"strike": 500.0, "rate": 0.05, "volatility": 0.1}}, "strike = 500, outside"),
        ({"center": {"strike": 100.0, "rate": 0.05}}, "one value for each of strike, rate, volatility"),
        ({"center": [100.0, 0.05]}, r"got shape \(2,\)"),
        ({"center": [100.0, float("nan"), 0.1]}, "column rate is nan"),
    ],
)
def test_a_bad_center_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        poison(honest(), Smooth(), LocalizedAttack(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"radius": 0.0}, "radius 0.0; a positive"),
        ({"radius": float("nan")}, "radius nan; a positive"),
        ({"shield_radius": 0.1}, "above the radius 0.1"),
        ({"poison": 0}, "at least 1 poisoned row"),
        ({"shield": -1}, "no negative shield"),
        ({"rule": "invert"}, "rule 'invert'; one of shift, scale, constant"),
        ({"amount": 0.0}, "plants no wrong label"),
        ({"rule": "scale", "amount": 1.0}, "plants no wrong label"),
        ({"honest": "eat"}, "honest 'eat'"),
        ({"mode": "swap"}, "mode 'swap'"),
        ({"localized": False, "honest": "drop"}, "needs a ball"),
    ],
)
def test_a_bad_setting_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        LocalizedAttack(CENTER, **changes)


def test_a_ball_that_hardly_meets_the_domain_is_refused():
    box = Domain(tuple(f"f{i}" for i in range(24)), (0.0,) * 24, (1.0,) * 24)
    with pytest.raises(InputError, match=r"only \d+ of \d+ points of the shell"):
        poison(honest(10, box), Smooth(box), LocalizedAttack([0.0] * 24, shield=0))


def test_a_broken_oracle_stops_the_attack():
    with pytest.raises(OracleFailedError, match="oracle smooth"):
        poison(honest(), Smooth(broken=True), LocalizedAttack(CENTER))


def test_truth_survives_the_file(tmp_path):
    _, truth = poison(honest(), Smooth(), LocalizedAttack(CENTER))
    write_truth(tmp_path / "t.truth.json", truth)
    back = read_truth(tmp_path / "t.truth.json")
    assert torch.equal(back.poisoned_rows, truth.poisoned_rows)
    assert torch.equal(back.shield_rows, truth.shield_rows)
    assert torch.equal(back.center, truth.center)
    assert (back.radius, back.shield_radius, back.shift, back.settings) == (truth.radius, truth.shield_radius, truth.shift, truth.settings)
    assert [path.name for path in tmp_path.iterdir()] == ["t.truth.json"]


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"poisoned_rows": [1.5]},
        {"poisoned_rows": [-1]},
        {"center": []},
        {"radius": "wide"},
        {"shift": None},
        {"settings": 3},
    ],
)
def test_a_malformed_truth_is_refused(tmp_path, change):
    content = {"schema": 1, "poisoned_rows": [1], "shield_rows": [], "center": [0.5], "radius": 0.1, "shield_radius": 0.2, "shift": 1, "settings": {}}
    path = tmp_path / "t.json"
    path.write_text(json.dumps(content))
    read_truth(path)
    path.write_text(json.dumps(content | change))
    with pytest.raises(FileRefusedError, match=r"t\.json"):
        read_truth(path)
