"""Defense: which labels and which places of a model contradict the oracle, with what confidence, and the repair."""

from pybackdoor.defense.certificate import certify
from pybackdoor.defense.growth import FIRST, RIM, Growth, capped, grow, is_cluster, is_one_sided, is_refuted, join, probe
from pybackdoor.defense.isolated import check_outliers
from pybackdoor.defense.labels import LabelChecks
from pybackdoor.defense.proximity import Expectation, Neighbourhood, local_expectation
from pybackdoor.defense.repair import repair
from pybackdoor.defense.screen import Screen, screen
from pybackdoor.defense.tolerance import Tolerances, label_tolerances
from pybackdoor.defense.verdict import Rule, context, decision_rule, honest_kind, significant

__all__ = [
    "FIRST",
    "RIM",
    "Expectation",
    "Growth",
    "LabelChecks",
    "Neighbourhood",
    "Rule",
    "Screen",
    "Tolerances",
    "capped",
    "certify",
    "check_outliers",
    "context",
    "decision_rule",
    "grow",
    "honest_kind",
    "is_cluster",
    "is_one_sided",
    "is_refuted",
    "join",
    "label_tolerances",
    "local_expectation",
    "probe",
    "repair",
    "screen",
    "significant",
]
