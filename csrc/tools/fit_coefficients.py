"""Prints the polynomial coefficients of include/pybackdoor/vector_math.hpp: minimax fits by the Remez exchange in 40 digits (needs mpmath).

Run it as `python csrc/tools/fit_coefficients.py`; each line gives the name, the largest weighted error and the coefficients, constant first.
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp

Function = Callable[[mp.mpf], mp.mpf]
_REFINEMENTS = 15


def remez(function: Function, low: mp.mpf, high: mp.mpf, degree: int, weight: Function) -> tuple[list[mp.mpf], mp.mpf]:
    """The polynomial p of that degree with the smallest max |weight * (function - p)| over [low, high], and that maximum."""
    middle, half = (low + high) / 2, (high - low) / 2
    nodes = [middle - half * mp.cos(mp.pi * k / (degree + 1)) for k in range(degree + 2)]
    grid = [middle - half * mp.cos(mp.pi * k / (40 * (degree + 2))) for k in range(40 * (degree + 2) + 1)]
    values, weights = [function(x) for x in grid], [weight(x) for x in grid]
    for _ in range(_REFINEMENTS):
        matrix = mp.matrix(degree + 2, degree + 2)
        for row, x in enumerate(nodes):
            for power in range(degree + 1):
                matrix[row, power] = x**power
            matrix[row, degree + 1] = (-1) ** row / weight(x)
        solution = mp.lu_solve(matrix, mp.matrix([function(x) for x in nodes]))
        coefficients, level = list(solution[: degree + 1]), abs(solution[degree + 1])
        errors = [w * (value - mp.polyval(coefficients[::-1], x)) for x, value, w in zip(grid, values, weights, strict=True)]
        largest = max(abs(error) for error in errors)
        nodes = _alternation(grid, errors, degree + 2)
        if largest <= level * (1 + mp.mpf("1e-3")):
            break
    return coefficients, largest


def _alternation(grid: list[mp.mpf], errors: list[mp.mpf], count: int) -> list[mp.mpf]:
    """The largest errors of alternating sign, `count` of them."""
    peaks: list[tuple[mp.mpf, mp.mpf]] = []
    for x, error in zip(grid, errors, strict=True):
        if peaks and (error > 0) == (peaks[-1][1] > 0):
            if abs(error) > abs(peaks[-1][1]):
                peaks[-1] = (x, error)
        else:
            peaks.append((x, error))
    while len(peaks) > count:
        peaks.pop(0 if abs(peaks[0][1]) < abs(peaks[-1][1]) else -1)
    return [x for x, _ in peaks]


def expm1_rest(r: mp.mpf) -> mp.mpf:
    """(exp(r) - 1 - r) / r^2."""
    return (mp.expm1(r) - r) / r**2


def atanh_rest(z: mp.mpf) -> mp.mpf:
    """(2 atanh(s) - 2 s) / s^3 at z = s^2."""
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) - 2 * s) / (s * z)


def log1p_ratio(x: mp.mpf) -> mp.mpf:
    """log1p(x) / x."""
    return mp.log1p(x) / x


def erf_rest(z: mp.mpf) -> mp.mpf:
    """erf(x) / x - 1 at z = x^2."""
    return mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1


def tail_ratio(rate: mp.mpf) -> Function:
    """The map y -> (normal distribution at -x) exp(x^2 / 2) / y, where y = 1 / (1 + rate x)."""

    def ratio(y: mp.mpf) -> mp.mpf:
        x = (1 / y - 1) / rate
        return mp.exp(x * x / 2) * mp.erfc(x / mp.sqrt(2)) / 2 / y

    return ratio


def main() -> None:
    """Prints every fit."""
    mp.mp.dps = 40
    half = mp.log(2) / 2
    tiny = mp.mpf("1e-9")  # the fits are of removable singularities at 0
    for kind, expm1, log, softplus, erf, tail, rate, far in (
        ("float", 4, 2, 8, 6, 9, mp.mpf("0.3"), mp.mpf("14.5")),
        ("double", 9, 6, 10, 11, 22, mp.mpf("0.25"), mp.mpf(39)),
    ):
        ratio = tail_ratio(rate)
        fits = {
            "expm1": remez(expm1_rest, -half * mp.mpf("1.0007"), half * mp.mpf("1.0011"), expm1, abs),
            "log": remez(atanh_rest, tiny, mp.mpf("0.02945"), log, lambda z: z / 2),
            "log1p on [0, 1]": (
                remez(log1p_ratio, tiny, mp.mpf(1), softplus, lambda x: 1 / log1p_ratio(x))
                if kind == "float"
                else remez(atanh_rest, tiny, mp.mpf(1) / 9, softplus, lambda z: z / 2)
            ),
            "erf on [0, 1]": remez(erf_rest, tiny, mp.mpf(1), erf, lambda z: mp.mpf(1)),
            f"tail ratio, rate {mp.nstr(rate, 3)}": remez(ratio, 1 / (1 + rate * far), mp.mpf(1), tail, lambda y, ratio=ratio: 1 / ratio(y)),
        }
        for name, (coefficients, error) in fits.items():
            print(f"{kind} {name}: {mp.nstr(error, 3)}: {', '.join(mp.nstr(c, 10 if kind == 'float' else 19) for c in coefficients)}")


if __name__ == "__main__":
    main()
