// Quantisation, the GEMM tile and the exponential, written once over the sixteen lanes of simd_*.h.

constexpr int QUADS = TK_GROUP / 4;  // dot products of four in a group
constexpr int CACHE_LINE = 64;
constexpr float MAX_INT8 = 127.0f;

inline size_t block_bytes(const TkMatrix& m) {
  return static_cast<size_t>((m.in + TK_GROUP - 1) / TK_GROUP) * HEADER_BYTES + static_cast<size_t>(m.in) * TK_LANES;
}

// Activations of some tokens as int8, `width` each (padded to whole groups). `scales` are divided by SCALE_FACTOR;
// `sums` are those of a group's values as they were quantised.
struct Quantised {
  int8_t* values;
  float* scales;
  float* sums;
  int width;
  int groups;
};

inline int32_t load_quad(const int8_t* p) {
  int32_t quad;
  std::memcpy(&quad, p, sizeof quad);
  return quad;
}

// e^x, relative error below 2e-7 (the polynomial of Cephes' expf); x is clamped to where the result is a normal fp32.
inline F16 exp(F16 x) {
  x = max(min(x, set1(88.0f)), set1(-87.0f));
  const F16 n = round(x * set1(1.44269504088896341f));
  F16 r = fma(n, set1(-0.693359375f), x);
  r = fma(n, set1(2.12194440e-4f), r);
  F16 p = set1(1.9875691500e-4f);
  p = fma(p, r, set1(1.3981999507e-3f));
  p = fma(p, r, set1(8.3334519073e-3f));
  p = fma(p, r, set1(4.1665795894e-2f));
  p = fma(p, r, set1(1.6666665459e-1f));
  p = fma(p, r, set1(5.0000001201e-1f));
  return (fma(p, r * r, r) + set1(1.0f)) * power_of_two(n);
}

inline void quantise_token(const float* x, int n, const Quantised& q, size_t token) {
  for (int g = 0; g < q.groups; ++g) {
    const int start = g * TK_GROUP;
    const int count = n - start < TK_GROUP ? n - start : TK_GROUP;  // a multiple of 16
    int8_t* out = q.values + token * q.width + start;
    F16 peak = set1(0.0f);
    for (int i = 0; i < count; i += TK_LANES) peak = max(peak, abs(load(x + start + i)));
    const float bound = largest(peak);
    const F16 factor = set1(bound > 0.0f ? MAX_INT8 / bound : 0.0f);
    F16 total = set1(0.0f);
    for (int i = 0; i < count; i += TK_LANES) {
      const F16 whole = round(load(x + start + i) * factor);
      total = total + whole;
      store_i8(out + i, whole);
    }
    for (int i = count; i < TK_GROUP; ++i) out[i] = 0;
    const float scale = bound / MAX_INT8;
    q.scales[token * q.groups + g] = scale / SCALE_FACTOR;
    q.sums[token * q.groups + g] = scale * sum(total);
  }
}

// Products of R tokens (from `token` on) with C blocks of 16 outputs, whose sums stay in registers.
template <int R, int C>
inline void columns(const TkMatrix& m, int block, const Quantised& q, size_t token, F16 (&totals)[R][C]) {
  const size_t size = block_bytes(m);
  const uint8_t* weights = m.blocks + block * size;
  const int8_t* x = q.values + token * q.width;
  const float* scales = q.scales + token * q.groups;
  const float* input_sums = q.sums + token * q.groups;
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) totals[r][c] = set1(0.0f);
  }
  for (int g = 0; g < q.groups; ++g) {
    const uint8_t* header = weights;
    weights += HEADER_BYTES;
    I16 sums[R][C];
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) sums[r][c] = set1_i32(0);
    }
    for (int i = 0; i < QUADS; ++i) {
      for (int c = 0; c < C; ++c) {
        const uint8_t* at = weights + c * size;
        prefetch_far(at + C * size);  // what this thread multiplies next, as Team::share hands out tasks
        const Weights w = load_weights(at);
        for (int r = 0; r < R; ++r) sums[r][c] = dot(sums[r][c], w, load_quad(x + r * q.width + 4 * i));
      }
      weights += 4 * TK_LANES;
    }
    x += TK_GROUP;
    for (int c = 0; c < C; ++c) {
      const F16 weight_scales = load_half(header + c * size), minima = load_half(header + c * size + HEADER_BYTES / 2);
      for (int r = 0; r < R; ++r) {
        const F16 scale = weight_scales * set1(scales[r * q.groups + g]);
        totals[r][c] = fma(to_float(sums[r][c]), scale, totals[r][c]);
        totals[r][c] = fma(minima, set1(input_sums[r * q.groups + g]), totals[r][c]);
      }
    }
  }
}

// The same for B blocks. A token's result is the same for all R, B.
template <int R, int B>
inline void tile(const TkMatrix& m, int block, const Quantised& q, size_t token, F16 (&totals)[R][B]) {
  constexpr int C = B < TILE_COLUMNS ? B : TILE_COLUMNS;
  static_assert(B % C == 0, "blocks are computed C at a time");
  for (int b = 0; b < B; b += C) {
    F16 part[R][C];
    columns<R, C>(m, block + b, q, token, part);
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) totals[r][b + c] = part[r][c];
    }
  }
}

template <int B, int R, typename Write>
inline void multiply_tile(const TkMatrix& m, int block, const Quantised& q, int token, const Write& write) {
  F16 totals[R][B];
  tile<R, B>(m, block, q, token, totals);
  for (int r = 0; r < R; ++r) write(token + r, block, totals[r]);
}

template <int B, int R, typename Write>
inline void multiply_rows(const TkMatrix& m, int block, const Quantised& q, int token, int rows, const Write& write) {
  if (rows == R) return multiply_tile<B, R>(m, block, q, token, write);
  if constexpr (R > 1) multiply_rows<B, R - 1>(m, block, q, token, rows, write);
}

// Calls `write(token, block, F16[B])` for all outputs of tokens [start, stop) in blocks [block, block + B). Tiles are
// of equal size: one of a single token would load as many weights as a full one.
template <int B, typename Write>
inline void multiply_blocks(const TkMatrix& m, int block, const Quantised& q, int start, int stop, const Write& write) {
  for (int tiles = (stop - start + TILE_ROWS - 1) / TILE_ROWS; tiles > 0; --tiles) {
    const int rows = (stop - start + tiles - 1) / tiles;
    multiply_rows<B, TILE_ROWS>(m, block, q, start, rows, write);
    start += rows;
  }
}

// What an adapter adds to one block of outputs of one token: B t, t being quantised in groups.
inline F16 lora_up(const TkMatrix& up, int block, const int8_t* t, const float* scales, const float* sums) {
  const uint8_t* at = up.blocks + block * block_bytes(up);
  F16 total = set1(0.0f);
  for (int start = 0; start < up.in; start += TK_GROUP) {
    const F16 weight_scales = load_half(at), minima = load_half(at + HEADER_BYTES / 2);
    at += HEADER_BYTES;
    I16 products = set1_i32(0);
    for (int i = start; i < std::min(start + TK_GROUP, up.in); i += 4, at += 4 * TK_LANES) {
      products = dot(products, load_weights(at), load_quad(t + i));
    }
    total = fma(to_float(products), weight_scales * set1(*scales++), total);
    total = fma(minima, set1(*sums++), total);
  }
  return total;
}
