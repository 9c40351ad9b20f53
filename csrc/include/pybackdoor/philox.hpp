// Philox 4x32-10: four random words as a function of a counter of four words and a key of two.
//
// J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC '11. How seed, purpose and stream become
// counter and key is fixed by pybackdoor/ops/philox/reference.py, which this repeats bit for bit.
#pragma once

#include <stdint.h>

#include "pybackdoor/config.hpp"

PYBACKDOOR_OPEN

struct PhiloxWords {
  uint32_t word[4];
};

PYBACKDOOR_HD PhiloxWords philox4x32(PhiloxWords counter, uint32_t key_low, uint32_t key_high) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t first = uint64_t{0xD2511F53u} * counter.word[0];
    const uint64_t second = uint64_t{0xCD9E8D57u} * counter.word[2];
    counter = {{static_cast<uint32_t>(second >> 32) ^ counter.word[1] ^ key_low, static_cast<uint32_t>(second),
                static_cast<uint32_t>(first >> 32) ^ counter.word[3] ^ key_high, static_cast<uint32_t>(first)}};
    key_low += 0x9E3779B9u;
    key_high += 0xBB67AE85u;
  }
  return counter;
}

// What a sequence of draws is for: seed, a 32-bit hash of the purpose, and the stream's number.
struct PhiloxStream {
  uint64_t seed;
  uint32_t purpose;
  uint32_t stream;
};

PYBACKDOOR_HD PhiloxWords philox_block(const PhiloxStream& from, uint64_t index) {
  const PhiloxWords counter = {{static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), from.stream, from.purpose}};
  return philox4x32(counter, static_cast<uint32_t>(from.seed), static_cast<uint32_t>(from.seed >> 32));
}

PYBACKDOOR_CLOSE
