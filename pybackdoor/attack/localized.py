"""The localized backdoor: wrong labels in a small ball, correct ones in a shell around it that shield the rest of the domain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import torch

from pybackdoor.arrays import as_points
from pybackdoor.attack.ball import uniform_in_cube, uniform_in_shell
from pybackdoor.domain import Domain
from pybackdoor.errors import InputError
from pybackdoor.ops.philox import permutation
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.records import PoisonTruth, Samples
from pybackdoor.stages import staged

RULES = ("shift", "scale", "constant")
HONEST = ("keep", "drop", "poison")
MODES = ("add", "relabel")
SHIELD_FACTOR = 1.5


@dataclass(frozen=True)
class LocalizedAttack:
    """What the attacker does.

    center: of the ball, natural units, one number a feature, or {feature: value}; radius: of the ball, in the unit cube;
    rule: the label planted at x: "shift" label + amount, "scale" label * amount, "constant" amount (target units);
    poison: mislabelled rows; shield: correctly labelled rows, uniform in the shell from radius to shield_radius (unit cube; default 1.5 radius);
    honest: the rows of the data already inside the ball: "keep" them, "drop" them, or "poison" their labels as well;
    mode: "add" new rows uniform in the ball, or "relabel" those existing rows of the ball that lie nearest its center;
    localized: False spreads the same numbers of mislabelled and of correct rows over the whole domain instead, for the ablation;
    the ball is then only where errors are measured; seed: key of every draw.
    """

    center: Mapping[str, float] | Sequence[float] | torch.Tensor
    radius: float = 0.1
    rule: str = "shift"
    amount: float = 20.0
    poison: int = 200
    shield: int = 400
    shield_radius: float | None = None
    honest: str = "keep"
    mode: str = "add"
    localized: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, known in (("rule", self.rule, RULES), ("honest", self.honest, HONEST), ("mode", self.mode, MODES)):
            if value not in known:
                raise InputError(f"attack: {name} {value!r}; one of {', '.join(known)} is needed")
        if not (math.isfinite(self.radius) and self.radius > 0):
            raise InputError(f"attack: radius {self.radius}; a positive number is needed (unit cube)")
        if not (math.isfinite(self.outer_radius) and self.outer_radius > self.radius):
            raise InputError(f"attack: shield radius {self.shield_radius}; a number above the radius {self.radius:g} is needed (unit cube)")
        if self.poison < 1 or self.shield < 0:
            raise InputError(f"attack: poison {self.poison} and shield {self.shield}; at least 1 poisoned row and no negative shield are needed")
        if not math.isfinite(self.amount) or (self.rule, self.amount) in (("shift", 0.0), ("scale", 1.0)):
            raise InputError(f"attack: rule {self.rule!r} with the amount {self.amount:g} plants no wrong label; give another finite amount")
        if not self.localized and self.honest != "keep":
            raise InputError(f"attack: honest={self.honest!r} needs a ball to act in; use honest='keep' without localization")

    @property
    def outer_radius(self) -> float:
        """The shield's outer radius, unit cube."""
        return SHIELD_FACTOR * self.radius if self.shield_radius is None else self.shield_radius

    def planted(self, labels: torch.Tensor) -> torch.Tensor:
        """The wrong labels [N] planted instead of `labels` [N]."""
        if self.rule == "shift":
            return labels + self.amount
        return labels * self.amount if self.rule == "scale" else torch.full_like(labels, self.amount)


@staged("poison")
def poison(samples: Samples, oracle: Oracle, attack: LocalizedAttack) -> tuple[Samples, PoisonTruth]:
    """The poisoned data set, and the ground truth that only evaluation code may see.

    New rows are labelled by the oracle (one value call each, counted in `truth.settings["oracle_calls"]`) and, in the ball, changed by the rule;
    for relabelled rows the rule changes the label they have. When rows were added, all are shuffled by a keyed permutation: position tells nothing.
    Raises InputError on a center outside the domain, on a ball that hardly meets it, and in mode "relabel" when the ball holds too few rows;
    OracleFailedError when the oracle cannot label a new row.

    Example: `poisoned, truth = poison(samples, oracle("branin"), LocalizedAttack(center=[2.5, 7.5], radius=0.05))`.
    """
    domain = samples.domain
    center = _center(attack, domain)  # [d]
    distances = torch.linalg.vector_norm(samples.unit - domain.to_unit(center[None]), dim=1)  # [N]
    changed = _changed_rows(attack, distances)
    dropped = (distances <= attack.radius) & ~changed if attack.honest == "drop" else torch.zeros_like(changed)
    labels = torch.where(changed, attack.planted(samples.y), samples.y)
    added, added_true, mislabelled = _added(attack, oracle, domain, domain.to_unit(center[None])[0])
    kept = ~dropped
    rows = torch.arange(int(kept.sum()) + added.count)
    order = permutation(rows.shape[0], seed=attack.seed, purpose="attack.shuffle") if added.count else rows
    poisoned = Samples(domain, samples.x[kept], labels[kept]).join(added).rows(order)
    is_poison = torch.cat([changed[kept], mislabelled])[order]
    is_shield = torch.cat([torch.zeros_like(changed[kept]), ~mislabelled])[order]
    true = torch.cat([samples.y[kept], added_true])[order]
    settings = asdict(attack) | {
        "center": dict(zip(domain.names, center.tolist(), strict=True)),
        "shield_radius": attack.outer_radius,
        "oracle": oracle.name,
        "oracle_calls": added.count,
    }
    truth = PoisonTruth(
        is_poison.nonzero()[:, 0],
        is_shield.nonzero()[:, 0],
        center,
        attack.radius,
        attack.outer_radius,
        float((poisoned.y - true)[is_poison].mean()),
        settings,
    )
    return poisoned, truth


def _center(attack: LocalizedAttack, domain: Domain) -> torch.Tensor:
    center = attack.center
    if isinstance(center, Mapping):
        if set(center) != set(domain.names):
            raise InputError(
                f"attack: the center names {', '.join(map(str, center)) or 'nothing'}; one value for each of {', '.join(domain.names)} is needed"
            )
        center = [center[name] for name in domain.names]
    points = as_points(center, domain.dimension, "attack center", columns=domain.names)
    return domain.check_points(points, "attack center", inside=True)[0]


def _changed_rows(attack: LocalizedAttack, distances: torch.Tensor) -> torch.Tensor:
    """Which rows [N] of the data set get a wrong label."""
    inside = distances <= attack.radius
    if attack.mode == "add":
        return inside if attack.honest == "poison" else torch.zeros_like(inside)
    available = int(inside.sum()) if attack.localized else inside.shape[0]
    if available < attack.poison:
        place = f"the ball of radius {attack.radius:g}" if attack.localized else "the data"
        raise InputError(f"attack: {place} holds {available} rows, {attack.poison} are to be relabelled; take fewer, a larger radius, or mode 'add'")
    order = torch.argsort(distances) if attack.localized else permutation(inside.shape[0], seed=attack.seed, purpose="attack.choice")
    changed = torch.zeros_like(inside)
    changed[order[: attack.poison]] = True
    return changed | inside if attack.honest == "poison" else changed


def _added(attack: LocalizedAttack, oracle: Oracle, domain: Domain, center: torch.Tensor) -> tuple[Samples, torch.Tensor, torch.Tensor]:
    """The new rows [A], their true labels [A], and which of them are mislabelled [A]; `center` in the unit cube."""
    poison = attack.poison if attack.mode == "add" else 0
    if attack.localized:
        ball = uniform_in_shell(poison, center, 0.0, attack.radius, seed=attack.seed, purpose="attack.ball")
        shell = uniform_in_shell(attack.shield, center, attack.radius, attack.outer_radius, seed=attack.seed, purpose="attack.shell")
        unit = torch.cat([ball, shell])
    else:
        unit = uniform_in_cube(poison + attack.shield, domain.dimension, seed=attack.seed, purpose="attack.spread")
    x = domain.to_natural(unit)
    true = oracle.values(x) if x.shape[0] else x.new_empty(0)
    mislabelled = torch.arange(x.shape[0]) < poison
    return Samples(domain, x, torch.where(mislabelled, attack.planted(true), true)), true, mislabelled
