#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>

#include "handle.h"
#include "simd_portable.h"

namespace townsfolk {
namespace portable {
namespace {

#include "arithmetic.inl"
#include "candidates.inl"
#include "pack.inl"
#include "pass.inl"

}  // namespace

extern const InstructionSet instruction_set;
const InstructionSet instruction_set = {NAME, PACKING, pack, step, matmul, candidates};

}  // namespace portable
}  // namespace townsfolk
