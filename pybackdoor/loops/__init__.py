"""The orders in which the stages are put together: the audit, the experiment, active learning."""

from pybackdoor.loops.audit import audit
from pybackdoor.loops.audit_config import AuditConfig

__all__ = ["AuditConfig", "audit"]
