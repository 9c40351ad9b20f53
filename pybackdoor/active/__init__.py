"""Active learning's parts: what to ask the oracle next, and the record of a run. The loop is `pybackdoor.loops.active_learning`."""

from pybackdoor.active.acquisition import Proposal, acquire, propose
from pybackdoor.active.collecting import CollectingOracle
from pybackdoor.active.history import LearningHistory, LearningState

__all__ = ["CollectingOracle", "LearningHistory", "LearningState", "Proposal", "acquire", "propose"]
