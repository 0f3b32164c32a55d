// Sixteen lanes in plain C++, for processors that have no kernel of their own; compilers vectorise the loops.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "pack.h"

namespace townsfolk {
namespace portable {

constexpr const char* NAME = "portable";
constexpr Packing PACKING = {240, 255};
constexpr int TILE_ROWS = 4;
constexpr int TILE_COLUMNS = 1;
constexpr int LANES = 16;

struct F16 {
  float v[LANES];
};
struct I16 {
  int32_t v[LANES];
};

template <typename Operation>
inline F16 each(const Operation& operation) {
  F16 out;
  for (int i = 0; i < LANES; ++i) out.v[i] = operation(i);
  return out;
}

inline F16 load(const float* p) {
  return each([=](int i) { return p[i]; });
}
inline void store(float* p, F16 a) { std::memcpy(p, a.v, sizeof a.v); }
inline F16 set1(float x) {
  return each([=](int) { return x; });
}
inline F16 operator+(F16 a, F16 b) {
  return each([&](int i) { return a.v[i] + b.v[i]; });
}
inline F16 operator-(F16 a, F16 b) {
  return each([&](int i) { return a.v[i] - b.v[i]; });
}
inline F16 operator*(F16 a, F16 b) {
  return each([&](int i) { return a.v[i] * b.v[i]; });
}
inline F16 operator/(F16 a, F16 b) {
  return each([&](int i) { return a.v[i] / b.v[i]; });
}
inline F16 fma(F16 a, F16 b, F16 c) {
  return each([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
}
inline F16 max(F16 a, F16 b) {
  return each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline F16 min(F16 a, F16 b) {
  return each([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline F16 abs(F16 a) {
  return each([&](int i) { return std::fabs(a.v[i]); });
}
inline float sum(F16 a) {
  for (int half = LANES / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a.v[i] += a.v[i + half];
  }
  return a.v[0];
}
inline float largest(F16 a) {
  float out = a.v[0];
  for (float x : a.v) out = x > out ? x : out;
  return out;
}
inline uint32_t at_least(F16 a, F16 b) {
  uint32_t bits = 0;
  for (int i = 0; i < LANES; ++i) bits |= static_cast<uint32_t>(a.v[i] >= b.v[i]) << i;
  return bits;
}

inline F16 load_bf16(const uint16_t* p) {
  F16 out;
  for (int i = 0; i < LANES; ++i) {
    const uint32_t bits = static_cast<uint32_t>(p[i]) << 16;
    std::memcpy(&out.v[i], &bits, sizeof bits);
  }
  return out;
}
inline F16 load_half(const uint8_t* p) {
  return each([=](int i) {
    uint16_t half;
    std::memcpy(&half, p + 2 * i, sizeof half);
    return float_of_half(half);
  });
}
inline void store_bf16(uint16_t* p, F16 a) {
  for (int i = 0; i < LANES; ++i) {
    uint32_t bits;
    std::memcpy(&bits, &a.v[i], sizeof bits);
    p[i] = static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
  }
}
inline void store_i8(int8_t* p, F16 a) {
  for (int i = 0; i < LANES; ++i) p[i] = static_cast<int8_t>(std::nearbyint(a.v[i]));
}
inline F16 power_of_two(F16 whole) {
  return each([&](int i) { return std::ldexp(1.0f, static_cast<int>(whole.v[i])); });
}
inline F16 round(F16 a) {
  return each([&](int i) { return std::nearbyint(a.v[i]); });
}

inline I16 set1_i32(int32_t x) {
  I16 out;
  for (int32_t& lane : out.v) lane = x;
  return out;
}
inline F16 to_float(I16 a) {
  return each([&](int i) { return static_cast<float>(a.v[i]); });
}
inline void prefetch(const void* p) {
#if defined(__GNUC__)
  __builtin_prefetch(p);
#else
  (void)p;
#endif
}

inline void prefetch_far(const void* p) { prefetch(p); }

struct Weights {
  uint8_t v[4 * LANES];
};
inline Weights load_weights(const uint8_t* p) {
  Weights w;
  std::memcpy(w.v, p, sizeof w.v);
  return w;
}
inline I16 dot(I16 acc, const Weights& w, int32_t x) {
  int8_t four[4];
  std::memcpy(four, &x, sizeof four);
  for (int i = 0; i < LANES; ++i) {
    acc.v[i] += w.v[4 * i] * four[0] + w.v[4 * i + 1] * four[1] + w.v[4 * i + 2] * four[2] + w.v[4 * i + 3] * four[3];
  }
  return acc;
}

}  // namespace portable
}  // namespace townsfolk
