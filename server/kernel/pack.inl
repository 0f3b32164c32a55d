// From fp32 weights to the blocks that kernel.h describes.

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

// One group of one output: `given` weights, bytes for each of them four by four.
inline void pack_group(const float* weights, int given, const Packing& packing, uint16_t* scale, uint16_t* minimum,
                       uint8_t* out) {
  float group[TK_GROUP];
  for (int i = 0; i < TK_GROUP; ++i) group[i] = weights[std::min(i, given - 1)];
  F16 least = load(group), most = least;
  for (int i = TK_LANES; i < TK_GROUP; i += TK_LANES) {
    least = min(least, load(group + i));
    most = max(most, load(group + i));
  }
  const float smallest = -largest(set1(0.0f) - least);
  *minimum = half_of_float(smallest);
  *scale = half_of_float((largest(most) - smallest) / static_cast<float>(packing.steps) * SCALE_FACTOR);
  const float zero = float_of_half(*minimum), step = float_of_half(*scale) / SCALE_FACTOR;
  const F16 factor = set1(step > 0.0f ? 1.0f / step : 0.0f), limit = set1(static_cast<float>(packing.limit));
  for (int i = 0; i < TK_GROUP; i += TK_LANES) {
    const F16 steps = round((load(group + i) - set1(zero)) * factor);
    store(group + i, min(max(steps, set1(0.0f)), limit));
  }
  for (int i = 0; i < given; ++i) out[i / 4 * 4 * TK_LANES + i % 4] = static_cast<uint8_t>(group[i]);
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
        if (given > 0) {
          pack_group(from, given, packing, &header[0][lane], &header[1][lane], bytes + 4 * lane);
        } else {
          header[0][lane] = header[1][lane] = 0;
        }
      }
      std::memcpy(blocks, header, sizeof header);
      blocks = bytes + static_cast<size_t>(size) * TK_LANES;
    }
  }
}
