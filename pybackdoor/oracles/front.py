"""A free boundary on a mesh that moves with it, many problems side by side: the early-exercise premium of American puts, and its derivatives.

In units of the strike and with x = log(spot / strike), w = sigma^2 T, rho = r T, kappa = q T, what an American put is worth beyond the European one
solves p_t = w/2 p_xx + (rho - kappa - w/2) p_x - rho p for x > b(t), t the time to maturity over T, p = 0 at t = 0. On the boundary b the price is
the payoff and smooth: p = 1 - e^b - e, p_x = -e^b - e_x, and from the equation p_xx = 2 (rho - kappa e^b) / w - e^b - e_xx, e the European put. The
payoff's kink is all in e; p is smooth, and so is b in the solver's own time, sqrt(t).

Space: three-point differences at b + (far - b) xi, which move with the boundary. Time: even steps in sqrt(t), the implicit formula of second order
on two earlier levels, one step of Euler first. b is where the value at the first node inside is that of the Taylor polynomial of second order on the
boundary. Second order in both, in the price, in b and in the derivatives.

The derivatives are those of the discrete price with the mesh held, and with it b: a boundary chosen best gives a price that does not change
with it to first order, so what is left out is of second order in the cells like the errors themselves. They cost two sweeps a step.

Source: the boundary made the mesh's end as in H. G. Landau, "Heat conduction in a melting solid", Quarterly of Applied Mathematics 8 (1950), 81-94.
Arrays are [nodes, LANES], a problem a lane. Cost: a division and 11 multiply-adds a node and turn, TURNS turns a step; one more division a node and
step for the derivatives.
"""

from __future__ import annotations

import numpy as np

from pybackdoor.oracles.compiled import kernel, part, scalar
from pybackdoor.oracles.lane_math import exp, log, mills
from pybackdoor.oracles.lanes import broadcast, fma, larger, load, root, smaller, store, where_above

PROBLEM = ("variance", "waiting", "holding", "distance", "far", "limit", "deepest")
VARIANCE, WAITING, HOLDING, DISTANCE, FAR, LIMIT, DEEPEST = range(len(PROBLEM))
TURNS, FIRST_TURNS = 3, (9, 6)  # tries of b in a step, in the first two steps
_CUBIC = 0.7  # of the mesh: how much finer than even it begins at the boundary
_INVERSE_ROOT_TWO_PI = 0.3989422804014327


def geometry(cells: int) -> np.ndarray:
    """[5, cells + 1]: 1 - xi; factors of the diffusion to the left and right and of the speed; xi's steps. xi = p (1 - c + c p^2), p = 0 ... 1."""
    p = np.linspace(0.0, 1.0, cells + 1)
    xi = p * (1.0 - _CUBIC + _CUBIC * p * p)
    steps = np.diff(xi)
    made = np.zeros((5, cells + 1))
    both = steps[:-1] + steps[1:]
    made[0], made[1, 1:-1], made[2, 1:-1], made[3, 1:-1], made[4, :-1] = (
        1.0 - xi,
        1.0 / (steps[:-1] * both),
        1.0 / (steps[1:] * both),
        1.0 / both,
        steps,
    )
    return made


@scalar
def put(x, time, variance, waiting, holding):  # type: ignore[no-untyped-def]
    """The European put over the strike at x = log(spot / strike): (it, d/dx, d2/dx2, d/d variance, d/d waiting, d/d holding)."""
    deviation, low, high, discount, asset, ridge, cash_tail, asset_tail = _tails(x, time, variance, waiting, holding)
    cash = where_above(low, 0.0, cash_tail, discount - cash_tail)
    asset = where_above(high, 0.0, asset_tail, asset - asset_tail)
    return cash - asset, -1.0 * asset, ridge / deviation - asset, 0.5 * ridge * deviation / variance, -time * cash, time * asset


@scalar
def edge(front, time, variance, waiting, holding):  # type: ignore[no-untyped-def]
    """The premium on the boundary: (it, d/dx, the European put's density term of d2/dx2), by the call: nothing cancels where it is small."""
    deviation, low, high, discount, asset, ridge, cash_tail, asset_tail = _tails(front, time, variance, waiting, holding)
    cash = where_above(low, 0.0, discount - cash_tail, cash_tail)
    asset = where_above(high, 0.0, asset - asset_tail, asset_tail)
    dividends = exp(front) * _lost(time * holding)
    return _lost(time * waiting) - dividends - (asset - cash), -1.0 * dividends - asset, ridge / deviation


@part
def _tails(x, time, variance, waiting, holding):  # type: ignore[no-untyped-def]
    """What Black's formula is made of: (deviation, d2, d1, discounted strike, forward, density, what of the two lies beyond |d2| and |d1|)."""
    deviation = root(variance * time)
    low = (x + (waiting - holding) * time) / deviation - 0.5 * deviation
    high = low + deviation
    discount, asset = exp(-time * waiting), exp(x - time * holding)
    ridge = _INVERSE_ROOT_TWO_PI * discount * exp(-0.5 * low * low)
    return deviation, low, high, discount, asset, ridge, ridge * mills(larger(low, -1.0 * low)), ridge * mills(larger(high, -1.0 * high))


@part
def _lost(x):  # type: ignore[no-untyped-def]
    """1 - e^-x."""
    near = x * fma(x, fma(x, fma(x, fma(x, 1.0 / 120.0, -1.0 / 24.0), 1.0 / 6.0), -0.5), 1.0)
    return where_above(0.01, larger(x, -1.0 * x), near, 1.0 - exp(-1.0 * x))


@part
def _pace(step, steps):  # type: ignore[no-untyped-def]
    """(time, dt of the implicit formula, what turns a difference of levels in it to a rate) of a step."""
    share = step / steps
    ahead = 2.0 * share / steps
    return share * share, (1.0 if step == 1 else 2.0 / 3.0) * ahead, 1.0 / ahead


@part
def _change(fronts, step, front):  # type: ignore[no-untyped-def]
    """The formula's difference of `front` after a step and the boundaries before it."""
    last = load(fronts, step - 1)
    before = load(fronts, max(step - 2, 0))
    return front - last if step == 1 else fma(1.5, front, fma(0.5, before, -2.0 * last))


@part
def _rates(problem, front, change, dt, rate):  # type: ignore[no-untyped-def]
    """(far - b, and dt times: diffusion, drift and the boundary's speed, on xi; the diagonal without these)."""
    variance, waiting = load(problem, VARIANCE), load(problem, WAITING)
    length = load(problem, FAR) - front
    over = dt / length
    drift = waiting - load(problem, HOLDING) - 0.5 * variance
    return length, over * variance / length, over * drift, over * rate * change, 1.0 + dt * waiting


@part
def _eliminate(mesh, known, work, diffusion, drift, speed, diagonal):  # type: ignore[no-untyped-def]
    """From the right: u_i = work[0]_i + work[1]_i u_{i-1}; returns these two of the first node inside."""
    nodes = mesh.shape[1]
    value, beta = broadcast(0.0), broadcast(0.0)
    for row in range(nodes - 2, 0, -1):
        moved = fma(speed, mesh[0, row], drift) * mesh[3, row]
        lo, up = diffusion * mesh[1, row] - moved, fma(diffusion, mesh[2, row], moved)
        inverse = 1.0 / (diagonal + lo + up - up * beta)
        value, beta = fma(up, value, load(known, row)) * inverse, lo * inverse
        store(work, row, value)
        store(work, nodes + row, beta)
    return value, beta


@part
def _expected(problem, fronts, step, share):  # type: ignore[no-untyped-def]
    """A first try of limit - b: below the root, from where the tries do not overshoot; at first 0.8 of its course in short times.

    Source: J. D. Evans, R. Kuske, J. B. Keller, "American options on assets with dividends near expiry", Mathematical Finance 12 (2002), 219-237.
    """
    limit = load(problem, LIMIT)
    if step == 1:
        early, carry = share * root(load(problem, VARIANCE)), load(problem, HOLDING) - load(problem, WAITING)
        late, deepest = larger(fma(share * share, carry, 2.0 * early), early), load(problem, DEEPEST)
        soon = 1.28 * root(log(1.0 + 0.2 * early / (share * share * load(problem, WAITING)))) * early
        return larger(0.6 * late * deepest / (late + deepest), soon + limit)
    last = limit - load(fronts, step - 1)
    before = limit - load(fronts, step - 2)
    ahead = 1.6 * last if step == 2 else 2.0 * last - before
    if step > 3:
        ahead = ahead + (last - 2.0 * before + limit - load(fronts, step - 3))
    return smaller(larger(ahead, last), 1.6 * last)


@part
def _farthest(problem, time):  # type: ignore[no-untyped-def]
    """What limit - b cannot exceed: more than its course in short times, and in long ones than the perpetual put's; tries beyond would not return."""
    waiting, holding = load(problem, WAITING), load(problem, HOLDING)
    spread, reward = time * load(problem, VARIANCE), larger(waiting, 0.0 - holding) * time
    drift = where_above(0.0, holding, 2.2 * spread, larger(holding - waiting, 0.0) * time)
    return root(2.2 * log(1.0 + 1.0 / (reward + 1e-30)) * spread) + drift


@part
def _better(problem, most, front, h, value, beta, base, slope, ridge):  # type: ignore[no-untyped-def]
    """The next try of limit - b, by how much steeper than smooth the premium leaves the boundary: y off by d, (e^(l d) - 1) / l, with l from beta."""
    y = load(problem, LIMIT) - front
    bend = 2.0 * (load(problem, WAITING) - load(problem, HOLDING) * exp(front)) / load(problem, VARIANCE)
    excess = (fma(beta - 1.0, base, value) / h - slope - 0.5 * h * (bend + slope - ridge)) / bend
    fall = larger((1.0 - beta) / h * excess, -1.0)
    change = excess / (1.0 + where_above(fall, 0.0, fall, 0.5 * fall))
    return smaller(y * root(smaller(larger(1.0 + 2.0 * change / y, 0.1), 2.5)), most)


@kernel
def march(problem, mesh, levels, fronts, known, work):  # type: ignore[no-untyped-def]
    """Carries p from t = 0 to 1. problem [PROBLEM, LANES]; mesh as `geometry`; work [2, nodes, LANES].

    levels [3 or steps + 1, nodes, LANES] receives p after the steps, step i at i modulo its length; fronts [steps + 1, LANES] the boundaries.
    """
    nodes, steps, slots = mesh.shape[1], fronts.shape[0] - 1, levels.shape[0]
    variance, waiting, holding = load(problem, VARIANCE), load(problem, WAITING), load(problem, HOLDING)
    for row in range(nodes):
        store(levels, row, broadcast(0.0))
    store(fronts, 0, load(problem, LIMIT))
    for step in range(1, steps + 1):
        time, dt, rate = _pace(step, steps)
        last, before = (step - 1) % slots * nodes, max(step - 2, 0) % slots * nodes
        weight = 0.0 if step == 1 else 1.0 / 3.0
        for row in range(1, nodes - 1):
            store(known, row, fma(weight, load(levels, last + row) - load(levels, before + row), load(levels, last + row)))
        most = _farthest(problem, time)
        distance = smaller(_expected(problem, fronts, step, step / steps), most)
        turns = FIRST_TURNS[step - 1] if step <= len(FIRST_TURNS) else TURNS
        front, base = load(problem, LIMIT) - distance, broadcast(0.0)
        for turn in range(turns):
            length, diffusion, drift, speed, diagonal = _rates(problem, front, _change(fronts, step, front), dt, rate)
            value, beta = _eliminate(mesh, known, work, diffusion, drift, speed, diagonal)
            base, slope, ridge = edge(front, time, variance, waiting, holding)
            if turn < turns - 1:
                front = load(problem, LIMIT) - _better(problem, most, front, mesh[4, 0] * length, value, beta, base, slope, ridge)
        here = step % slots * nodes
        store(levels, here, base)
        for row in range(1, nodes - 1):
            base = fma(load(work, nodes + row), base, load(work, row))
            store(levels, here + row, base)
        store(levels, here + nodes - 1, broadcast(0.0))
        store(fronts, step, front)


@kernel
def pull_back(problem, mesh, levels, fronts, bar, bars, work):  # type: ignore[no-untyped-def]
    """Adds to bars [PROBLEM, LANES] the derivatives in variance, waiting and holding of a number in the last p, bar[0] [nodes, LANES] its own in p.

    Takes levels (all of them) and fronts as `march` left them; bar [2, nodes, LANES] and work [2, nodes, LANES] are overwritten.
    """
    nodes, steps = mesh.shape[1], fronts.shape[0] - 1
    for row in range(nodes):
        store(bar, nodes + row, broadcast(0.0))
    for step in range(steps, 0, -1):
        time, dt, rate = _pace(step, steps)
        front = load(fronts, step)
        length, diffusion, drift, speed, diagonal = _rates(problem, front, _change(fronts, step, front), dt, rate)
        total, beta = broadcast(0.0), broadcast(0.0)
        for row in range(nodes - 2, 0, -1):  # the elimination anew, and its substitution backwards
            moved = fma(speed, mesh[0, row], drift) * mesh[3, row]
            lo, up = diffusion * mesh[1, row] - moved, fma(diffusion, mesh[2, row], moved)
            inverse = 1.0 / (diagonal + lo + up - up * beta)
            total = fma(beta, total, load(bar, row))
            beta = lo * inverse
            store(work, row, total)
            store(work, nodes + row, inverse)
        ends = _pull_edge(problem, time, front, fma(beta, total, load(bar, 0)))
        store(bar, 0, broadcast(0.0))
        _gather(bars, dt, length, ends, _pull_rows(mesh, levels, bar, work, step, diffusion, drift, speed))


@part
def _pull_rows(mesh, levels, bar, work, step, diffusion, drift, speed):  # type: ignore[no-untyped-def]
    """The elimination backwards: bar to the two levels before; sums for diffusion, drift and discount."""
    nodes, here = mesh.shape[1], step * mesh.shape[1]
    first, second = (1.0, 0.0) if step == 1 else (4.0 / 3.0, -1.0 / 3.0)
    carried, spread, moves, kept = broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)
    left, middle = load(levels, here), load(levels, here + 1)
    for row in range(1, nodes - 1):
        right = load(levels, here + row + 1)
        mu = (load(work, row) + carried) * load(work, nodes + row)
        carried = fma(diffusion, mesh[2, row], fma(speed, mesh[0, row], drift) * mesh[3, row]) * mu
        spread = fma(mu, fma(mesh[2, row], right - middle, mesh[1, row] * (left - middle)), spread)
        moves = fma(mesh[3, row] * mu, right - left, moves)
        kept = fma(mu, middle, kept)
        store(bar, row, fma(first, mu, load(bar, nodes + row)))
        store(bar, nodes + row, second * mu)
        left, middle = middle, right
    return spread, moves, kept


@part
def _pull_edge(problem, time, front, bar):  # type: ignore[no-untyped-def]
    """What the value on the boundary, 1 - e^b less the European put, gives."""
    _, _, _, by_variance, by_waiting, by_holding = put(front, time, load(problem, VARIANCE), load(problem, WAITING), load(problem, HOLDING))
    return bar * by_variance, bar * by_waiting, bar * by_holding


@part
def _gather(bars, dt, length, ends, sums):  # type: ignore[no-untyped-def]
    """Adds a step's sums to bars."""
    over = dt / length
    spread, moves, kept = over / length * sums[0], over * sums[1], dt * sums[2]
    store(bars, VARIANCE, load(bars, VARIANCE) + (spread - 0.5 * moves - ends[0]))
    store(bars, WAITING, load(bars, WAITING) + (moves - kept - ends[1]))
    store(bars, HOLDING, load(bars, HOLDING) - (moves + ends[2]))
