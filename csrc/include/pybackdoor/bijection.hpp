// The keyed bijection of row numbers: entry by entry a permutation of 0 .. count - 1, as pybackdoor/ops/philox/reference.py defines it.
//
// An alternating Feistel network on the bits of count - 1 (the upper half of them and the lower), its eight round keys from Philox; an image that is
// not below count goes through the network again.
#pragma once

#include <stdint.h>

#include "pybackdoor/config.hpp"
#include "pybackdoor/philox.hpp"

PYBACKDOOR_OPEN

PYBACKDOOR_HD uint32_t feistel_mix(uint32_t word) {
  word ^= word >> 16;
  word *= 0x85EBCA6Bu;
  word ^= word >> 13;
  word *= 0xC2B2AE35u;
  return word ^ (word >> 16);
}

struct Bijection {
  uint64_t count;
  int lower_bits;
  uint32_t upper_mask, lower_mask;
  uint32_t keys[8];

  // One pass through the network on the two halves of an index.
  PYBACKDOOR_HD void pass(uint32_t& upper, uint32_t& lower) const {
    for (int round = 0; round < 8; round += 2) {
      upper ^= feistel_mix(lower ^ keys[round]) & upper_mask;
      lower ^= feistel_mix(upper ^ keys[round + 1]) & lower_mask;
    }
  }

  // The image of index, 0 <= index < count.
  PYBACKDOOR_HD uint64_t operator()(uint64_t index) const {
    do {
      uint32_t upper = static_cast<uint32_t>(index >> lower_bits), lower = static_cast<uint32_t>(index) & lower_mask;
      pass(upper, lower);
      index = (uint64_t{upper} << lower_bits) | lower;
    } while (index >= count);
    return index;
  }
};

// Permutation number `draw` of the stream; 1 <= count <= 2^62.
PYBACKDOOR_HD Bijection make_bijection(uint64_t count, const PhiloxStream& from, uint64_t draw) {
  int bits = 0;
  while (bits < 62 && ((count - 1) >> bits) != 0) ++bits;
  Bijection made;
  made.count = count;
  made.lower_bits = bits - bits / 2;
  made.upper_mask = (uint32_t{1} << (bits / 2)) - 1;
  made.lower_mask = (uint32_t{1} << made.lower_bits) - 1;
  for (int half = 0; half < 2; ++half) {
    const PhiloxWords words = philox_block(from, 2 * draw + static_cast<uint64_t>(half));
    for (int word = 0; word < 4; ++word) made.keys[4 * half + word] = words.word[word];
  }
  return made;
}

PYBACKDOOR_CLOSE
