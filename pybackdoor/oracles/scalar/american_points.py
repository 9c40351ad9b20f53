"""The integrands of an American put's exercise boundary and premium, on one point, with their derivatives.

Source: L. Andersen, M. Lake and D. Offengenden, "High-performance American option pricing", Journal of Computational Finance 20 (2016), 39-87, system
"FP-A" (smooth pasting). In units of the strike and of the maturity T three numbers are left: s = sigma sqrt(T), rho = r T and kappa = q T. With the
boundary exp(-z(x^2)) at the share x^2 of the maturity left to run, the system is F = 0 for F = n - e d, e = exp(-z(x^2)), and

    n = exp(-rho x^2) phi(d0-) / v0 + int_0^(x^2) rho E1 / v du,    d = exp(-kappa x^2) (phi(d0+) / v0 + N(d0+)) + int_0^(x^2) kappa (E3 + E2 / v) du,
    v = s sqrt(u),      d-+ = (z(x^2 - u) - z(x^2) + (rho - kappa -+ s^2 / 2) u) / v,
    E1 = exp(-rho u) phi(d-),     E2 = exp(-kappa u) phi(d+),     E3 = exp(-kappa u) N(d+),

d0 and v0 the same with the strike, 0, for z(x^2 - u) and u = x^2. From e E2 = b E1 with b = exp(-z(x^2 - u)), most terms cancel, and F is a gain
less a loss, both positive: gain = int (rho - kappa b) E1 / v du and loss = e exp(-kappa x^2) N(d0+) + int kappa e E3 du, whose integral belongs to
the gain where kappa < 0. Of F's derivative in z, E1 / v is left. All derivatives in s, rho and kappa hold the z fixed.

Each integrand is in two pieces, what goes into exponentials and Mills ratios, and what is made of them, for drivers that take those side by side.
"""

from __future__ import annotations

from pybackdoor.oracles.compiled import inlined

_INVERSE_ROOT_TWO_PI = 0.3989422804014326779399461


@inlined
def arguments(gap, root, over, deviation, inverse, rho, kappa):  # type: ignore[no-untyped-def]
    """(d-, the exponent of sqrt(2 pi) E1) for gap = z(x^2 - u) - z(x^2), or log S + z; root = sqrt(u), over = 1 / root, inverse = 1 / s."""
    low = (gap * over + (rho - kappa) * root) * inverse - 0.5 * deviation * root
    return low, -0.5 * low * low - rho * root * root


@inlined
def tail(x, part, whole):  # type: ignore[no-untyped-def]
    """The product whole * N(x), where part = whole * N(-abs(x))."""
    return part if x <= 0.0 else whole - part


@inlined
def boundary_terms(low, peak, ratio, growth, mills, level, step):  # type: ignore[no-untyped-def]
    """(E1, e E3, b) from peak = sqrt(2 pi) E1, ratio = b / e, growth = exp(-kappa u), the Mills ratio of abs(d+), level = e and step = v."""
    peak = _INVERSE_ROOT_TWO_PI * peak
    return peak, level * tail(low + step, ratio * peak * mills, growth), level * ratio


@inlined
def boundary_point(low, peak, upper, below, over, rho, kappa):  # type: ignore[no-untyped-def]
    """The integrands of (gain, loss, what e d has beyond the loss, slope) from peak = E1, upper = e E3, below = b, over = 1 / v."""
    density, held = peak * over, kappa * upper
    gain, lost = (rho - kappa * below) * density, max(held, 0.0)
    return gain + (lost - held), lost, kappa * below * density + (held - lost), -gain * low * over


@inlined
def boundary_partials(low, peak, upper, below, root, deviation, inverse, rho, kappa):  # type: ignore[no-untyped-def]
    """F's integrand differentiated in (s, rho, kappa)."""
    time, step, density = root * root, deviation * root, peak * inverse / root
    gain = rho - kappa * below
    turn = root * inverse * low * gain
    return (
        density * inverse * (gain * (low * (low + step) - 1.0) + kappa * below * step * low),
        density * (1.0 - time * rho - turn),
        density * (turn - below + kappa * time * below) - upper * (1.0 - kappa * time),
    )


@inlined
def boundary_end(low, peak, upper, root, inverse):  # type: ignore[no-untyped-def]
    """Outside the integrals: (phi(d0-) / v0, discounted, and F's derivatives in s, rho and kappa), from E1 and e E3, which is the loss."""
    density, time = peak * inverse / root, root * root
    return density, peak * low * inverse, -time * density, time * (density + upper)


@inlined
def premium_terms(low, peak, below, mills_low, mills_high, discount, asset, step):  # type: ignore[no-untyped-def]
    """(E1, exp(-rho u) N(-d-), asset N(-d+)) from sqrt(2 pi) E1, b, discount = exp(-rho u) and asset = moneyness exp(-kappa u)."""
    peak = _INVERSE_ROOT_TWO_PI * peak
    return peak, tail(-low, peak * mills_low, discount), tail(-low - step, below * peak * mills_high, asset)


@inlined
def premium_point(peak, cash, asset, below, over, rho, kappa):  # type: ignore[no-untyped-def]
    """(integrand of the early-exercise premium, slope: its derivative in z, its derivative in log S) in units of the strike."""
    slope = -peak * over * (rho - kappa * below)
    return rho * cash - kappa * asset, slope, slope - kappa * asset


@inlined
def premium_partials(low, peak, cash, asset, below, root, deviation, inverse, rho, kappa):  # type: ignore[no-untyped-def]
    """The integrand differentiated in (s, rho, kappa)."""
    time = root * root
    turn = (rho - kappa * below) * peak * root * inverse
    return (
        peak * inverse * (rho * (low + deviation * root) - kappa * below * low),
        cash - rho * time * cash - turn,
        -asset + kappa * time * asset + turn,
    )
