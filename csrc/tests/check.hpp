// CHECK(condition) counts and reports a failure; main returns failed().
#pragma once

#include <cstdio>

inline int& check_failures() {
  static int count = 0;
  return count;
}

inline int failed() {
  if (check_failures() != 0) std::fprintf(stderr, "%d checks failed\n", check_failures());
  return check_failures() != 0;
}

#define CHECK(condition)                                                           \
  do {                                                                             \
    if (!(condition)) {                                                            \
      ++check_failures();                                                          \
      std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                              \
  } while (false)
