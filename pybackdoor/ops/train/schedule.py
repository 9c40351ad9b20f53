"""Learning rate of a step."""

from __future__ import annotations

import math

from pybackdoor.records import TrainingPlan


def learning_rate(plan: TrainingPlan, step: int) -> float:
    """The learning rate of step number `step`, 1 .. plan.steps.

    With T steps, a warm-up of w = warmup * T steps ("one_cycle"; 0 for "cosine") and s = step:
    s <= w: peak * s / w;  s > w: peak * (f + (1 - f) * (1 + cos(pi * (s - w) / (T - w))) / 2), f = final_fraction.  "constant": the peak.
    """
    if plan.schedule == "constant":
        return plan.learning_rate
    warmup = plan.warmup * plan.steps if plan.schedule == "one_cycle" else 0.0
    if step <= warmup:
        return plan.learning_rate * step / warmup
    cosine = math.cos(math.pi * (step - warmup) / (plan.steps - warmup))
    return plan.learning_rate * (plan.final_fraction + (1 - plan.final_fraction) * (1 + cosine) / 2)
