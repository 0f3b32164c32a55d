// Sixteen lanes in one AVX-512 register; integer dot products by VNNI.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "pack.h"

namespace townsfolk {
namespace avx512 {

constexpr const char* NAME = "avx512-vnni";
constexpr Packing PACKING = {240, 255};
constexpr int TILE_ROWS = 4;     // tokens that share a loaded weight
constexpr int TILE_COLUMNS = 3;  // blocks of 16 outputs whose sums for so many tokens fit into the registers

struct F16 {
  __m512 v;
};
struct I16 {
  __m512i v;
};

inline F16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, F16 a) { _mm512_storeu_ps(p, a.v); }
inline F16 set1(float x) { return {_mm512_set1_ps(x)}; }
inline F16 operator+(F16 a, F16 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline F16 operator-(F16 a, F16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline F16 operator*(F16 a, F16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline F16 operator/(F16 a, F16 b) { return {_mm512_div_ps(a.v, b.v)}; }
inline F16 fma(F16 a, F16 b, F16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline F16 max(F16 a, F16 b) { return {_mm512_max_ps(a.v, b.v)}; }
inline F16 min(F16 a, F16 b) { return {_mm512_min_ps(a.v, b.v)}; }
inline F16 abs(F16 a) { return {_mm512_abs_ps(a.v)}; }
inline float sum(F16 a) { return _mm512_reduce_add_ps(a.v); }
inline float largest(F16 a) { return _mm512_reduce_max_ps(a.v); }
// Bit i is set where lane i of a is at least that of b.
inline uint32_t at_least(F16 a, F16 b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ); }

inline F16 load_bf16(const uint16_t* p) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}

inline F16 load_half(const uint8_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}

// Rounds to nearest, ties to even; NaN is not expected.
inline void store_bf16(uint16_t* p, F16 a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
}

// Rounds to nearest and stores sixteen int8; values are within [-127, 127].
inline void store_i8(int8_t* p, F16 a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(a.v)));
}

inline F16 power_of_two(F16 whole) { return {_mm512_scalef_ps(_mm512_set1_ps(1.0f), whole.v)}; }
inline F16 round(F16 a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }

inline I16 set1_i32(int32_t x) { return {_mm512_set1_epi32(x)}; }
inline F16 to_float(I16 a) { return {_mm512_cvtepi32_ps(a.v)}; }

inline void prefetch(const void* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }

// Into the second-level cache only.
inline void prefetch_far(const void* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }

struct Weights {
  __m512i v;
};
inline Weights load_weights(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }

// acc[lane] += sum over 4 of weights[lane][i] * x[i], where x holds four int8.
inline I16 dot(I16 acc, const Weights& w, int32_t x) { return {_mm512_dpbusd_epi32(acc.v, w.v, _mm512_set1_epi32(x))}; }

}  // namespace avx512
}  // namespace townsfolk
