// The C ABI of the decode kernel: one forward pass of a Llama-family transformer on a CPU, with int8 weights and a
// LoRA adapter of its own for every token.
//
// Arithmetic: an output's weights are bytes u in groups of 32 inputs, each with a scale and a minimum: w = scale u +
// min. A token's activations are int8 in groups of as many inputs, with a scale. So a line never depends on who shares
// its batch. Dot products add up in int32, everything between them is fp32; keys and values are bf16. Results do not
// depend on the number of threads.
//
// All pointers stay the caller's and must outlive the handle (the model's) or the call (the step's).
#ifndef TOWNSFOLK_KERNEL_H
#define TOWNSFOLK_KERNEL_H

#include <stdint.h>

#if defined(_WIN32)
#define TK_EXPORT __declspec(dllexport)
#else
#define TK_EXPORT __attribute__((visibility("default")))
#endif

#define TK_ABI_VERSION 1
#define TK_GROUP 32  // inputs that share a scale
#define TK_LANES 16  // outputs that are computed side by side

#ifdef __cplusplus
extern "C" {
#endif

// A matrix in blocks of 16 outputs, as tk_pack writes it. A block is a sequence of groups: 16 scales (times 1024) and
// 16 minima in fp16, then [inputs / 4][16][4] bytes. `out` is a multiple of 16, `in` of 32 (of 4 in LoRA
// up-projections, whose last group may be a short one).
typedef struct {
  const uint8_t* blocks;
  int32_t out;
  int32_t in;
} TkMatrix;

// The adapter of one fused projection. Down: [projections * rank, in], padded to 16 rows. Up: one [out_p, rank] each.
// `rank` is a multiple of 4; 0 where the adapter leaves the projection alone.
typedef struct {
  TkMatrix down;
  TkMatrix up[3];
  int32_t rank;
  int32_t projections;
} TkLora;

// Fused projections of a layer, and the index of their adapters in a step's.
enum { TK_QKV, TK_O, TK_GATE_UP, TK_DOWN, TK_FUSED };

typedef struct {
  const float* input_norm;   // [hidden]
  const float* post_norm;    // [hidden]
  const float* q_norm;       // [head_dim] or NULL
  const float* k_norm;       // [head_dim] or NULL
  const float* qkv_bias;     // [q + 2 kv] or NULL
  TkMatrix fused[TK_FUSED];  // gate and up alternate in blocks of 16 outputs: gate 0-15, up 0-15, gate 16-31, ...
} TkLayer;

typedef struct {
  int32_t layers, hidden, heads, kv_heads, head_dim, ffn, vocab, context, kv_rows;
  float norm_eps;
  const TkLayer* layer;        // [layers]
  const uint16_t* embeddings;  // bf16 [vocab, hidden]
  const float* final_norm;     // [hidden]
  TkMatrix head;
  const float* cos;  // [context, head_dim / 2]
  const float* sin;
  uint16_t* keys;  // bf16 [layers, kv_rows, kv_heads, context, head_dim]
  uint16_t* values;
} TkModel;

// One forward pass over `count` tokens. The first `decode_count` belong to different KV rows, so their keys need not
// be written before others attend.
typedef struct {
  int32_t count, decode_count, sampled_count;
  const int64_t* tokens;          // [count]
  const int64_t* positions;       // [count]
  const int64_t* rows;            // [count]
  const TkLora* const* adapters;  // [count], each [layers * TK_FUSED] or NULL
  const float* adapter_scales;    // [count]
  const int64_t* sampled;         // [sampled_count], tokens whose logits are wanted
  float* logits;                  // [sampled_count, vocab]
} TkStep;

typedef struct TkHandle TkHandle;

TK_EXPORT int32_t tk_abi_version(void);

// The instruction set in use: "avx512-vnni", "avx2" or "portable". TOWNSFOLK_KERNEL_ISA overrides the choice downwards.
TK_EXPORT const char* tk_instruction_set(void);

// The number of steps between the smallest and the largest weight of a group; it depends on the instruction set. A
// multiple of 15, so that weights of four bits (GGUF's Q4_1) are kept without any loss.
TK_EXPORT int32_t tk_weight_steps(void);

// Bytes of a packed matrix, and packing: weights [out, in] become a matrix with `padded` inputs. What stands
// beyond `in` is of no consequence, because activations are zero there.
TK_EXPORT int64_t tk_packed_bytes(int32_t out, int32_t padded);
TK_EXPORT void tk_pack(const float* weights, int32_t out, int32_t in, int32_t padded, uint8_t* blocks);

// A model with a team of `threads` threads. `spin` is how many times a waiting thread looks before it yields its core.
TK_EXPORT TkHandle* tk_open(const TkModel* model, int32_t threads, int32_t spin);
TK_EXPORT void tk_close(TkHandle* handle);
TK_EXPORT void tk_step(TkHandle* handle, const TkStep* step);

// Where the time of all steps since tk_open went, in seconds by phase, as the first thread saw it.
enum {
  TK_PREPARE,  // embedding, norms, quantisation, LoRA down-projections
  TK_QKV_GEMM,
  TK_ATTENTION,
  TK_O_GEMM,
  TK_GATE_UP_GEMM,
  TK_DOWN_GEMM,
  TK_HEAD_GEMM,
  TK_PHASES
};
TK_EXPORT void tk_profile(const TkHandle* handle, double* seconds);

// y[count, out] = x[count, in] * matrix^T, with x quantised as in a step.
TK_EXPORT void tk_matmul(TkHandle* handle, const TkMatrix* matrix, const float* x, int32_t count, float* y);

// For each row of logits [rows, vocab], changed in place: seen tokens are penalised (CTRL, arXiv:1909.05858; skipped
// where penalty is 1), the greedy choice is noted, the row is divided by its temperature (none where that is 0), and
// the `count` largest values are sorted into values/ids [rows, count], beside the log of the sum of all exponentials.
typedef struct {
  int32_t rows, vocab, count;
  float* logits;
  const float* temperature;    // [rows]
  const float* penalty;        // [rows]
  const uint8_t* const* seen;  // [rows], each [vocab], 0 or 1
  float* values;
  int64_t* ids;
  float* log_sum;   // [rows]
  int64_t* greedy;  // [rows]
} TkCandidates;
TK_EXPORT void tk_candidates(TkHandle* handle, const TkCandidates* work);

#ifdef __cplusplus
}
#endif
#endif
