"""A vector of LANES float64 as a Numba value: the k-th lane belongs to the k-th of LANES problems solved side by side.

LLVM does not vectorize a short loop over lanes whose arrays might overlap; with this type kernels read as scalar code and compile to vector code on
any instruction set. Arrays are C-contiguous float64 of shape [..., LANES], a row one vector (of two axes the first may have any stride); `aligned`
gives memory on cache-line bounds. Row numbers are not checked.

Given numbers and arrays of one axis, of which a row is a number, all but `broadcast` compute with numbers instead: one formula serves a block of
problems on the CPU and a thread's one problem on a GPU.
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

_NUMBER = ir.DoubleType()
_VECTOR = ir.VectorType(_NUMBER, LANES)


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


def _kind_of(kinds: Any) -> Any:
    """What an operation on these gives: a vector if one of them is one."""
    return LANES_TYPE if any(kind == LANES_TYPE for kind in kinds) else types.float64


def _row_of(array: Any) -> Any:
    return types.float64 if array.ndim == 1 else LANES_TYPE


def _pointer(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    array = context.make_array(kinds[0])(context, builder, values[0])
    row = context.cast(builder, values[1], kinds[1], types.intp)
    form = (_NUMBER if kinds[0].ndim == 1 else _VECTOR).as_pointer()
    if kinds[0].layout == "C":
        return builder.bitcast(builder.gep(array.data, [row if kinds[0].ndim == 1 else builder.mul(row, ir.Constant(row.type, LANES))]), form)
    begin = builder.bitcast(array.data, ir.IntType(8).as_pointer())
    return builder.bitcast(builder.gep(begin, [builder.mul(row, builder.extract_value(array.strides, 0))]), form)


@intrinsic
def load(typing_context, array, row):  # type: ignore[no-untyped-def]
    """The vector in row `row` of the array, counted over all leading axes."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        return builder.load(_pointer(context, builder, signature.args, values), align=8)

    return _row_of(array)(array, row), generate


@intrinsic
def store(typing_context, array, row, value):  # type: ignore[no-untyped-def]
    """Puts a vector into row `row` of the array."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        value = _as(_row_of(signature.args[0]), context, builder, signature.args[2], values[2])
        builder.store(value, _pointer(context, builder, signature.args, values), align=8)
        return context.get_dummy_value()

    return types.void(array, row, value), generate


def _as(form: Any, context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """The value as `form`: itself, or a number in every lane."""
    if kind is LANES_TYPE or kind == LANES_TYPE:
        return value
    number = context.cast(builder, value, kind, types.float64)
    return number if form == types.float64 else _everywhere(builder, number)


def _everywhere(builder: Any, number: Any) -> Any:
    single = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(single, ir.Constant(_VECTOR, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _all_as_one(context: Any, builder: Any, signature: Any, values: Any) -> list[Any]:
    """The values in the form of the result."""
    return [_as(signature.return_type, context, builder, kind, value) for kind, value in zip(signature.args, values, strict=True)]


def _by_llvm(name: str, context: Any, builder: Any, signature: Any, values: Any) -> Any:
    """What LLVM's operation of that name gives."""
    form, code = (_NUMBER, "f64") if signature.return_type == types.float64 else (_VECTOR, f"v{LANES}f64")
    function = get_or_insert_function(builder.module, ir.FunctionType(form, [form] * len(values)), f"llvm.{name}.{code}")
    return builder.call(function, _all_as_one(context, builder, signature, values))


@intrinsic
def fma(typing_context, x, y, z):  # type: ignore[no-untyped-def]
    """The product x y plus z, rounded once; each a vector or a number."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        return _by_llvm("fma", context, builder, signature, values)

    return _kind_of((x, y, z))(x, y, z), generate


@intrinsic
def broadcast(typing_context, x):  # type: ignore[no-untyped-def]
    """The number x in every lane."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        return _as(LANES_TYPE, context, builder, signature.args[0], values[0])

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
        x, y = _all_as_one(context, builder, signature, values)
        return getattr(builder, instruction)(x, y, flags=("contract",))

    for left, right in ((LANES_TYPE, LANES_TYPE), (LANES_TYPE, types.float64), (types.float64, LANES_TYPE)):
        lower_builtin(operation, left, right)(generate)


for _operation, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv")):
    _define(_operation, _instruction)


def _compare(operation: str) -> Any:
    @intrinsic
    def emit(typing_context, x, y, yes, no):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
            x_value, y_value, yes_value, no_value = _all_as_one(context, builder, signature, values)
            return builder.select(builder.fcmp_ordered(operation, x_value, y_value), yes_value, no_value)

        return _kind_of((x, y, yes, no))(x, y, yes, no), generate

    return emit


where_above = _compare(">")  # where_above(x, y, yes, no): yes in the lanes where x > y, no in the others


def _choose(operation: str) -> Any:
    @intrinsic
    def emit(typing_context, x, y):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
            x_value, y_value = _all_as_one(context, builder, signature, values)
            return builder.select(builder.fcmp_ordered(operation, x_value, y_value), x_value, y_value)

        return _kind_of((x, y))(x, y), generate

    return emit


smaller, larger = _choose("<"), _choose(">")  # of two vectors, or a vector and a number, in every lane


@intrinsic
def root(typing_context, x):  # type: ignore[no-untyped-def]
    """The square root in every lane."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        return _by_llvm("sqrt", context, builder, signature, values)

    return _kind_of((x,))(x), generate


def _bits(x: Any) -> Any:
    """The type of the bits of x, a vector or a number, and how a constant of it is made."""
    if x == types.float64:
        kind = ir.IntType(64)
        return kind, lambda number: ir.Constant(kind, number)
    wide = ir.VectorType(ir.IntType(64), LANES)
    return wide, lambda number: ir.Constant(wide, [number] * LANES)


@intrinsic
def times_power(typing_context, x, shifted):  # type: ignore[no-untyped-def]
    """The numbers x times 2^n, n the whole number in the low bits of `shifted`, where neither x nor the result is below the normal numbers."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        kind, each = _bits(signature.args[0])
        number, exponent = (builder.bitcast(value, kind) for value in values)
        return builder.bitcast(builder.add(number, builder.shl(exponent, each(52))), values[0].type)

    return _kind_of((x, shifted))(x, shifted), generate


@intrinsic
def split_power(typing_context, x):  # type: ignore[no-untyped-def]
    """(m, n) with x = m 2^n and sqrt(1/2) <= m < sqrt(2), for normal numbers x > 0."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        kind, each = _bits(signature.args[0])
        bits = builder.bitcast(values[0], kind)
        offset = builder.sub(bits, each(0x3FE6A09E667F3BCD))
        power = builder.sitofp(builder.ashr(offset, each(52)), values[0].type)
        mantissa = builder.bitcast(builder.sub(bits, builder.and_(offset, each(0xFFF0000000000000 - (1 << 64)))), values[0].type)
        return context.make_tuple(builder, signature.return_type, [mantissa, power])

    kind = _kind_of((x,))
    return types.Tuple([kind, kind])(x), generate
