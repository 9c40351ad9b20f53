// A network's weights as kernels read them: in row panels.
//
// A matrix of `rows` x `columns` is cut into ceil(rows / panel) panels of nearly equal height h <= panel. In memory a panel is
//     [h biases][column 0: h weights][column 1: h weights] ...        (the biases are left out of transposed matrices)
// so that a kernel broadcasts h consecutive numbers for each step of the inner product. Panels follow each other without gaps: the panel that starts
// at row r begins at r * (columns + 1), or r * columns without biases. panel = 1 is plain row-major order.
#pragma once

#include <cstdint>

#include "pybackdoor/activation.hpp"

namespace pybackdoor {

// What a kernel sees; every pointer and offset belongs to a PackedNetwork (or to its copy on a device).
template <class T>
struct NetworkView {
  int dimension, hidden, panel;
  Activation activation;
  const int* widths;  // [hidden]
  const T* numbers;
  const std::int64_t* forward;   // [hidden] offsets of W_l with biases
  const std::int64_t* backward;  // [hidden] offsets of W_l transposed, without biases
  std::int64_t output;           // weights of the output layer, then its bias
  const T* rates;                // [dimension] of the exponential inputs, 0 where affine; null when all are affine
};

}  // namespace pybackdoor

PYBACKDOOR_OPEN

struct Panels {
  int count, tall, height;  // the first `tall` panels have this height, the others one row less

  PYBACKDOOR_HD static Panels of(int rows, int panel) {
    const int count = (rows + panel - 1) / panel, low = count ? rows / count : 0, tall = count ? rows % count : 0;
    return tall ? Panels{count, tall, low + 1} : Panels{count, count, low};
  }
  PYBACKDOOR_HD int height_of(int index) const { return index < tall ? height : height - 1; }
  PYBACKDOOR_HD int first_row(int index) const { return index * height - (index > tall ? index - tall : 0); }
};

PYBACKDOOR_CLOSE
