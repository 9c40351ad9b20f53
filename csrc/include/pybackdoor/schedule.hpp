// The learning rate of a training step; pybackdoor/ops/train/schedule.py is the definition.
#pragma once

#include <math.h>
#include <stdint.h>

#include "pybackdoor/config.hpp"

PYBACKDOOR_OPEN

enum class ScheduleKind : int { one_cycle = 0, cosine = 1, constant = 2 };

struct Schedule {
  ScheduleKind kind;
  int64_t steps;
  double peak, warmup, final_fraction;
};

// Of step number `step`, 1 .. steps.
PYBACKDOOR_HD double learning_rate(const Schedule& plan, int64_t step) {
  if (plan.kind == ScheduleKind::constant) return plan.peak;
  const double steps = static_cast<double>(plan.steps), now = static_cast<double>(step);
  const double warmup = plan.kind == ScheduleKind::one_cycle ? plan.warmup * steps : 0.0;
  if (now <= warmup) return plan.peak * now / warmup;
  const double cosine = ::cos(3.141592653589793 * (now - warmup) / (steps - warmup));
  return plan.peak * (plan.final_fraction + (1 - plan.final_fraction) * (1 + cosine) / 2);
}

PYBACKDOOR_CLOSE
