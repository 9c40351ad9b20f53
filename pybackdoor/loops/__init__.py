"""The orders in which the stages are put together: the audit, the experiment, active learning."""

from pybackdoor.loops.active_learning import learn, learning_rounds
from pybackdoor.loops.audit import audit
from pybackdoor.loops.audit_config import AuditConfig
from pybackdoor.loops.experiment import ExperimentConfig, Trial, run_trial, slice_through
from pybackdoor.loops.learn_config import LearnConfig

__all__ = ["AuditConfig", "ExperimentConfig", "LearnConfig", "Trial", "audit", "learn", "learning_rounds", "run_trial", "slice_through"]
