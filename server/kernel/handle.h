// What a TkHandle holds, and the functions that each instruction set provides for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernel.h"
#include "pack.h"
#include "team.h"

namespace townsfolk {

// Working memory of a step; grows to the largest step seen.
struct Scratch {
  std::vector<float> residual;  // [count][hidden]
  std::vector<float> qkv;       // [count][q + 2 kv]
  std::vector<float> gate_up;   // [count][2 ffn]: the adapters' part of gate and up, in alternating blocks
  std::vector<float> wide;      // [count][max(q, ffn)]: attention's output, then the activated feed-forward

  // Activations as int8: a scale for every group of inputs, and the sum of the group's values times that scale.
  std::vector<int8_t> values;
  std::vector<float> scales;
  std::vector<float> sums;

  // The same for T = A x of a token's adapter, for each projection.
  std::vector<int8_t> rank_values;
  std::vector<float> rank_scales;
  std::vector<float> rank_sums;

  std::vector<const TkLora*> adapters;  // those of a step, hardly any of them twice

  std::vector<std::vector<float>> of_thread;  // [threads]
};

}  // namespace townsfolk

struct TkHandle {
  TkHandle(const TkModel& m, int threads, int spin) : model(m), team(threads, spin) {
    scratch.of_thread.resize(threads);
  }

  TkModel model;
  townsfolk::Team team;
  townsfolk::Scratch scratch;
  double seconds[TK_PHASES] = {};
};

namespace townsfolk {

struct InstructionSet {
  const char* name;
  Packing packing;
  void (*pack)(const float* weights, int out, int in, int padded, const Packing&, uint8_t* blocks);
  void (*step)(TkHandle&, const TkStep&);
  void (*matmul)(TkHandle&, const TkMatrix&, const float*, int32_t, float*);
  void (*candidates)(TkHandle&, const TkCandidates&);
};

namespace avx512 {
extern const InstructionSet instruction_set;
}
namespace avx2 {
extern const InstructionSet instruction_set;
}
namespace portable {
extern const InstructionSet instruction_set;
}

}  // namespace townsfolk
