// In the place of four objects of Debian's abseil archives; see README.md.

#include <absl/base/config.h>
#include <absl/base/internal/sysinfo.h>
#include <absl/container/internal/raw_hash_set.h>
#include <absl/random/internal/pool_urbg.h>
#include <absl/strings/internal/cordz_functions.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <limits>
#include <random>
#include <thread>

static_assert(ABSL_LTS_RELEASE_VERSION == 20220623, "these archives want another abseil.cpp");

namespace absl {
ABSL_NAMESPACE_BEGIN

// ── sysinfo.cc ──

namespace base_internal {

double NominalCPUFrequency() { return 1.0; }  // what abseil says where it does not know

int NumCPUs() { return static_cast<int>(std::thread::hardware_concurrency()); }

pid_t GetTID() { return static_cast<pid_t>(syscall(SYS_gettid)); }

pid_t GetCachedTID() {
  static thread_local const pid_t id = GetTID();
  return id;
}

}  // namespace base_internal

// ── cordz_functions.cc: samples of cords for profiling, which nobody here reads ──

namespace cord_internal {

ABSL_CONST_INIT thread_local int64_t cordz_next_sample = std::numeric_limits<int64_t>::max();

bool cordz_should_profile_slow() {
  cordz_next_sample = std::numeric_limits<int64_t>::max();
  return false;
}

int32_t get_cordz_mean_interval() { return 0; }
void set_cordz_mean_interval(int32_t) {}
void cordz_set_next_sample_for_testing(int64_t next_sample) { cordz_next_sample = next_sample; }

}  // namespace cord_internal

// ── raw_hash_set.cc ──

namespace container_internal {

// One full group: the end of an empty table, and nothing in it.
alignas(16) ABSL_CONST_INIT ABSL_DLL const ctrl_t kEmptyGroup[16] = {
    ctrl_t::kSentinel, ctrl_t::kEmpty, ctrl_t::kEmpty, ctrl_t::kEmpty, ctrl_t::kEmpty, ctrl_t::kEmpty,
    ctrl_t::kEmpty,    ctrl_t::kEmpty, ctrl_t::kEmpty, ctrl_t::kEmpty, ctrl_t::kEmpty, ctrl_t::kEmpty,
    ctrl_t::kEmpty,    ctrl_t::kEmpty, ctrl_t::kEmpty, ctrl_t::kEmpty,
};

template FindInfo find_first_non_full(const ctrl_t*, size_t, size_t);

bool ShouldInsertBackwards(size_t, const ctrl_t*) { return false; }

void ConvertDeletedToEmptyAndFullToDeleted(ctrl_t* ctrl, size_t capacity) {
  for (size_t i = 0; i < capacity; ++i) ctrl[i] = IsFull(ctrl[i]) ? ctrl_t::kDeleted : ctrl_t::kEmpty;
  std::memcpy(ctrl + capacity + 1, ctrl, NumClonedBytes());
  ctrl[capacity] = ctrl_t::kSentinel;
}

}  // namespace container_internal

// ── pool_urbg.cc: gRPC spreads its retries with it ──

namespace random_internal {

namespace {

// SplitMix64 (Steele, Lea and Flood 2014). Its state is small: a library that is loaded late has little room for
// thread-local variables.
uint64_t next_random() {
  static thread_local uint64_t state = std::random_device{}();
  uint64_t z = state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

}  // namespace

template <typename T>
typename RandenPool<T>::result_type RandenPool<T>::Generate() {
  return static_cast<result_type>(next_random());
}

template <typename T>
void RandenPool<T>::Fill(absl::Span<result_type> data) {
  for (result_type& value : data) value = Generate();
}

template class RandenPool<uint8_t>;
template class RandenPool<uint16_t>;
template class RandenPool<uint32_t>;
template class RandenPool<uint64_t>;

}  // namespace random_internal

ABSL_NAMESPACE_END
}  // namespace absl
