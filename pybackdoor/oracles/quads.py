"""A vector of QUAD float64 as a Numba value, as `lanes.py` has one of LANES: for problems in two dimensions, where LANES of them overflow the cache.

Arrays are C-contiguous float64 of shape [..., QUAD], a row one vector. Row numbers are not checked.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic, models, overload, register_model

QUAD = 4

_VECTOR = ir.VectorType(ir.DoubleType(), QUAD)


class QuadType(types.Type):
    """The Numba type of a vector of QUAD float64."""

    def __init__(self) -> None:
        super().__init__(name=f"Quad{QUAD}")


QUAD_TYPE = QuadType()


@register_model(QuadType)
class _QuadModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def quads(*shape: int) -> np.ndarray:
    """Zeros [*shape, QUAD] that begin on a cache line, so that no row lies across two, with a row of zeros to be read before and behind them."""
    count = int(np.prod(shape)) * QUAD
    memory = np.zeros(count + 16 + QUAD)
    first = 8 + -memory.ctypes.data // 8 % 8
    return memory[first : first + count].reshape(*shape, QUAD)


def _pointer(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    array = context.make_array(kinds[0])(context, builder, values[0])
    row = context.cast(builder, values[1], kinds[1], types.intp)
    return builder.bitcast(builder.gep(array.data, [builder.mul(row, ir.Constant(row.type, QUAD))]), _VECTOR.as_pointer())


@intrinsic
def load(typing_context, array, row):  # type: ignore[no-untyped-def]
    """The vector in row `row` of the array, counted over all leading axes."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        return builder.load(_pointer(context, builder, signature.args, values), align=8)

    return QUAD_TYPE(array, row), generate


@intrinsic
def store(typing_context, array, row, value):  # type: ignore[no-untyped-def]
    """Puts a vector, or a number in every lane, into row `row` of the array."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        vector = _as_vector(context, builder, signature.args[2], values[2])
        builder.store(vector, _pointer(context, builder, signature.args, values), align=8)
        return context.get_dummy_value()

    return types.void(array, row, value), generate


@intrinsic
def stream(typing_context, array, row, value):  # type: ignore[no-untyped-def]
    """`store` of a vector past the caches, for what is read much later: half the traffic. The array comes from `quads`."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        stored = builder.store(values[2], _pointer(context, builder, signature.args, values), align=8 * QUAD)
        stored.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return types.void(array, row, value), generate


@intrinsic
def fetch(typing_context, array, row):  # type: ignore[no-untyped-def]
    """Asks for row `row` to be brought into the cache; no error where there is none."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), [byte, word, word, word]), "llvm.prefetch.p0")
        place = builder.bitcast(_pointer(context, builder, signature.args, values), byte)
        builder.call(function, [place, *(ir.Constant(word, flag) for flag in (0, 3, 1))])  # to read, into every level, data
        return context.get_dummy_value()

    return types.void(array, row), generate


def _as_vector(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """The value itself, or a number in every lane."""
    if kind == QUAD_TYPE:
        return value
    number = context.cast(builder, value, kind, types.float64)
    single = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(single, ir.Constant(_VECTOR, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), QUAD), [0] * QUAD))


@intrinsic
def fma(typing_context, x, y, z):  # type: ignore[no-untyped-def]
    """The product x y plus z, rounded once; each a vector or a number, one at least a vector."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        function = get_or_insert_function(builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fma.v{QUAD}f64")
        return builder.call(function, [_as_vector(context, builder, kind, value) for kind, value in zip(signature.args, values, strict=True)])

    return QUAD_TYPE(x, y, z), generate


@intrinsic
def fnma(typing_context, x, y, z):  # type: ignore[no-untyped-def]
    """Z less the product x y, rounded once; as `fma`."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        function = get_or_insert_function(builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fma.v{QUAD}f64")
        x_value, y_value, z_value = (_as_vector(context, builder, kind, value) for kind, value in zip(signature.args, values, strict=True))
        return builder.call(function, [builder.fneg(x_value), y_value, z_value])

    return QUAD_TYPE(x, y, z), generate


@intrinsic
def broadcast(typing_context, x):  # type: ignore[no-untyped-def]
    """The number x in every lane."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        return _as_vector(context, builder, signature.args[0], values[0])

    return QUAD_TYPE(x), generate


def _define(operation: Any, instruction: str) -> None:
    @intrinsic
    def emit(typing_context, x, y):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
            x_value, y_value = (_as_vector(context, builder, kind, value) for kind, value in zip(signature.args, values, strict=True))
            return getattr(builder, instruction)(x_value, y_value)

        return QUAD_TYPE(x, y), generate

    @overload(operation)
    def apply(x, y):  # type: ignore[no-untyped-def]
        if QUAD_TYPE in (x, y):
            return lambda x, y: emit(x, y)
        return None


for _operation, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv")):
    _define(_operation, _instruction)
