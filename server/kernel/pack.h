// How packed weights are laid out; kernel.h describes it.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernel.h"

namespace townsfolk {

constexpr int HEADER_BYTES = 2 * TK_LANES * 2;  // of a group: scales and minima
constexpr float SCALE_FACTOR = 1024.0f;         // by which scales are stored larger, away from fp16's subnormal numbers

// `steps` between a group's smallest and largest weight; rounding may reach up to `limit`.
struct Packing {
  int steps, limit;
};

// IEEE 754 half precision.
inline float float_of_half(uint16_t half) {
  const float sign = half & 0x8000 ? -1.0f : 1.0f;
  const int exponent = half >> 10 & 31, mantissa = half & 1023;
  if (exponent == 0) return sign * static_cast<float>(mantissa) / 16777216.0f;
  const uint32_t bits = static_cast<uint32_t>(exponent + 112) << 23 | static_cast<uint32_t>(mantissa) << 13;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return sign * x;
}

inline int64_t packed_bytes(int64_t out, int64_t padded) {
  const int64_t groups = (padded + TK_GROUP - 1) / TK_GROUP;
  return out / TK_LANES * (groups * HEADER_BYTES + padded * TK_LANES);
}

}  // namespace townsfolk
