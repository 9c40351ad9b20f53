// Philox 4x32-10 against the known answers distributed with Random123, and the keyed bijection.
#include <cstdint>
#include <vector>

#include "check.hpp"
#include "pybackdoor/bijection.hpp"
#include "pybackdoor/philox.hpp"

using namespace pybackdoor;

namespace {

void known_answer(PhiloxWords counter, std::uint32_t low, std::uint32_t high, PhiloxWords answer) {
  const PhiloxWords words = philox4x32(counter, low, high);
  for (int word = 0; word < 4; ++word) CHECK(words.word[word] == answer.word[word]);
}

void known_answers() {
  known_answer({{0, 0, 0, 0}}, 0, 0, {{0x6627E8D5u, 0xE169C58Du, 0xBC57AC4Cu, 0x9B00DBD8u}});
  const std::uint32_t ones = 0xFFFFFFFFu;
  known_answer({{ones, ones, ones, ones}}, ones, ones, {{0x408F276Du, 0x41C83B0Eu, 0xA20BC7C6u, 0x6D5451FDu}});
  known_answer({{0x243F6A88u, 0x85A308D3u, 0x13198A2Eu, 0x03707344u}}, 0xA4093822u, 0x299F31D0u,
               {{0xD16CFE09u, 0x94FDCCEBu, 0x5001E420u, 0x24126EA1u}});
}

void bijections() {
  for (const std::uint64_t count : {1u, 2u, 3u, 4u, 5u, 8u, 9u, 97u, 127u, 128u, 129u, 1023u, 1024u, 1025u, 20011u}) {
    const Bijection bijection = make_bijection(count, {5, 7, 3}, 11);
    std::vector<bool> seen(count, false);
    for (std::uint64_t index = 0; index < count; ++index) {
      const std::uint64_t image = bijection(index);
      CHECK(image < count && !seen[image]);
      seen[image] = true;
    }
  }
  const std::uint64_t huge = (std::uint64_t{1} << 61) + 12345;
  const Bijection bijection = make_bijection(huge, {5, 7, 3}, 0);
  for (std::uint64_t index = huge - 1000; index < huge; ++index) CHECK(bijection(index) < huge);
}

}  // namespace

int main() {
  known_answers();
  bijections();
  return failed();
}
