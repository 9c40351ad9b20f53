"""Formulas on NumPy arrays (the CPU: a number's rounding does not depend on its neighbours) and on torch tensors (a GPU), written once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

Array = Any  # np.ndarray or torch.Tensor: the functions that both have under one name are `library(array).name`


def library(array: Array) -> Any:
    """Numpy or torch, whichever the array belongs to."""
    return torch if isinstance(array, torch.Tensor) else np


def zeros(like: Array, *shape: int) -> Array:
    """Float64 zeros where `like` lies."""
    return like.new_zeros(shape) if isinstance(like, torch.Tensor) else np.zeros(shape)


def evenly(like: Array, first: float, last: float, count: int) -> Array:
    """`count` numbers from `first` to `last` where `like` lies."""
    return torch.linspace(first, last, count, dtype=torch.float64, device=like.device) if library(like) is torch else np.linspace(first, last, count)


def whole(array: Array) -> Array:
    """The numbers as int64, cut off towards 0."""
    return array.to(torch.int64) if library(array) is torch else array.astype(np.int64)


def counted(like: Array, count: int) -> Array:
    """0, 1, ..., count - 1 where `like` lies."""
    return torch.arange(count, device=like.device) if library(like) is torch else np.arange(count)
