// One forward pass. Every phase is a set of tasks that the threads take from a common counter: GEMMs are shared out by
// outputs, so that a single line uses all threads, and what lies between them by tokens.

constexpr int GEMM_ROWS = 128;           // tokens of one GEMM task: their activations stay in the second-level cache
constexpr int MIN_TASKS_OF_THREAD = 2;   // of the adapters' part: few tokens are cut into pieces
constexpr int TOKENS_AHEAD = 12;         // whose keys are asked for before they are needed
constexpr int MAX_RANK_SPACE = 3 * 512;  // three projections of the largest rank that the settings allow

// Adds up where the time goes; costs two looks at the clock a phase.
class Stopwatch {
 public:
  explicit Stopwatch(double* seconds) : seconds_(seconds), last_(Clock::now()) {}

  void lap(int phase) {
    if (seconds_ == nullptr) return;
    const Clock::time_point now = Clock::now();
    seconds_[phase] += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }

 private:
  using Clock = std::chrono::steady_clock;
  double* const seconds_;
  Clock::time_point last_;
};

class Pass {
 public:
  Pass(TkHandle& handle, const TkStep& step)
      : m_(handle.model),
        s_(handle.scratch),
        step_(step),
        team_(handle.team),
        seconds_(handle.seconds),
        q_size_(m_.heads * m_.head_dim),
        kv_size_(m_.kv_heads * m_.head_dim),
        heads_per_kv_(m_.heads / m_.kv_heads) {
    const size_t count = step.count > step.sampled_count ? step.count : step.sampled_count;
    const int widest = padded(std::max({m_.hidden, m_.ffn, q_size_}));
    grow(s_.residual, count * m_.hidden);
    grow(s_.qkv, count * (q_size_ + 2 * kv_size_));
    grow(s_.wide, count * std::max(q_size_, m_.ffn));
    grow(s_.values, count * widest);
    grow(s_.scales, count * widest / TK_GROUP);
    grow(s_.sums, count * widest / TK_GROUP);
    s_.adapters.clear();
    for (int n = 0; n < step.count; ++n) {
      if (step.adapters[n] == nullptr || (n > 0 && step.adapters[n] == step.adapters[n - 1])) continue;
      s_.adapters.push_back(step.adapters[n]);
      for (int i = 0; i < m_.layers * TK_FUSED; ++i) rank_ = std::max(rank_, step.adapters[n][i].rank);
    }
    if (!s_.adapters.empty()) grow(s_.gate_up, count * 2 * m_.ffn);
    grow(s_.rank_values, count * 3 * rank_);
    rank_groups_ = (rank_ + TK_GROUP - 1) / TK_GROUP;
    grow(s_.rank_scales, count * 3 * rank_groups_);
    grow(s_.rank_sums, count * 3 * rank_groups_);
    const size_t of_thread = std::max(static_cast<size_t>(heads_per_kv_) * score_stride(), static_cast<size_t>(widest));
    for (auto& buffer : s_.of_thread) grow(buffer, of_thread);
  }

  // What each thread of the team runs.
  void run(int thread) {
    float* own = s_.of_thread[thread].data();
    Stopwatch watch(thread == 0 ? seconds_ : nullptr);
    team_.share(step_.count, [&](int n) { embed(n); });
    for (int layer = 0; layer < m_.layers; ++layer) {
      const TkLayer& weights = m_.layer[layer];
      prepare(layer, TK_QKV, s_.residual.data(), m_.hidden, weights.input_norm, own);
      watch.lap(TK_PREPARE);
      multiply<TK_QKV>(layer, m_.hidden);
      watch.lap(TK_QKV_GEMM);
      if (step_.count > step_.decode_count) {
        team_.share(step_.count - step_.decode_count, [&](int i) { place(layer, step_.decode_count + i); });
      }
      attend(layer, own);
      watch.lap(TK_ATTENTION);
      prepare(layer, TK_O, s_.wide.data(), q_size_, nullptr, own);
      watch.lap(TK_PREPARE);
      multiply<TK_O>(layer, q_size_);
      watch.lap(TK_O_GEMM);
      prepare(layer, TK_GATE_UP, s_.residual.data(), m_.hidden, weights.post_norm, own);
      watch.lap(TK_PREPARE);
      multiply<TK_GATE_UP>(layer, m_.hidden);
      watch.lap(TK_GATE_UP_GEMM);
      prepare(layer, TK_DOWN, s_.wide.data(), m_.ffn, nullptr, own);
      watch.lap(TK_PREPARE);
      multiply<TK_DOWN>(layer, m_.ffn);
      watch.lap(TK_DOWN_GEMM);
    }
    finish(own);
    watch.lap(TK_HEAD_GEMM);
  }

 private:
  template <typename T>
  static void grow(std::vector<T>& buffer, size_t size) {
    if (buffer.size() < size) buffer.resize(size);
  }
  static int padded(int width) { return (width + TK_GROUP - 1) / TK_GROUP * TK_GROUP; }

  Quantised quantised(int width) const {
    const int inputs = padded(width);
    return {s_.values.data(), s_.scales.data(), s_.sums.data(), inputs, inputs / TK_GROUP};
  }

  const TkLora* lora(int n, int layer, int fused) const {
    const TkLora* adapter = step_.adapters[n];
    if (adapter == nullptr || adapter[layer * TK_FUSED + fused].rank == 0) return nullptr;
    return adapter + layer * TK_FUSED + fused;
  }

  void embed(int n) {
    const uint16_t* row = m_.embeddings + static_cast<size_t>(step_.tokens[n]) * m_.hidden;
    float* out = &s_.residual[static_cast<size_t>(n) * m_.hidden];
    for (int i = 0; i < m_.hidden; i += TK_LANES) store(out + i, load_bf16(row + i));
  }

  // RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467); `out` may be `x`.
  void normalise(const float* x, int n, const float* weight, float* out) const {
    F16 squares = set1(0.0f);
    for (int i = 0; i < n; i += TK_LANES) {
      const F16 v = load(x + i);
      squares = fma(v, v, squares);
    }
    const F16 factor = set1(1.0f / std::sqrt(sum(squares) / n + m_.norm_eps));
    for (int i = 0; i < n; i += TK_LANES) store(out + i, load(x + i) * factor * load(weight + i));
  }

  // How many tokens a task takes, so that there is work for every thread and yet weights are shared.
  int task_rows() const { return std::max(1, std::min(TILE_ROWS, step_.count / team_.threads())); }

  // Norm (where there is one), quantisation and the adapters' down-projections.
  void prepare(int layer, int fused, const float* from, int width, const float* norm, float* own) {
    const Quantised q = quantised(width);
    const int rows = task_rows();
    team_.share((step_.count + rows - 1) / rows, [&](int task) {
      const int start = task * rows, stop = std::min(start + rows, step_.count);
      for (int n = start; n < stop; ++n) {
        const float* x = from + static_cast<size_t>(n) * width;
        if (norm != nullptr) {
          normalise(x, width, norm, own);
          x = own;
        }
        quantise_token(x, width, q, n);
      }
      for (int n = start; n < stop;) {
        int same = 1;
        while (n + same < stop && step_.adapters[n + same] == step_.adapters[n]) ++same;
        if (const TkLora* adapter = lora(n, layer, fused)) enter_rank_space(*adapter, q, n, n + same);
        n += same;
      }
    });
  }

  // T = scale · A x of tokens [start, stop), at most TILE_ROWS, all of one adapter; quantised for each projection.
  void enter_rank_space(const TkLora& adapter, const Quantised& q, int start, int stop) {
    float t[TILE_ROWS][MAX_RANK_SPACE];
    const auto keep = [&](int n, int block, const auto& totals) {
      const F16 scale = set1(step_.adapter_scales[n]);
      store(t[n - start] + block * TK_LANES, totals[0] * scale);
    };
    const int blocks = adapter.down.out / TK_LANES;
    for (int block = 0; block < blocks; ++block) multiply_blocks<1>(adapter.down, block, q, start, stop, keep);
    for (int n = start; n < stop; ++n) {
      for (int p = 0; p < adapter.projections; ++p)
        quantise_rank_space(t[n - start] + p * adapter.rank, adapter.rank, n, p);
    }
  }

  // Ranks are multiples of 4 and small, so this is plain code.
  void quantise_rank_space(const float* t, int rank, int n, int p) {
    const size_t at = static_cast<size_t>(n) * 3 + p;
    int8_t* out = &s_.rank_values[at * rank_];
    for (int g = 0; g * TK_GROUP < rank; ++g) {
      const int start = g * TK_GROUP, stop = std::min(start + TK_GROUP, rank);
      float bound = 0.0f;
      for (int i = start; i < stop; ++i) bound = std::max(bound, std::fabs(t[i]));
      const float factor = bound > 0.0f ? MAX_INT8 / bound : 0.0f;
      int32_t total = 0;
      for (int i = start; i < stop; ++i) {
        out[i] = static_cast<int8_t>(std::lrintf(t[i] * factor));
        total += out[i];
      }
      const float scale = bound / MAX_INT8;
      s_.rank_scales[at * rank_groups_ + g] = scale / SCALE_FACTOR;
      s_.rank_sums[at * rank_groups_ + g] = scale * static_cast<float>(total);
    }
  }

  // A fused projection of all tokens, the adapters' part included.
  template <int FUSED>
  void multiply(int layer, int width) {
    adapt<FUSED>(layer);
    const TkMatrix& matrix = m_.layer[layer].fused[FUSED];
    const Quantised q = quantised(width);
    const int blocks = matrix.out / TK_LANES;
    const int task_blocks = FUSED == TK_GATE_UP ? 2 : TILE_COLUMNS;  // a gate and its up
    const int columns = (blocks + task_blocks - 1) / task_blocks;
    const int chunks = (step_.count + GEMM_ROWS - 1) / GEMM_ROWS;
    const int tasks = columns * chunks;
    team_.share(tasks, [&](int task) {
      const int block = task % columns * task_blocks;
      const int start = task / columns * GEMM_ROWS, stop = std::min(start + GEMM_ROWS, step_.count);
      const auto write = [&](int n, int first, auto& totals) { write_outputs<FUSED>(layer, n, first, totals); };
      multiply_some<std::max(TILE_COLUMNS, 2)>(matrix, std::min(task_blocks, blocks - block), block, q, start, stop,
                                               write);
    });
  }

  // multiply_blocks for a number of blocks that is known at run time only.
  template <int B, typename Write>
  static void multiply_some(const TkMatrix& matrix, int count, int block, const Quantised& q, int start, int stop,
                            const Write& write) {
    if (count == B) return multiply_blocks<B>(matrix, block, q, start, stop, write);
    if constexpr (B > 1) multiply_some<B - 1>(matrix, count, block, q, start, stop, write);
  }

  // What comes before a fused projection's own part is added to it: the adapters' part, and the residual.
  template <int FUSED, int B>
  void write_outputs(int layer, int n, int block, F16 (&totals)[B]) {
    float* out = outputs<FUSED>(n) + block * TK_LANES;
    if ((FUSED != TK_QKV && FUSED != TK_GATE_UP) || lora(n, layer, FUSED) != nullptr) {
      for (int b = 0; b < B; ++b) totals[b] = totals[b] + load(out + b * TK_LANES);
    }
    if (FUSED == TK_GATE_UP) {
      const F16 gate = totals[0], one = set1(1.0f);
      const F16 silu = gate / (one + exp(set1(0.0f) - gate));
      store(&s_.wide[static_cast<size_t>(n) * m_.ffn + block / 2 * TK_LANES], silu * totals[B - 1]);
      return;
    }
    const float* bias = FUSED == TK_QKV ? m_.layer[layer].qkv_bias : nullptr;
    for (int b = 0; b < B; ++b) {
      const int at = b * TK_LANES;
      store(out + at, bias == nullptr ? totals[b] : totals[b] + load(bias + block * TK_LANES + at));
    }
  }

  // Where a token's outputs of a fused projection lie, in the order of its blocks.
  template <int FUSED>
  float* outputs(int n) {
    if (FUSED == TK_QKV) return &s_.qkv[static_cast<size_t>(n) * (q_size_ + 2 * kv_size_)];
    if (FUSED == TK_GATE_UP) return &s_.gate_up[static_cast<size_t>(n) * 2 * m_.ffn];
    return &s_.residual[static_cast<size_t>(n) * m_.hidden];
  }

  // The adapters' part of all outputs of a fused projection. A token's share of an adapter is read in one go: pieces of
  // a few outputs, as a GEMM task needs them, would come from memory at a quarter of the speed.
  template <int FUSED>
  void adapt(int layer) {
    if (s_.adapters.empty()) return;
    const int blocks = m_.layer[layer].fused[FUSED].out / TK_LANES;
    const int pieces = std::max(1, MIN_TASKS_OF_THREAD * team_.threads() / step_.count);
    team_.share(step_.count * pieces, [&](int task) {
      const int n = task / pieces, piece = task % pieces;
      const TkLora* adapter = lora(n, layer, FUSED);
      if (adapter == nullptr) return;
      float* out = outputs<FUSED>(n);
      for (int block = blocks * piece / pieces; block < blocks * (piece + 1) / pieces; ++block) {
        const F16 part = adapted<FUSED>(*adapter, n, block);
        float* to = out + block * TK_LANES;
        store(to, FUSED == TK_QKV || FUSED == TK_GATE_UP ? part : part + load(to));
      }
    });
  }

  // Where a block of a fused projection lies: in which of its projections, and in which block of that.
  struct Place {
    int projection, block;
  };
  template <int FUSED>
  Place place_of(int block) const {
    if (FUSED == TK_GATE_UP) return {block % 2, block / 2};
    const int q_blocks = q_size_ / TK_LANES, kv_blocks = kv_size_ / TK_LANES;
    if (FUSED != TK_QKV || block < q_blocks) return {0, block};
    if (block < q_blocks + kv_blocks) return {1, block - q_blocks};
    return {2, block - q_blocks - kv_blocks};
  }

  // The adapter's part of one block.
  template <int FUSED>
  F16 adapted(const TkLora& adapter, int n, int block) const {
    const Place place = place_of<FUSED>(block);
    const size_t at = static_cast<size_t>(n) * 3 + place.projection;
    return lora_up(adapter.up[place.projection], place.block, &s_.rank_values[at * rank_],
                   &s_.rank_scales[at * rank_groups_], &s_.rank_sums[at * rank_groups_]);
  }

  // Rotary embedding in the half-split form of transformers (Su et al. 2021, arXiv:2104.09864), in place.
  void rotate(float* head, int64_t position) const {
    const int half = m_.head_dim / 2;
    const float* cos = m_.cos + position * half;
    const float* sin = m_.sin + position * half;
    for (int i = 0; i < half; ++i) {
      const float first = head[i], second = head[half + i];
      head[i] = first * cos[i] - second * sin[i];
      head[half + i] = second * cos[i] + first * sin[i];
    }
  }

  size_t kv_offset(int layer, int64_t row, int kv_head) const {
    const size_t head = (static_cast<size_t>(layer) * m_.kv_rows + row) * m_.kv_heads + kv_head;
    return head * m_.context * m_.head_dim;
  }

  // Writes one token's key and value of one head to its KV row.
  void place(int layer, int n, int kv_head) {
    float* token = &s_.qkv[static_cast<size_t>(n) * (q_size_ + 2 * kv_size_)];
    float* key = token + q_size_ + kv_head * m_.head_dim;
    const float* value = token + q_size_ + kv_size_ + kv_head * m_.head_dim;
    const TkLayer& weights = m_.layer[layer];
    if (weights.k_norm != nullptr) normalise(key, m_.head_dim, weights.k_norm, key);
    rotate(key, step_.positions[n]);
    const size_t at = kv_offset(layer, step_.rows[n], kv_head) + step_.positions[n] * m_.head_dim;
    for (int i = 0; i < m_.head_dim; i += TK_LANES) {
      store_bf16(m_.keys + at + i, load(key + i));
      store_bf16(m_.values + at + i, load(value + i));
    }
  }

  void place(int layer, int n) {
    for (int h = 0; h < m_.kv_heads; ++h) place(layer, n, h);
  }

  void attend(int layer, float* own) {
    team_.share(step_.count * m_.kv_heads, [&](int task) {
      const int n = task / m_.kv_heads, kv_head = task % m_.kv_heads;
      if (n < step_.decode_count) place(layer, n, kv_head);
      float* queries =
          &s_.qkv[static_cast<size_t>(n) * (q_size_ + 2 * kv_size_)] + kv_head * heads_per_kv_ * m_.head_dim;
      const float* norm = m_.layer[layer].q_norm;
      const F16 temper = set1(1.0f / std::sqrt(static_cast<float>(m_.head_dim)));
      for (int h = 0; h < heads_per_kv_; ++h) {
        float* query = queries + h * m_.head_dim;
        if (norm != nullptr) normalise(query, m_.head_dim, norm, query);
        rotate(query, step_.positions[n]);
        for (int i = 0; i < m_.head_dim; i += TK_LANES) store(query + i, load(query + i) * temper);
      }
      const size_t at = kv_offset(layer, step_.rows[n], kv_head);
      const int length = static_cast<int>(step_.positions[n]) + 1;
      float* out = &s_.wide[static_cast<size_t>(n) * q_size_ + kv_head * heads_per_kv_ * m_.head_dim];
      for (int h = 0; h < heads_per_kv_;) {
        const int together = std::min(3, heads_per_kv_ - h);
        float* query = queries + h * m_.head_dim;
        float* result = out + h * m_.head_dim;
        if (together == 3) {
          attend_heads<3>(query, m_.keys + at, m_.values + at, length, own, result);
        } else if (together == 2) {
          attend_heads<2>(query, m_.keys + at, m_.values + at, length, own, result);
        } else {
          attend_heads<1>(query, m_.keys + at, m_.values + at, length, own, result);
        }
        h += together;
      }
    });
  }

  // Asks for a token's key or value of one head.
  static void expect_token(const uint16_t* vector, int dim) {
    for (int i = 0; i < dim; i += CACHE_LINE / 2) prefetch(vector + i);
  }

  // softmax(q K^T) V of H query heads that share a key/value head, over `length` tokens.
  template <int H>
  void attend_heads(const float* q, const uint16_t* keys, const uint16_t* values, int length, float* own, float* out) {
    const int dim = m_.head_dim;
    float* scores[H];
    for (int h = 0; h < H; ++h) scores[h] = own + h * score_stride();
    for (int t = 0; t < length; ++t) {
      expect_token(keys + static_cast<size_t>(t + TOKENS_AHEAD) * dim, dim);
      expect_token(values + static_cast<size_t>(t) * dim, dim);
      F16 products[H];
      for (int h = 0; h < H; ++h) products[h] = set1(0.0f);
      for (int i = 0; i < dim; i += TK_LANES) {
        const F16 key = load_bf16(keys + static_cast<size_t>(t) * dim + i);
        for (int h = 0; h < H; ++h) products[h] = fma(load(q + h * dim + i), key, products[h]);
      }
      for (int h = 0; h < H; ++h) scores[h][t] = sum(products[h]);
    }
    float shares[H];
    for (int h = 0; h < H; ++h) shares[h] = 1.0f / exponentiate(scores[h], length);
    for (int i = 0; i < dim; i += 2 * TK_LANES) {
      const int wide = std::min(2, (dim - i) / TK_LANES);
      if (wide == 2) {
        weigh<H, 2>(scores, shares, values + i, length, out + i);
      } else {
        weigh<H, 1>(scores, shares, values + i, length, out + i);
      }
    }
  }

  template <int H, int W>
  void weigh(float* const (&scores)[H], const float (&shares)[H], const uint16_t* values, int length,
             float* out) const {
    F16 totals[H][W];
    for (int h = 0; h < H; ++h) {
      for (int w = 0; w < W; ++w) totals[h][w] = set1(0.0f);
    }
    for (int t = 0; t < length; ++t) {
      for (int w = 0; w < W; ++w) {
        const F16 value = load_bf16(values + static_cast<size_t>(t) * m_.head_dim + w * TK_LANES);
        for (int h = 0; h < H; ++h) totals[h][w] = fma(set1(scores[h][t]), value, totals[h][w]);
      }
    }
    for (int h = 0; h < H; ++h) {
      for (int w = 0; w < W; ++w) store(out + h * m_.head_dim + w * TK_LANES, totals[h][w] * set1(shares[h]));
    }
  }

  // Scores of one head, with room for whole registers.
  size_t score_stride() const { return static_cast<size_t>(m_.context + TK_LANES - 1) / TK_LANES * TK_LANES; }

  // x becomes e^(x - max x); returns the sum. Lanes beyond `length` are scratch.
  static float exponentiate(float* x, int length) {
    for (int i = length; i % TK_LANES != 0; ++i) x[i] = -INFINITY;
    F16 peaks = set1(-INFINITY);
    for (int i = 0; i < length; i += TK_LANES) peaks = max(peaks, load(x + i));
    const F16 peak = set1(largest(peaks));
    F16 totals = set1(0.0f);
    for (int i = 0; i < length; i += TK_LANES) {
      const F16 e = exp(load(x + i) - peak);
      store(x + i, e);
      totals = totals + e;
    }
    return sum(totals);
  }

  // Logits of the tokens that are to be sampled.
  void finish(float* own) {
    const Quantised q = quantised(m_.hidden);
    team_.share(step_.sampled_count, [&](int i) {
      normalise(&s_.residual[static_cast<size_t>(step_.sampled[i]) * m_.hidden], m_.hidden, m_.final_norm, own);
      quantise_token(own, m_.hidden, q, i);
    });
    const int blocks = m_.head.out / TK_LANES;
    constexpr int BATCH = 48;  // blocks of one task: the vocabulary is large, the counter is shared
    team_.share((blocks + BATCH - 1) / BATCH, [&](int task) {
      const int stop = std::min(blocks, (task + 1) * BATCH);
      for (int b = task * BATCH; b < stop; b += TILE_COLUMNS) {
        write_logits(m_.head, q, b, step_.sampled_count, m_.vocab, step_.logits);
      }
    });
  }

 public:
  // Outputs of TILE_COLUMNS blocks, cut to `width` in all.
  static void write_logits(const TkMatrix& matrix, const Quantised& q, int block, int count, int width, float* out) {
    const auto write = [&](int n, int first, const auto& totals) {
      for (size_t b = 0; b < sizeof(totals) / sizeof(totals[0]); ++b) {
        float* to = out + static_cast<size_t>(n) * width + (first + b) * TK_LANES;
        const int room = width - static_cast<int>(first + b) * TK_LANES;
        if (room >= TK_LANES) {
          store(to, totals[b]);
        } else {
          float lanes[TK_LANES];
          store(lanes, totals[b]);
          std::copy(lanes, lanes + std::max(room, 0), to);
        }
      }
    };
    const int some = std::min(TILE_COLUMNS, matrix.out / TK_LANES - block);
    multiply_some<TILE_COLUMNS>(matrix, some, block, q, 0, count, write);
  }

 private:
  const TkModel& m_;
  Scratch& s_;
  const TkStep& step_;
  Team& team_;
  double* const seconds_;
  const int q_size_;
  const int kv_size_;
  const int heads_per_kv_;
  int rank_ = 4;
  int rank_groups_ = 1;
};

inline void step(TkHandle& handle, const TkStep& work) {
  Pass pass(handle, work);
  handle.team.run([&](int thread) { pass.run(thread); });
}

// For tests of the arithmetic: one matrix, no model.
inline void matmul(TkHandle& handle, const TkMatrix& matrix, const float* x, int32_t count, float* y) {
  std::vector<int8_t> values(static_cast<size_t>(count) * matrix.in);
  std::vector<float> scales(values.size() / TK_GROUP);
  std::vector<float> sums(values.size() / TK_GROUP);
  const Quantised q{values.data(), scales.data(), sums.data(), matrix.in, matrix.in / TK_GROUP};
  const int tasks = (matrix.out / TK_LANES + TILE_COLUMNS - 1) / TILE_COLUMNS;
  handle.team.run([&](int) {
    handle.team.share(count, [&](int n) { quantise_token(x + static_cast<size_t>(n) * matrix.in, matrix.in, q, n); });
    handle.team.share(tasks,
                      [&](int task) { Pass::write_logits(matrix, q, task * TILE_COLUMNS, count, matrix.out, y); });
  });
}
