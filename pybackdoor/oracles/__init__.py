"""Oracles: expensive, trusted answers, batched, with gradients."""

from pybackdoor.oracles.callable import CallableOracle
from pybackdoor.oracles.catalogue import ORACLES, oracle
from pybackdoor.oracles.disk_cache import DiskCachedOracle
from pybackdoor.oracles.oracle import Oracle
from pybackdoor.oracles.quantlib import QuantLibOracle
from pybackdoor.oracles.wrappers import BudgetedOracle, CachedOracle, CountedOracle

__all__ = [
    "ORACLES",
    "BudgetedOracle",
    "CachedOracle",
    "CallableOracle",
    "CountedOracle",
    "DiskCachedOracle",
    "Oracle",
    "QuantLibOracle",
    "oracle",
]
