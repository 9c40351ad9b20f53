"""A vector of LANES float64 as a Numba value: the k-th lane belongs to the k-th of LANES problems solved side by side.

LLVM does not vectorize a short loop over lanes whose arrays might overlap; with this type kernels read as scalar code and compile to vector code on
any instruction set. Arrays are C-contiguous float64 of shape [..., LANES], a row one vector; `aligned` gives memory on cache-line bounds. Row
numbers are not checked.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.cgutils import get_or_insert_function
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 8

_VECTOR = ir.VectorType(ir.DoubleType(), LANES)


class LanesType(types.Type):
    """The Numba type of a vector of LANES float64."""

    def __init__(self) -> None:
        super().__init__(name=f"Lanes{LANES}")


LANES_TYPE = LanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def aligned(*shape: int) -> np.ndarray:
    """Zeros [*shape, LANES] whose rows begin at multiples of 64 bytes: a row across two cache lines costs twice."""
    count = int(np.prod(shape)) * LANES
    memory = np.zeros(count + 8)
    first = -memory.ctypes.data // 8 % 8
    return memory[first : first + count].reshape(*shape, LANES)


def _pointer(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    array = context.make_array(kinds[0])(context, builder, values[0])
    row = context.cast(builder, values[1], kinds[1], types.intp)
    return builder.bitcast(builder.gep(array.data, [builder.mul(row, ir.Constant(row.type, LANES))]), _VECTOR.as_pointer())


@intrinsic
def load(typing_context, array, row):  # type: ignore[no-untyped-def]
    """The vector in row `row` of the array, counted over all leading axes."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        return builder.load(_pointer(context, builder, signature.args, values), align=8)

    return LANES_TYPE(array, row), generate


@intrinsic
def store(typing_context, array, row, value):  # type: ignore[no-untyped-def]
    """Puts a vector into row `row` of the array."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        builder.store(values[2], _pointer(context, builder, signature.args, values), align=8)
        return context.get_dummy_value()

    return types.void(array, row, value), generate


def _as_vector(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """The value itself, or a number in every lane."""
    if kind is LANES_TYPE or kind == LANES_TYPE:
        return value
    number = context.cast(builder, value, kind, types.float64)
    single = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(single, ir.Constant(_VECTOR, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


@intrinsic
def fma(typing_context, x, y, z):  # type: ignore[no-untyped-def]
    """The product x y plus z, rounded once; each a vector or a number, one at least a vector."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        function = get_or_insert_function(builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fma.v{LANES}f64")
        return builder.call(function, [_as_vector(context, builder, kind, value) for kind, value in zip(signature.args, values, strict=True)])

    return LANES_TYPE(x, y, z), generate


@intrinsic
def broadcast(typing_context, x):  # type: ignore[no-untyped-def]
    """The number x in every lane."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        return _as_vector(context, builder, signature.args[0], values[0])

    return LANES_TYPE(x), generate


def _define(operation: Any, instruction: str) -> None:
    """Gives Numba an arithmetic operation on a vector and a vector or number; typed and lowered here, so that nothing is compiled for it."""

    class Operands(AbstractTemplate):
        key = operation

        def generic(self, args: Any, kws: Any) -> Any:
            if LANES_TYPE in args and len(args) == 2 and all(kind == LANES_TYPE or isinstance(kind, types.Number) for kind in args):
                return LANES_TYPE(*(LANES_TYPE if kind == LANES_TYPE else types.float64 for kind in args))
            return None

    infer_global(operation)(Operands)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        x, y = (_as_vector(context, builder, kind, value) for kind, value in zip(signature.args, values, strict=True))
        return getattr(builder, instruction)(x, y, flags=("contract",))

    for left, right in ((LANES_TYPE, LANES_TYPE), (LANES_TYPE, types.float64), (types.float64, LANES_TYPE)):
        lower_builtin(operation, left, right)(generate)


for _operation, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv")):
    _define(_operation, _instruction)


def _compare(operation: str) -> Any:
    @intrinsic
    def emit(typing_context, x, y, yes, no):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
            x_value, y_value, yes_value, no_value = (
                _as_vector(context, builder, kind, value) for kind, value in zip(signature.args, values, strict=True)
            )
            return builder.select(builder.fcmp_ordered(operation, x_value, y_value), yes_value, no_value)

        return LANES_TYPE(x, y, yes, no), generate

    return emit


where_above = _compare(">")  # where_above(x, y, yes, no): yes in the lanes where x > y, no in the others


def _choose(operation: str) -> Any:
    @intrinsic
    def emit(typing_context, x, y):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
            x_value, y_value = (_as_vector(context, builder, kind, value) for kind, value in zip(signature.args, values, strict=True))
            return builder.select(builder.fcmp_ordered(operation, x_value, y_value), x_value, y_value)

        return LANES_TYPE(x, y), generate

    return emit


smaller, larger = _choose("<"), _choose(">")  # of two vectors, or a vector and a number, in every lane


@intrinsic
def root(typing_context, x):  # type: ignore[no-untyped-def]
    """The square root in every lane."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        function = get_or_insert_function(builder.module, ir.FunctionType(_VECTOR, [_VECTOR]), f"llvm.sqrt.v{LANES}f64")
        return builder.call(function, values)

    return LANES_TYPE(x), generate


_BITS = ir.VectorType(ir.IntType(64), LANES)


def _each(number: int) -> Any:
    return ir.Constant(_BITS, [number] * LANES)


@intrinsic
def times_power(typing_context, x, shifted):  # type: ignore[no-untyped-def]
    """The numbers x times 2^n, n the whole number in the low bits of `shifted`, where neither x nor the result is below the normal numbers."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        number, exponent = (builder.bitcast(value, _BITS) for value in values)
        return builder.bitcast(builder.add(number, builder.shl(exponent, _each(52))), _VECTOR)

    return LANES_TYPE(x, shifted), generate


@intrinsic
def split_power(typing_context, x):  # type: ignore[no-untyped-def]
    """(m, n) with x = m 2^n and sqrt(1/2) <= m < sqrt(2), for normal numbers x > 0."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        bits = builder.bitcast(values[0], _BITS)
        offset = builder.sub(bits, _each(0x3FE6A09E667F3BCD))
        power = builder.sitofp(builder.ashr(offset, _each(52)), _VECTOR)
        mantissa = builder.bitcast(builder.sub(bits, builder.and_(offset, _each(0xFFF0000000000000 - (1 << 64)))), _VECTOR)
        return context.make_tuple(builder, signature.return_type, [mantissa, power])

    return types.Tuple([LANES_TYPE, LANES_TYPE])(x), generate
