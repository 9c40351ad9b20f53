"""Attacks on training data. Only evaluation code may see the `PoisonTruth` they return."""

from pybackdoor.attack.localized import LocalizedAttack, poison
from pybackdoor.attack.truth import read_truth, write_truth

__all__ = ["LocalizedAttack", "poison", "read_truth", "write_truth"]
