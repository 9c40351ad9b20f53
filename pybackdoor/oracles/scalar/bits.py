"""A float64 as its 64 bits, and back, in compiled code."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic


@intrinsic
def to_bits(typing_context, x):  # type: ignore[no-untyped-def]
    """The 64 bits of x, as uint64."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.IntType(64))

    return types.uint64(types.float64), generate


@intrinsic
def from_bits(typing_context, x):  # type: ignore[no-untyped-def]
    """The float64 of which x holds the bits."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.DoubleType())

    return types.float64(types.uint64), generate
