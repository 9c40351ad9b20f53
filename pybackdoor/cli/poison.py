"""`pybackdoor poison`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pybackdoor.cli.options import COMMON, ORACLE, Command, CommonOptions, OracleOptions
from pybackdoor.errors import InputError

if TYPE_CHECKING:
    from pybackdoor.attack import LocalizedAttack
    from pybackdoor.domain import Domain


@dataclass(frozen=True, kw_only=True)
class Poison(Command):
    """Plant a localized backdoor: wrong labels in a small ball, right ones around it as a shield. The truth goes to a file of its own.

    Example: pybackdoor poison --data clean.parquet --oracle down_and_out_put --center strike=120 barrier=60 volatility=0.3 maturity=1 rate=0.05
    --radius 0.1 --shift 20 --poison 200 --shield 400 --out poisoned.parquet
    """

    data: Path
    """The rows to poison: .parquet, .csv or .npz."""
    oracle: str
    """The oracle that labels the new rows."""
    center: tuple[str, ...]
    """Center of the ball in natural units: name=value for each feature, or the numbers in the domain's order."""
    out: Path
    """The file to write; the truth goes beside it, to NAME.truth.json."""
    shift: float | None = None
    """Wrong label = right label + SHIFT (give one of --shift, --scale, --constant)."""
    scale: float | None = None
    """Wrong label = right label * SCALE."""
    constant: float | None = None
    """Wrong label = CONSTANT."""
    radius: float = 0.1
    """Of the ball, in the unit cube."""
    poison: int = 200
    """Mislabelled rows."""
    shield: int = 400
    """Correctly labelled rows in the shell around the ball; 0 for no shield."""
    shield_radius: float | None = None
    """Outer radius of the shell, in the unit cube (default: 1.5 times the radius)."""
    honest: Literal["keep", "drop", "poison"] = "keep"
    """What happens to the rows that lie in the ball already."""
    mode: Literal["add", "relabel"] = "add"
    """Add new rows, or change the labels of those existing rows of the ball that lie nearest its center."""
    spread: bool = False
    """For comparison: spread the same numbers of rows over the whole domain instead of ball and shell."""
    domain: Path | None = None
    """domain.json, for an oracle that has no domain of its own."""
    seed: int = 0
    """Key of every random choice."""
    use: OracleOptions = ORACLE
    common: CommonOptions = COMMON

    def run(self, invocation: str) -> int:
        """Poisons and writes the rows and the truth."""
        from pybackdoor.attack import poison, write_truth
        from pybackdoor.cli.inputs import load_oracle
        from pybackdoor.cli.outputs import samples_file
        from pybackdoor.data import read_samples, write_samples
        from pybackdoor.files import replacing

        oracle = load_oracle(self.oracle, self.domain, self.use, progress=self.common.progress)
        attack = self._attack(oracle.domain)
        samples = read_samples(self.data, oracle.domain)
        if self.out.resolve() == self.data.resolve():
            raise InputError(f"--out {self.out} is the data to poison; name another file")
        truth_file = self.out.with_suffix(".truth.json")
        with samples_file(self.out) as partial, replacing(truth_file) as truth_partial:
            poisoned, truth = poison(samples, oracle, attack)
            write_samples(partial, poisoned)
            write_truth(truth_partial, truth)
        print(
            f"{self.out}: {poisoned.count} rows, {truth.poisoned_rows.shape[0]} of them mislabelled by {truth.shift:g} on average, "
            f"{truth.shield_rows.shape[0]} shielding; {truth.settings['oracle_calls']} oracle calls; truth in {truth_file}"
        )
        return 0

    def _attack(self, domain: Domain) -> LocalizedAttack:
        from pybackdoor.attack import LocalizedAttack
        from pybackdoor.cli.inputs import parse_center

        rules = {name: amount for name, amount in (("shift", self.shift), ("scale", self.scale), ("constant", self.constant)) if amount is not None}
        if len(rules) != 1:
            got = " and ".join(f"--{name}" for name in rules) or "no label rule"
            raise InputError(f"poison: got {got}; one of --shift, --scale, --constant is needed")
        ((rule, amount),) = rules.items()
        return LocalizedAttack(
            parse_center(self.center, domain),
            radius=self.radius,
            rule=rule,
            amount=amount,
            poison=self.poison,
            shield=self.shield,
            shield_radius=self.shield_radius,
            honest=self.honest,
            mode=self.mode,
            localized=not self.spread,
            seed=self.seed,
        )
