// exp, tanh, sigmoid, erf, log1p and the normal tail on Vec<T>: branch-free, a few units in the last place over the whole range (subnormal results
// included), NaN in, NaN out, infinities to their limits. Coefficients come from csrc/tools/fit_coefficients.py.
//
//   exp(x), tanh(x), sigmoid(x), erf(x), log1p(x)      Vec<float> or Vec<double>, as simd.hpp's operations; activation.hpp builds on the parts below
#pragma once

#include "pybackdoor/simd.hpp"

PYBACKDOOR_OPEN

template <class T>
inline constexpr bool is_single = sizeof(T) == 4;

// c0 + c1 x + c2 x^2 + ...
template <class T>
PYBACKDOOR_HD Vec<T> horner(Vec<T>, double c0) {
  return Vec<T>::all(T(c0));
}
template <class T, class... Rest>
PYBACKDOOR_HD Vec<T> horner(Vec<T> x, double c0, Rest... rest) {
  return fma(x, horner(x, rest...), Vec<T>::all(T(c0)));
}

// exp(x) = 2^power (1 + rest), |rest| < 0.42.
template <class T>
struct Exponential {
  Vec<T> power, rest;
};

// Of x + tail for x below 89 (float) or 710 (double) and a tail of some thousandths at most. Below -104 (-746) exp is 0, and x counts as that.
template <class T, class... Tail>
PYBACKDOOR_HD Exponential<T> split_exponential(Vec<T> x, Tail... tail) {
  using V = Vec<T>;
  constexpr bool single = is_single<T>;
  const V bounded = max(V::all(T(single ? -104 : -746)), x);
  const V whole_bits = V::all(T(single ? 0x1.8p23 : 0x1.8p52));  // added and taken away again, it rounds to a whole number
  const V power = fma(bounded, V::all(T(1.4426950408889634)), whole_bits) - whole_bits;
  V r = fnma(power, V::all(T(single ? 0.693359375 : 6.93147180369123816490e-01)), bounded);  // few bits: its product with power is exact
  r = (fnma(power, V::all(T(single ? -2.12194440054690583e-4 : 1.90821492927058770002e-10)), r) + ... + tail);
  V q;
  if constexpr (single) {
    q = horner(r, 0.5000000064, 0.1666654258, 0.04166627177, 0.00836663878, 0.001394735525);
  } else {
    q = horner(r, 0.5000000000000005588, 0.1666666666666668781, 0.04166666666657307168, 0.008333333333313034235, 0.001388888893257819298,
               0.0001984126990726636393, 0.00002480150418926801009, 2.755722340236896904e-6, 2.762643425322016499e-7, 2.511615526948837613e-8);
  }
  return {power, fma(r * r, q, r)};
}

template <class T>
PYBACKDOOR_HD Vec<T> whole(Exponential<T> e) {
  return ldexp(Vec<T>::all(T(1)) + e.rest, e.power);
}

// exp(x) - 1 for x <= 0 without cancellation.
template <class T>
PYBACKDOOR_HD Vec<T> less_one(Exponential<T> e) {
  using V = Vec<T>;
  const V scale = power_of_two(max(V::all(T(-100)), e.power));  // below, exp(x) - 1 is -1 already
  return fma(scale, e.rest, scale - V::all(T(1)));
}

template <class T>
PYBACKDOOR_HD Vec<T> exp(Vec<T> x) {
  return whole(split_exponential(min(Vec<T>::all(T(is_single<T> ? 89 : 710)), x)));
}

// exp(-|x|).
template <class T>
PYBACKDOOR_HD Vec<T> exp_minus_abs(Vec<T> x) {
  return whole(split_exponential(-abs(x)));
}

// exp(-x^2 / 2) for |x| <= 45: the square is carried in two parts, or its rounding would cost x^2 / 2 units in the last place.
template <class T>
PYBACKDOOR_HD Vec<T> exp_minus_half_square(Vec<T> x) {
  using V = Vec<T>;
  const V half = V::all(T(-0.5));
#if defined(PYBACKDOOR_ISA_PORTABLE)
  const V high = from_bits<T>(to_bits(x) & all_bits<T>(is_single<T> ? typename V::Word(0xfffff000u) : typename V::Word(0xfffffffff8000000ull)));
  const V square = high * high, rest = (x - high) * (x + high);
#else
  const V square = x * x, rest = fma(x, x, -square);
#endif
  return whole(split_exponential(half * square, half * rest));
}

// (normal distribution at -x) exp(x^2 / 2) for 0 <= x <= 45.
template <class T>
PYBACKDOOR_HD Vec<T> normal_tail_ratio(Vec<T> x) {
  using V = Vec<T>;
  const V y = reciprocal(fma(V::all(T(is_single<T> ? 0.3 : 0.25)), x, V::all(T(1))));
  if constexpr (is_single<T>) {
    return y * horner(y, 0.1196866896, 0.1195718188, 0.1102353824, 0.07838985175, 0.09615623597, -0.07942236071, 0.1917831558, -0.2282125535,
                      0.1124351639, -0.02062338572);
  } else {
    return y * horner(y, 0.09973557010264250374, 0.0997355699297466708, 0.09350210282254266925, 0.08103502805716484791, 0.06350526772540999991,
                      0.04322632950659099784, 0.02354496654695180454, 0.006298621778434849051, 0.001169549252658834453, -0.02254987843677954466,
                      0.04223292491571137327, -0.1096709919687299591, 0.1926096331519303017, -0.2281416486877868935, 0.1437522747200670625,
                      0.1030299599907192483, -0.393026673853622273, 0.5135419216035719131, -0.4061916080909457137, 0.2104282309458803195,
                      -0.07049165084982172221, 0.01397917409057119173, -0.001254673252908491437);
  }
}

template <class T>
PYBACKDOOR_HD Vec<T> sigmoid(Vec<T> x) {
  using V = Vec<T>;
  const V small = exp_minus_abs(x);
  const V q = reciprocal(V::all(T(1)) + small);
  return select(x < V::all(T(0)), small * q, q);
}

template <class T>
PYBACKDOOR_HD Vec<T> tanh(Vec<T> x) {
  using V = Vec<T>;
  const V lost = less_one(split_exponential(V::all(T(-2)) * abs(x)));
  return copysign(lost * reciprocal(V::all(T(2)) + lost), x);
}

template <class T>
PYBACKDOOR_HD Vec<T> erf(Vec<T> x) {
  using V = Vec<T>;
  const V one = V::all(T(1)), z = x * x;
  V q;
  if constexpr (is_single<T>) {
    q = horner(z, 0.1283791659, -0.3761262714, 0.1128360017, -0.02685444424, 0.005189534593, -0.0008020834298, 7.889095507e-5);
  } else {
    q = horner(z, 0.1283791670955125668, -0.3761263890318354663, 0.1128379167094525323, -0.02686617064327621825, 0.005223977607423467477,
               -0.0008548325989696743195, 0.0001205529532049390565, -0.00001492474466332882052, 1.644751767779725736e-6, -1.620917591122458024e-7,
               1.372297626382626425e-8, -7.801188870445834434e-10);
  }
  const V scaled = min(V::all(T(40)), V::all(T(1.4142135623730951)) * abs(x));
  const V far = one - V::all(T(2)) * exp_minus_half_square(scaled) * normal_tail_ratio(scaled);
  return select(abs(x) < one, fma(x, q, x), copysign(far, x));
}

// (log(1 + f) - f + f^2 / 2) / s for s = f / (2 + f), less f^2 / 2: a series in z = s^2, after the FreeBSD msun log1p (Sun Microsystems, 1993).
template <class T>
PYBACKDOOR_HD Vec<T> log_rest(Vec<T> z) {
  if constexpr (is_single<T>) {
    return z * horner(z, 0.6666677652, 0.3997752226, 0.298722969);
  } else {
    return z * horner(z, 0.6666666666666734616, 0.3999999999941314995, 0.2857142874276254514, 0.2222219853138544241, 0.1818356666111335106,
                      0.1531398686022770818, 0.1479662475437225611);
  }
}

template <class T>
PYBACKDOOR_HD Vec<T> log1p(Vec<T> x) {
  using V = Vec<T>;
  constexpr bool single = is_single<T>;
  constexpr int mantissa = single ? 23 : 52;
  using Word = typename V::Word;
  constexpr Word bias = Word(single ? 127 : 1023) << mantissa, root_half = single ? Word(0x3f3504f3u) : Word(0x3fe6a09e667f3bcdull);
  const V one = V::all(T(1)), whole_numbers = V::all(T(single ? 8388608.0 : 4503599627370496.0));
  const V u = one + x, back = u - one;
  const V lost = (one - (u - back)) + (x - back);  // of the sum above
  const auto biased = (to_bits(u) + all_bits<T>(bias - root_half)) >> mantissa;
  const V power = from_bits<T>(biased | to_bits(whole_numbers)) - (whole_numbers + V::all(T(single ? 127 : 1023)));
  const V m = from_bits<T>(to_bits(u) + all_bits<T>(bias) - (biased << mantissa));  // sqrt(1/2) <= m < sqrt(2)
  const V f = (m - one) + lost * power_of_two(max(V::all(T(-100)), -power));
  const V half_square = V::all(T(0.5)) * f * f, s = f / (V::all(T(2)) + f);
  const V low = fma(s, half_square + log_rest(s * s), power * V::all(T(single ? -2.12194440054690583e-4 : 1.90821492927058770002e-10)));
  const V value = fma(power, V::all(T(single ? 0.693359375 : 6.93147180369123816490e-01)), f - (half_square - low));
  const V infinite = V::all(T(__builtin_inf()));
  const V upper = select(x == infinite, x, value);
  return select(x > -one, upper, select(x == -one, -infinite, V::all(T(__builtin_nan(""))) + x * V::all(T(0))));
}

PYBACKDOOR_CLOSE
