"""The orders in which the stages are put together: the audit, the experiment, active learning."""

from pybackdoor.loops.audit import audit
from pybackdoor.loops.audit_config import AuditConfig
from pybackdoor.loops.experiment import ExperimentConfig, Trial, run_trial, slice_through

__all__ = ["AuditConfig", "ExperimentConfig", "Trial", "audit", "run_trial", "slice_through"]
