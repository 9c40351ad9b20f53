"""Philox 4x32-10 against published known answers, and the keyed bijection."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from pybackdoor.errors import InputError
from pybackdoor.ops import philox
from pybackdoor.ops.philox import reference

# (counter, key, answer): the philox4x32-10 lines of the known-answer file distributed with Random123.
KNOWN_ANSWERS = [
    ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_known_answers(counter, key, answer):
    words = reference.philox4x32(tuple(np.full(3, word, dtype=np.uint64) for word in counter), key)
    assert [[int(word) for word in column] for column in words] == [[word] * 3 for word in answer]


def test_blocks_place_index_stream_purpose_and_seed():
    block = reference.blocks(np.array([2**32 + 7], dtype=np.uint64), seed=2**40 + 3, purpose="here", stream=9)[0]
    counter = tuple(np.array([word], dtype=np.uint64) for word in (7, 1, 9, reference.purpose_word("here")))
    assert block.tolist() == [int(word[0]) for word in reference.philox4x32(counter, (3, 2**8))]


def test_purpose_hash_is_stable():
    assert reference.purpose_word("minibatch") == 0x811114F5


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 64, 97, 127, 128, 129, 1023, 1024, 1025, 20011])
def test_permutation_is_a_bijection(count):
    order = philox.permutation(count, seed=5, purpose="test", stream=3)
    assert order.dtype == torch.int64
    assert torch.equal(order.sort().values, torch.arange(count))


def test_permutations_reach_every_order_of_three_about_equally():
    orders = [tuple(philox.permutation(3, seed=0, purpose="test", draw=draw).tolist()) for draw in range(3000)]
    counts = [orders.count(order) for order in sorted(set(orders))]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-4


def test_images_and_successive_differences_are_uniform():
    count, draws = 37, 3000
    orders = torch.stack([philox.permutation(count, seed=1, purpose="test", stream=draw) for draw in range(draws)])
    for sample in (orders[:, 0], orders[:, 17], (orders[:, 5] - orders[:, 4]) % count):
        frequencies = torch.bincount(sample, minlength=count).double()
        frequencies = frequencies[frequencies > 0] if int(frequencies[0]) == 0 else frequencies
        assert stats.chisquare(frequencies.numpy()).pvalue > 1e-4


def test_entries_can_be_computed_alone():
    keys = reference.round_keys(np.array([4], dtype=np.uint64), seed=2, purpose="test", stream=1)
    order = philox.permutation(1000, seed=2, purpose="test", stream=1, draw=4)
    some = np.array([999, 0, 500], dtype=np.uint64)
    assert reference.bijection(some, 1000, keys).tolist() == order[[999, 0, 500]].tolist()


def test_a_bijection_of_a_huge_range_stays_inside_and_apart():
    keys = reference.round_keys(np.zeros(1, dtype=np.uint64), seed=0, purpose="test", stream=0)
    image = reference.bijection(np.arange(1000, dtype=np.uint64), 2**61 + 12345, keys)
    assert len(set(image.tolist())) == 1000
    assert int(image.max()) < 2**61 + 12345


def test_uniforms_are_uniform_and_independent():
    sample = philox.uniforms(40_000, seed=11, purpose="test")
    assert float(sample.min()) >= 0
    assert float(sample.max()) < 1
    assert stats.kstest(sample.numpy(), "uniform").pvalue > 1e-4
    other = philox.uniforms(40_000, seed=11, purpose="test", stream=1)
    for pair in (torch.stack([sample[:-1], sample[1:]]), torch.stack([sample, other])):
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 4 / math.sqrt(40_000)


def test_normals_are_normal():
    sample = philox.normals(40_001, seed=12, purpose="test")
    assert stats.kstest(sample.numpy(), "norm").pvalue > 1e-4
    assert abs(float(torch.corrcoef(torch.stack([sample[:-1:2], sample[1::2]]))[0, 1])) < 4 / math.sqrt(20_000)


@pytest.mark.parametrize("draw", [philox.uniforms, philox.normals])
def test_a_longer_draw_begins_with_the_shorter(draw):
    assert torch.equal(draw(10, seed=3, purpose="test")[:7], draw(7, seed=3, purpose="test"))
    assert draw(0, seed=3, purpose="test").shape == (0,)


def test_seed_purpose_and_stream_each_change_the_draw():
    draws = [
        philox.uniforms(4, seed=seed, purpose=purpose, stream=stream)
        for seed, purpose, stream in ((0, "a", 0), (1, "a", 0), (2**32, "a", 0), (0, "b", 0), (0, "a", 1))
    ]
    assert len({tuple(draw.tolist()) for draw in draws}) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": -1}, "count: got -1"),
        ({"seed": 2**64}, "seed: got"),
        ({"seed": 0.5}, "seed: got 0.5"),
        ({"stream": 2**32}, "stream: got"),
        ({"purpose": ""}, "purpose: got ''"),
        ({"purpose": 3}, "purpose: got 3"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        philox.uniforms(**{"count": 1, "seed": 0, "purpose": "test"} | arguments)
