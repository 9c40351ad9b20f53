"""A plan as the native modules read it."""

from __future__ import annotations

from typing import Any

from pybackdoor.ops.philox.reference import purpose_word
from pybackdoor.ops.train.minibatch import PURPOSE
from pybackdoor.records import TrainingPlan
from pybackdoor.records.training import SCHEDULES


def native_plan(plan: TrainingPlan) -> dict[str, Any]:
    """Numbers in place of names, and the word that keys the minibatches."""
    return {
        "steps": plan.steps,
        "batch_size": plan.batch_size,
        "learning_rate": plan.learning_rate,
        "schedule": SCHEDULES.index(plan.schedule),
        "warmup": plan.warmup,
        "final_fraction": plan.final_fraction,
        "beta1": plan.beta1,
        "beta2": plan.beta2,
        "epsilon": plan.epsilon,
        "weight_decay": plan.weight_decay,
        "huber": plan.loss == "huber",
        "huber_delta": plan.huber_delta,
        "seed": plan.seed,
        "purpose": purpose_word(PURPOSE),
    }
