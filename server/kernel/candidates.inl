// The likeliest tokens of every row. The largest value of each block of 64 tokens is found on the way; the count-th
// largest of those is a bound that at least `count` tokens reach, so that only a few hundred need to be sorted.

constexpr int CANDIDATE_BLOCK = 64;

inline void penalise(float* logits, const uint8_t* seen, int vocab, float penalty) {
  for (int i = 0; i < vocab; ++i) {
    const float penalised = logits[i] > 0.0f ? logits[i] / penalty : logits[i] * penalty;
    logits[i] = seen[i] ? penalised : logits[i];
  }
}

inline int64_t index_of(const float* x, int n, float wanted) {
  int i = 0;
  const F16 target = set1(wanted);
  for (; i + TK_LANES <= n; i += TK_LANES) {
    const uint32_t hits = at_least(load(x + i), target);
    if (hits == 0) continue;
    int lane = 0;
    while (!(hits >> lane & 1)) ++lane;
    return i + lane;
  }
  while (i < n && !(x[i] >= wanted)) ++i;
  return i < n ? i : 0;
}

inline void rank_row(const TkCandidates& work, int row, std::vector<float>& peaks, std::vector<int>& order) {
  const int vocab = work.vocab;
  float* x = work.logits + static_cast<size_t>(row) * vocab;
  if (work.penalty[row] != 1.0f) penalise(x, work.seen[row], vocab, work.penalty[row]);
  const float temperature = work.temperature[row];
  const F16 factor = set1(temperature > 0.0f ? 1.0f / temperature : 1.0f);
  const int blocks = (vocab + CANDIDATE_BLOCK - 1) / CANDIDATE_BLOCK;
  peaks.resize(blocks);
  for (int b = 0; b < blocks; ++b) {
    const int stop = std::min(vocab, (b + 1) * CANDIDATE_BLOCK);
    int i = b * CANDIDATE_BLOCK;
    F16 peak = set1(-INFINITY);
    for (; i + TK_LANES <= stop; i += TK_LANES) {
      const F16 scaled = load(x + i) * factor;
      store(x + i, scaled);
      peak = max(peak, scaled);
    }
    float top = largest(peak);
    for (; i < stop; ++i) {
      if (temperature > 0.0f) x[i] *= 1.0f / temperature;
      top = std::max(top, x[i]);
    }
    peaks[b] = top;
  }
  const float peak = *std::max_element(peaks.begin(), peaks.end());
  work.greedy[row] = index_of(x, vocab, peak);
  if (temperature <= 0.0f || work.count == 0) return;

  F16 totals = set1(0.0f);
  float rest = 0.0f;
  int i = 0;
  for (; i + TK_LANES <= vocab; i += TK_LANES) totals = totals + exp(load(x + i) - set1(peak));
  for (; i < vocab; ++i) rest += std::exp(x[i] - peak);
  work.log_sum[row] = peak + std::log(sum(totals) + rest);

  float bound = -INFINITY;
  if (blocks > work.count) {
    std::vector<float> sorted(peaks);
    std::nth_element(sorted.begin(), sorted.begin() + work.count - 1, sorted.end(), std::greater<float>());
    bound = sorted[work.count - 1];
  }
  order.clear();
  for (int b = 0; b < blocks; ++b) {
    if (!(peaks[b] >= bound)) continue;
    const int stop = std::min(vocab, (b + 1) * CANDIDATE_BLOCK);
    for (int t = b * CANDIDATE_BLOCK; t < stop; ++t) {
      if (x[t] >= bound) order.push_back(t);
    }
  }
  const auto likelier = [x](int a, int b) { return x[a] > x[b] || (x[a] == x[b] && a < b); };
  const int kept = std::min<int>(work.count, static_cast<int>(order.size()));
  std::partial_sort(order.begin(), order.begin() + kept, order.end(), likelier);
  for (int c = 0; c < work.count; ++c) {
    const size_t at = static_cast<size_t>(row) * work.count + c;
    work.values[at] = c < kept ? x[order[c]] : -INFINITY;
    work.ids[at] = c < kept ? order[c] : 0;
  }
}

inline void candidates(TkHandle& handle, const TkCandidates& work) {
  handle.team.run([&](int) {
    std::vector<float> peaks;
    std::vector<int> order;
    handle.team.share(work.rows, [&](int row) { rank_row(work, row, peaks, order); });
  });
}
