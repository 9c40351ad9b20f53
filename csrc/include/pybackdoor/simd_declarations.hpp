// The templates each instruction set specializes.
#pragma once

#include "pybackdoor/config.hpp"

PYBACKDOOR_OPEN

template <class T>
struct Vec;

template <class T>
PYBACKDOOR_HD typename Vec<T>::Bits all_bits(typename Vec<T>::Word word);

template <class T>
PYBACKDOOR_HD Vec<T> from_bits(typename Vec<T>::Bits bits);

PYBACKDOOR_CLOSE
