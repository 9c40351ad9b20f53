// How an ascent is laid out on the chip: plain arithmetic, the same on any host.
#pragma once

#include "pybackdoor/cuda_ascent.hpp"

namespace pybackdoor {

inline const char* refuse_ascent(const NetworkShape& shape) {
  if (shape.dimension < 1 || shape.dimension > most_features) return "the CUDA ascent takes 1 to 64 features";
  if (shape.hidden < 0 || shape.hidden > most_layers) return "the CUDA ascent takes at most 16 hidden layers";
  for (int layer = 0; layer < shape.hidden; ++layer)
    if (shape.widths[layer] < 1 || shape.widths[layer] > widest_layer) return "the CUDA ascent takes layers of 1 to 512 units";
  return nullptr;
}

// Bytes of shared memory the plan needs as it stands, and of workspace.
inline void measure(const AscentRequest& request, AscentPlan& plan) {
  const PackedSizes first = PackedSizes::of(request.first, plan.tile, plan.tensor);
  const PackedSizes second = request.has_second ? PackedSizes::of(request.second, plan.tile, plan.tensor) : PackedSizes{0, 0, 0};
  const int widest = first.widest > second.widest ? first.widest : second.widest;
  const int hidden = request.has_second && request.second.hidden > request.first.hidden ? request.second.hidden : request.first.hidden;
  const int kept = hidden > 0 ? hidden - 1 : 0, near = plan.saved_shared < kept ? plan.saved_shared : kept;
  const std::int64_t warps = std::int64_t(plan.teams) * plan.team, slopes = std::int64_t(plan.tile) * plan.seeds;
  const std::int64_t columns = 3 + request.has_second + request.has_anchors + request.has_slopes;
  const std::int64_t state = plan.teams * (columns * request.first.dimension + 6) * plan.seeds;
  std::int64_t shared =
      4 * plan.teams + std::int64_t(plan.teams) * widest * plan.seeds + warps * (plan.tile / 32) * plan.seeds + warps * near * slopes;
  if (plan.resident) shared += first.numbers + second.numbers;
  if (plan.state_shared) shared += state;
  plan.shared_bytes = static_cast<int>(shared * 4 < (1 << 30) ? shared * 4 : 1 << 30);
  plan.workspace_bytes = 256 + 4 * plan.blocks * (warps * (kept - near) * slopes + (plan.state_shared ? 0 : state));
}

// Large tiles when there are seeds enough to fill every warp of the chip with them, small ones otherwise. Shared memory goes to the activations
// first, then to the weights, the seeds' state and the saved slopes, as far as it reaches; the rest lies in the workspace, which the second-level
// cache holds.
inline AscentPlan lay_out_ascent(const AscentRequest& request) {
  int widest = request.first.dimension;
  for (const NetworkShape* shape : {&request.first, &request.second}) {
    if (shape == &request.second && !request.has_second) continue;
    for (int layer = 0; layer < shape->hidden; ++layer) widest = shape->widths[layer] > widest ? shape->widths[layer] : widest;
  }
  AscentPlan plan{};
  plan.tensor = request.tensor;
  const int large_team = (widest + 63) / 64;
  const std::int64_t large_seeds = std::int64_t(request.multiprocessors) * (warps_per_block / large_team) * 32;
  const bool large = widest > 256 || (widest > 32 && request.count >= large_seeds / 2);
  plan.tile = large ? 64 : 32, plan.seeds = large ? 32 : 16;
  plan.team = (widest + plan.tile - 1) / plan.tile;
  plan.teams = warps_per_block / plan.team;
  const std::int64_t full = (request.count + plan.seeds - 1) / plan.seeds;  // teams that find work
  const std::int64_t share = (full + request.multiprocessors - 1) / request.multiprocessors;
  if (share < plan.teams) plan.teams = share > 0 ? static_cast<int>(share) : 1;
  const std::int64_t blocks = (full + plan.teams - 1) / plan.teams;
  plan.blocks = static_cast<int>(blocks < request.multiprocessors ? (blocks > 0 ? blocks : 1) : request.multiprocessors);
  const auto keep_if_it_fits = [&](AscentPlan candidate) {
    measure(request, candidate);
    if (candidate.shared_bytes > request.shared_bytes) return false;
    plan = candidate;
    return true;
  };
  measure(request, plan);
  while (plan.shared_bytes > request.shared_bytes && plan.teams > 1) --plan.teams, measure(request, plan);
  AscentPlan candidate = plan;
  candidate.resident = true;
  keep_if_it_fits(candidate);
  candidate = plan, candidate.state_shared = true;
  keep_if_it_fits(candidate);
  if (plan.resident) {  // otherwise what is left serves the weights as first-level cache
    do {
      candidate = plan, ++candidate.saved_shared;
    } while (candidate.saved_shared < most_layers && keep_if_it_fits(candidate));
  }
  return plan;
}

}  // namespace pybackdoor
