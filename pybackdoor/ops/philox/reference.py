"""Philox 4x32-10 and the keyed bijection of row numbers, in exact integer arithmetic: the definition that every backend repeats.

Source of the generator: J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC '11.
Counter words: (index low, index high, stream, purpose). Key words: (seed low, seed high). So no two draws share a block.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]  # every element below 2^32

FEISTEL_ROUNDS = 8
_MASK = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_MIXERS = (np.uint64(0x85EBCA6B), np.uint64(0xC2B2AE35))  # the finaliser of MurmurHash3 (A. Appleby, 2011)


def philox4x32(counter: tuple[Words, Words, Words, Words], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Ten rounds of Philox 4x32 on four counter words (arrays of one shape) under a key of two words."""
    a, b, c, d = counter
    for step in range(10):
        low, high = (np.uint64((word + step * bump) & 0xFFFFFFFF) for word, bump in zip(key, _KEY_STEPS, strict=True))
        first, second = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b, c, d = (second >> _HALF) ^ b ^ low, second & _MASK, (first >> _HALF) ^ d ^ high, first & _MASK
    return a, b, c, d


def purpose_word(purpose: str) -> int:
    """A stable 32-bit hash of the text that says what the draws are for (BLAKE2b, first four bytes, little endian)."""
    return int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=4).digest(), "little")


def blocks(index: Words, *, seed: int, purpose: str, stream: int) -> Words:
    """The blocks of these numbers [n] of a stream: [n, 4] words."""
    counter = (index & _MASK, index >> _HALF, np.full_like(index, stream), np.full_like(index, purpose_word(purpose)))
    return np.stack(philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32)), axis=1)


def round_keys(draws: Words, *, seed: int, purpose: str, stream: int) -> Words:
    """The eight Feistel keys of each of these permutations [n] of a stream: [8, n], the words of blocks 2 draw and 2 draw + 1."""
    index = np.stack([draws + draws, draws + draws + np.uint64(1)], axis=1)
    return blocks(index.ravel(), seed=seed, purpose=purpose, stream=stream).reshape(-1, FEISTEL_ROUNDS).T


def bijection(index: Words, count: int, keys: Words) -> Words:
    """The image of each index [n] (0 <= index < count) under the keyed bijection of 0..count-1; keys [8, n] or [8, 1]; count at most 2^62.

    An alternating Feistel network on the b bits that count - 1 needs, the upper b // 2 and the lower b - b // 2 of them, walked along its
    cycle until the image is below count (fewer than two passes on average). A round replaces one half by its exclusive or with
    mix(other half xor key), mix being a 32-bit multiplicative finaliser: a Philox block a round would cost as much as the training step it feeds.
    """
    bits = max(count - 1, 0).bit_length()
    lower = np.uint64(bits - bits // 2)
    upper_mask, lower_mask = np.uint64((1 << (bits // 2)) - 1), np.uint64((1 << int(lower)) - 1)
    image, outside = index.copy(), np.arange(index.shape[0])
    keys = np.broadcast_to(keys, (FEISTEL_ROUNDS, index.shape[0]))
    while outside.size:
        upper, low = image[outside] >> lower, image[outside] & lower_mask
        for number, key in enumerate(keys[:, outside]):
            if number % 2:
                low ^= _mix(upper ^ key) & lower_mask
            else:
                upper ^= _mix(low ^ key) & upper_mask
        image[outside] = (upper << lower) | low
        outside = outside[image[outside] >= count]
    return image


def _mix(word: Words) -> Words:
    word = word ^ (word >> np.uint64(16))
    word = (word * _MIXERS[0]) & _MASK
    word = word ^ (word >> np.uint64(13))
    word = (word * _MIXERS[1]) & _MASK
    return word ^ (word >> np.uint64(16))
