"""A network's weights in one float32 vector, as csrc/include/pybackdoor/cuda_ascent.hpp lays them out, on the network's own device."""

from __future__ import annotations

import torch

from pybackdoor.records.network import Network

INPUT_MULTIPLE = 8


def pack(network: Network, tile: int, inputs: int = INPUT_MULTIPLE, *, fragments: bool = False) -> torch.Tensor:
    """For each hidden layer its weights [rows, columns] and biases [rows], then the output weights [columns], its bias [4], the input rates.

    Affine maps are folded in float64, then everything is rounded once. Rows are padded with zeros to a multiple of `tile`, the first columns to one
    of `inputs`. With `fragments`, for tensor cores, weights are `in_fragments`, and after the biases of every layer but the first they come again,
    transposed.
    """
    weights, biases = folded(network)
    parts = []
    columns = _padded(network.dimension, inputs)
    for layer, (weight, bias) in enumerate(zip(weights[:-1], biases[:-1], strict=True)):
        rows = _padded(weight.shape[0], tile)
        matrix = _zero_padded(weight, rows, columns)
        parts += [in_fragments(matrix, tile) if fragments else matrix.flatten(), _zero_padded(bias[None], 1, rows).flatten()]
        if fragments and layer > 0:
            parts.append(in_fragments(matrix.T, tile))
        columns = rows
    parts += [_zero_padded(weights[-1], 1, columns).flatten(), _zero_padded(biases[-1][None], 1, 4).flatten()]
    parts.append(_zero_padded(network.input_rate[None], 1, _padded(network.dimension, inputs)).flatten())
    return torch.cat(parts).to(torch.float32)


def in_fragments(matrix: torch.Tensor, tile: int) -> torch.Tensor:
    """[rows, columns] as mma.m16n8k8 deals its left factor to the lanes: [rows / tile][columns / 8][tile / 16][lane][4].

    Lane 4 a + b holds of 16 rows by 8 columns (a, b), (a + 8, b), (a, b + 4), (a + 8, b + 4).
    """
    rows, columns = matrix.shape
    dealt = matrix.reshape(rows // tile, tile // 16, 2, 8, columns // 8, 2, 4)  # [tile, piece, i, a, step, j, b]
    return dealt.permute(0, 4, 1, 3, 6, 5, 2).flatten()


def folded(network: Network) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Weights and biases, float64, with the affine maps in them: the first layer then takes u, or exp(rate u) where there is a rate."""
    weights, biases = list(network.weights), list(network.biases)
    biases[0] = biases[0] + weights[0] @ network.input_shift
    weights[0] = weights[0] * network.input_scale
    weights[-1], biases[-1] = network.output_scale * weights[-1], network.output_shift + network.output_scale * biases[-1]
    return weights, biases


def _padded(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _zero_padded(matrix: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    return torch.nn.functional.pad(matrix, (0, columns - matrix.shape[1], 0, rows - matrix.shape[0]))
