#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>

#include "handle.h"
#include "simd_avx512.h"

namespace townsfolk {
namespace avx512 {
namespace {

#include "arithmetic.inl"
#include "candidates.inl"
#include "pack.inl"
#include "pass.inl"

}  // namespace

extern const InstructionSet instruction_set;
const InstructionSet instruction_set = {NAME, PACKING, pack, step, matmul, candidates};

}  // namespace avx512
}  // namespace townsfolk
