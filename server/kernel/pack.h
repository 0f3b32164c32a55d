// From fp32 weights to the blocks that kernel.h describes.
#pragma once

#include <algorithm>
#include <cmath>
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

// IEEE 754 half precision, rounded to nearest, ties to even; too large ones saturate.
inline uint16_t half_of_float(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const uint32_t sign = bits >> 16 & 0x8000;
  const float magnitude = std::min(std::fabs(x), 65504.0f);
  if (magnitude < 6.103515625e-5f) {  // subnormal: whole multiples of 2^-24
    return static_cast<uint16_t>(sign | static_cast<uint32_t>(std::nearbyint(magnitude * 16777216.0f)));
  }
  std::memcpy(&bits, &magnitude, sizeof bits);
  bits += 0xFFF + (bits >> 13 & 1);
  return static_cast<uint16_t>(sign | std::min((bits >> 13) - (112u << 10), 0x7BFFu));
}

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

// One group of one output: `given` weights, bytes for each of them four by four.
inline void pack_group(const float* weights, int given, const Packing& packing, uint16_t* scale, uint16_t* minimum,
                       uint8_t* out) {
  float smallest = given > 0 ? weights[0] : 0.0f, largest = smallest;
  for (int i = 1; i < given; ++i) {
    smallest = std::min(smallest, weights[i]);
    largest = std::max(largest, weights[i]);
  }
  *minimum = half_of_float(smallest);
  *scale = half_of_float((largest - smallest) / static_cast<float>(packing.steps) * SCALE_FACTOR);
  const float zero = float_of_half(*minimum), step = float_of_half(*scale) / SCALE_FACTOR;
  const float factor = step > 0.0f ? 1.0f / step : 0.0f, limit = static_cast<float>(packing.limit);
  for (int i = 0; i < given; ++i) {
    const float steps = std::nearbyint((weights[i] - zero) * factor);
    out[i / 4 * 4 * TK_LANES + i % 4] = static_cast<uint8_t>(std::min(std::max(steps, 0.0f), limit));
  }
}

inline void pack(const float* weights, int out, int in, int padded, const Packing& packing, uint8_t* blocks) {
  for (int block = 0; block < out; block += TK_LANES) {
    for (int start = 0; start < padded; start += TK_GROUP) {
      const int size = std::min(TK_GROUP, padded - start);
      uint16_t header[2][TK_LANES];
      uint8_t* bytes = blocks + HEADER_BYTES;
      std::memset(bytes, 0, static_cast<size_t>(size) * TK_LANES);
      for (int lane = 0; lane < TK_LANES; ++lane) {
        const float* from = weights + static_cast<size_t>(block + lane) * in + start;
        const int given = std::max(0, std::min(size, in - start));
        pack_group(from, given, packing, &header[0][lane], &header[1][lane], bytes + 4 * lane);
      }
      std::memcpy(blocks, header, sizeof header);
      blocks = bytes + static_cast<size_t>(size) * TK_LANES;
    }
  }
}

}  // namespace townsfolk
