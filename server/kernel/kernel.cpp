// The exported functions: they pick the instruction set once and hand over to it.
#include "kernel.h"

#include <cstdlib>
#include <cstring>

#include "handle.h"

#if defined(_MSC_VER) && defined(_M_X64)
#include <intrin.h>
#endif

namespace townsfolk {
namespace {

#if defined(TK_X86)
bool has_avx512_vnni() {
#if defined(_MSC_VER) && !defined(__clang__)
  int r[4];
  __cpuidex(r, 7, 0);
  const bool foundation = r[1] >> 16 & 1, bytes = r[1] >> 30 & 1, short_vectors = static_cast<unsigned>(r[1]) >> 31;
  const bool vnni = r[2] >> 11 & 1;
  __cpuid(r, 1);
  const bool saved = (r[2] >> 27 & 1) && (_xgetbv(0) & 0xE6) == 0xE6;
  return foundation && bytes && short_vectors && vnni && saved;
#else
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
#endif
}

bool has_avx2() {
#if defined(_MSC_VER) && !defined(__clang__)
  int r[4];
  __cpuidex(r, 7, 0);
  const bool avx2 = r[1] >> 5 & 1;
  __cpuid(r, 1);
  const bool fma = r[2] >> 12 & 1, f16c = r[2] >> 29 & 1;
  return avx2 && fma && f16c && (r[2] >> 27 & 1) && (_xgetbv(0) & 6) == 6;
#else
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
#endif
}
#endif

const InstructionSet& choose() {
#if defined(TK_X86)
  const char* wanted = std::getenv("TOWNSFOLK_KERNEL_ISA");
  const auto allowed = [wanted](const InstructionSet& set) {
    return wanted == nullptr || *wanted == '\0' || std::strcmp(wanted, set.name) == 0;
  };
  if (has_avx512_vnni() && allowed(avx512::instruction_set)) return avx512::instruction_set;
  if (has_avx2() && allowed(avx2::instruction_set)) return avx2::instruction_set;
#endif
  return portable::instruction_set;
}

const InstructionSet& in_use() {
  static const InstructionSet& chosen = choose();
  return chosen;
}

}  // namespace
}  // namespace townsfolk

extern "C" {

int32_t tk_abi_version(void) { return TK_ABI_VERSION; }
const char* tk_instruction_set(void) { return townsfolk::in_use().name; }
int32_t tk_weight_steps(void) { return townsfolk::in_use().packing.steps; }
int64_t tk_packed_bytes(int32_t out, int32_t padded) { return townsfolk::packed_bytes(out, padded); }
void tk_pack(const float* weights, int32_t out, int32_t in, int32_t padded, uint8_t* blocks) {
  townsfolk::in_use().pack(weights, out, in, padded, townsfolk::in_use().packing, blocks);
}
TkHandle* tk_open(const TkModel* model, int32_t threads, int32_t spin) { return new TkHandle(*model, threads, spin); }
void tk_close(TkHandle* handle) { delete handle; }
void tk_step(TkHandle* handle, const TkStep* step) { townsfolk::in_use().step(*handle, *step); }
void tk_profile(const TkHandle* handle, double* seconds) {
  std::memcpy(seconds, handle->seconds, sizeof handle->seconds);
}
void tk_matmul(TkHandle* handle, const TkMatrix* matrix, const float* x, int32_t count, float* y) {
  townsfolk::in_use().matmul(*handle, *matrix, x, count, y);
}
void tk_candidates(TkHandle* handle, const TkCandidates* work) { townsfolk::in_use().candidates(*handle, *work); }

}  // extern "C"
