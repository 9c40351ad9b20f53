"""Frozen records that pass between the stages of the main job."""

from pybackdoor.records.ascent import Ascents, AscentSchedule, AscentStatus
from pybackdoor.records.audit import AuditReport, AuditStatus, Certificate, LabelTolerance, Region, RegionKind
from pybackdoor.records.evaluation import Evaluation, EvaluationStatus
from pybackdoor.records.maximizers import Maximizers
from pybackdoor.records.network import ACTIVATIONS, Network
from pybackdoor.records.samples import PoisonTruth, Samples
from pybackdoor.records.training import TrainingHistory, TrainingPlan, TrainingState

__all__ = [
    "ACTIVATIONS",
    "AscentSchedule",
    "AscentStatus",
    "Ascents",
    "AuditReport",
    "AuditStatus",
    "Certificate",
    "Evaluation",
    "EvaluationStatus",
    "LabelTolerance",
    "Maximizers",
    "Network",
    "PoisonTruth",
    "Region",
    "RegionKind",
    "Samples",
    "TrainingHistory",
    "TrainingPlan",
    "TrainingState",
]
