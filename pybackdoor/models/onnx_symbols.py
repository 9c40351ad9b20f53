"""What a tensor of an ONNX graph is, as long as the graph is a chain of linear layers and activations: affine in one vector of features.

A `Linear` is matrix @ basis + shift, row by row, [N, m]. The basis is the input features (with their logarithms), or an activation of another
`Linear`. Sums, products by constants and matrix products stay `Linear`; activations that exporters write as several nodes (SiLU, GELU, softplus) are
put together again by recognising products and sums of a `Linear` with a gate of itself. What does not fit raises `NotAChainError`, with the reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

CONSTANT_TOLERANCE = 1e-5  # constants such as 1 / sqrt(2) come rounded to float32
MOST_ENTRIES = 1 << 26
GELU_CUBIC = 0.044715
SOFTPLUS_LINEAR = 15.0  # beyond this softplus(q) - q is below float32 rounding


class NotAChainError(Exception):
    """The graph is something else than a chain of linear layers and activations; the text says what was met."""


@dataclass(frozen=True, eq=False)
class Basis:
    """A vector of `width` features: "input" (x_1 .. x_d, log x_1 .. log x_d), or the function `kind` of each entry of `argument`.

    ratio: of the kind "cubic", q + ratio q^3; of the kind "beyond", q > ratio.
    """

    kind: str
    width: int
    argument: Linear | None = None
    ratio: float = 0.0


@dataclass(frozen=True, eq=False)
class Linear:
    """matrix @ basis + shift: [N, m], or [N] when flat (m = 1)."""

    basis: Basis
    matrix: Array  # [m, basis.width]
    shift: Array  # [m]
    flat: bool = False

    @property
    def width(self) -> int:
        """The number of columns, m."""
        return int(self.shift.shape[0])

    def scaled(self, factor: Array | float) -> Linear:
        """Each column times its factor, [m] or a number."""
        factors = np.broadcast_to(np.asarray(factor, np.float64), self.shift.shape)
        return replace(self, matrix=self.matrix * factors[:, None], shift=self.shift * factors)

    def shifted(self, amount: Array | float) -> Linear:
        """Each column plus its amount."""
        return replace(self, shift=self.shift + amount)

    def through(self, weight: Array) -> Linear:
        """The product with a constant [m, k] from the right."""
        if weight.shape[1] * self.basis.width > MOST_ENTRIES:
            raise NotAChainError("a product of weight matrices is too large")
        return replace(self, matrix=weight.T @ self.matrix, shift=weight.T @ self.shift)

    def columns(self, index: npt.NDArray[np.intp]) -> Linear:
        """The columns that `index` names."""
        if index.shape[0] * self.basis.width > MOST_ENTRIES:
            raise NotAChainError("a broadcast is too large")
        return replace(self, matrix=self.matrix[index], shift=self.shift[index])

    def of(self, kind: str, ratio: float = 0.0) -> Linear:
        """The function `kind` of every entry, as a `Linear` in a new basis."""
        basis = Basis(kind, self.width, replace(self, flat=False), ratio)
        return Linear(basis, np.eye(self.width), np.zeros(self.width), self.flat)

    def multiple(self) -> tuple[float, float] | None:
        """(k, c) when this is k * basis + c with numbers k and c, else None."""
        if self.width != self.basis.width:
            return None
        k, c = float(self.matrix[0, 0]), float(self.shift[0])
        return (k, c) if bool((self.matrix == k * np.eye(self.width)).all() and (self.shift == c).all()) else None


def input_features(dimension: int) -> Linear:
    """The graph's input: x_1 .. x_d."""
    return Linear(Basis("input", 2 * dimension), np.eye(dimension, 2 * dimension), np.zeros(dimension))


def logarithm(value: Linear) -> Linear:
    """The logarithm of a single feature times a positive number, or of a positive constant, column by column; or of 1 + exp: softplus."""
    if value.basis.kind == "exp":
        found = value.multiple()
        if found is not None and np.allclose(found, (1, 1), rtol=CONSTANT_TOLERANCE) and value.basis.argument is not None:
            return replace(value.basis.argument.of("softplus"), flat=value.flat)
    if value.basis.kind != "input":
        raise NotAChainError("a logarithm behind the first layer")
    dimension = value.basis.width // 2
    matrix, shift = np.zeros_like(value.matrix), np.empty_like(value.shift)
    for row in range(value.width):
        used = np.flatnonzero(value.matrix[row])
        factor = value.matrix[row, used[0]] if used.size == 1 else value.shift[row]
        single = used.size == 1 and used[0] < dimension and value.shift[row] == 0
        if not factor > 0 or not (single or used.size == 0):
            raise NotAChainError("a logarithm of something else than one feature")
        if single:
            matrix[row, used[0] + dimension] = 1.0
        shift[row] = math.log(factor)
    return replace(value, matrix=matrix, shift=shift)


def hyperbolic_tangent(value: Linear) -> Linear:
    """tanh, or, of sqrt(2 / pi) (t + 0.044715 t^3), the gate of the tanh form of GELU in t."""
    if value.basis.kind != "cubic" or value.basis.argument is None:
        return value.of("tanh")
    found, rate = value.multiple(), math.sqrt(2 / math.pi)
    if found is None or found[1] != 0 or not math.isclose(GELU_CUBIC * (found[0] / rate) ** 2, value.basis.ratio, rel_tol=10 * CONSTANT_TOLERANCE):
        raise NotAChainError("tanh of a cubic polynomial that is not GELU's")
    return replace(value.basis.argument.scaled(found[0] / rate).of("gelu_gate"), flat=value.flat)


def choose(mask: Linear, chosen: Linear, other: Linear) -> Linear:
    """Softplus of q where q itself is written for it beyond a threshold, as exporters do to avoid the overflow of a naive exponential."""
    found, factor = other.multiple(), _proportion(chosen, other.basis.argument)
    if mask.basis.kind == "beyond" and other.basis.kind == "softplus" and found is not None and factor is not None:
        stretch = _proportion(mask.basis.argument, other.basis.argument) if mask.basis.argument is not None else None
        same = found[1] == 0 and math.isclose(found[0], factor, rel_tol=CONSTANT_TOLERANCE)
        if same and stretch is not None and mask.basis.ratio >= stretch * SOFTPLUS_LINEAR > 0:
            return other
    raise NotAChainError("a choice that depends on the input")


def add(left: Linear, right: Linear) -> Linear:
    """The sum of two in one basis, or of q and a multiple of q^3."""
    if left.flat != right.flat or left.width != right.width:
        raise NotAChainError("a sum of different shapes")
    if left.basis is right.basis:
        return replace(left, matrix=left.matrix + right.matrix, shift=left.shift + right.shift)
    for cube, other in ((left, right), (right, left)):
        found = cube.multiple() if cube.basis.kind == "cube" else None
        factor = _proportion(other, cube.basis.argument)
        if found is not None and found[1] == 0 and factor and cube.basis.argument is not None:
            return replace(cube.basis.argument.of("cubic", found[0] / factor).scaled(factor), flat=left.flat)
    raise NotAChainError("a sum of two branches (a skip connection)")


def multiply(left: Linear, right: Linear) -> Linear:
    """The product of a `Linear` with a gate of itself (SiLU, GELU), or with itself (a step on the way to GELU's cubic)."""
    if left.flat != right.flat:
        raise NotAChainError("a product of different shapes")
    for value, gate in ((left, right), (right, left)):
        product = _gated(value, gate)
        if product is not None:
            return replace(product, flat=left.flat)
    factor = _proportion(left, right)
    if factor is None:
        raise NotAChainError("a product of two branches that is no known activation")
    return replace(right.of("square").scaled(factor), flat=left.flat)


def _gated(value: Linear, gate: Linear) -> Linear | None:
    argument, found = gate.basis.argument, gate.multiple()
    factor = _proportion(value, argument)
    if argument is None or found is None or factor is None:
        return None
    k, c = found
    balanced = math.isclose(k, c, rel_tol=CONSTANT_TOLERANCE)
    if gate.basis.kind == "sigmoid" and c == 0:
        return argument.of("silu").scaled(factor * k)
    if gate.basis.kind == "erf" and balanced:
        return argument.scaled(math.sqrt(2)).of("gelu").scaled(math.sqrt(2) * factor * k)
    if gate.basis.kind == "gelu_gate" and balanced:
        return argument.of("gelu_tanh").scaled(2 * factor * k)
    if gate.basis.kind == "square":
        return argument.of("cube").scaled(factor * k) if c == 0 else argument.of("cubic", k / c).scaled(factor * c)
    return None


def _proportion(value: Linear, other: Linear | None) -> float | None:
    """The number r with value = r * other, None when there is none."""
    if other is None or value.basis is not other.basis or value.width != other.width:
        return None
    left, right = (np.concatenate([each.matrix, each.shift[:, None]], axis=1) for each in (value, other))
    size = float((right * right).sum())
    factor = float((left * right).sum()) / size if size > 0 else 1.0
    return factor if float(np.abs(left - factor * right).max()) <= CONSTANT_TOLERANCE * float(np.abs(left).max()) else None
