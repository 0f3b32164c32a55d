"""The one module that touches TensorRT-LLM's API.

Every class, argument and attribute here is checked against ``contract.json`` by the tests, and against an installed
release by ``townsfolk doctor --engine tensorrt_llm``. Names in double quotes behind "rule" are those of its rules.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from tensorrt_llm.llmapi import (
    LLM,
    CompletionOutput,
    CudaGraphConfig,
    GuidedDecodingParams,
    KvCacheConfig,
    KvCacheRetentionConfig,
    LoRARequest,
    RequestError,
    RequestOutput,
    SamplingParams,
)
from tensorrt_llm.llmapi.llm_args import LoraConfig
from townsfolk.engine.tensorrt_llm.options import LineOptions, LoadedAdapter, ModelOptions, Update

# All seven projections that our adapters may have, by TensorRT-LLM's names. Never empty: see rule "lora_modules".
TARGET_MODULES = ("attn_q", "attn_k", "attn_v", "attn_dense", "mlp_h_to_4h", "mlp_gate", "mlp_4h_to_h")
KEPT_PRIORITY = 90  # of 100, for prefixes that other lines will have too
PASSING_PRIORITY = 35  # TensorRT-LLM's own default


class LineFailed(Exception):
    """TensorRT-LLM could not make one line; the others go on."""


def load(options: ModelOptions) -> LLM:
    """Load the model. Blocks for as long as that takes; raises whatever TensorRT-LLM raises."""
    graphs = None
    if options.cuda_graphs:
        graphs = CudaGraphConfig(max_batch_size=options.max_running, enable_padding=True)
    return LLM(
        model=str(options.model),
        skip_tokenizer_init=not options.guided_decoding,  # a grammar needs the vocabulary, nothing else does
        trust_remote_code=False,
        tensor_parallel_size=options.tensor_parallel,
        dtype="auto",
        lora_config=LoraConfig(
            lora_target_modules=list(TARGET_MODULES),
            max_lora_rank=options.max_rank,
            max_loras=options.max_gpu_adapters,
            max_cpu_loras=options.max_host_adapters,
        ),
        kv_cache_config=KvCacheConfig(
            enable_block_reuse=True,
            free_gpu_memory_fraction=options.kv_cache_fraction,
            dtype=options.kv_cache_dtype,
            host_cache_size=options.host_kv_cache_bytes or None,
        ),
        cuda_graph_config=graphs,
        enable_chunked_prefill=True,
        guided_decoding_backend=options.guided_decoding or None,
        sampler_type=options.sampler,
        max_batch_size=options.max_running,
        max_input_len=options.max_context,
        max_seq_len=options.max_context,
    )


def shut_down(llm: LLM) -> None:
    """Free the model and end TensorRT-LLM's own processes. Safe to call twice."""
    llm.shutdown()


def submit(llm: LLM, line: LineOptions) -> RequestOutput:
    """Start a line. Must be called in a running event loop (rule "running_loop").

    Raises ``ValueError`` or ``TypeError`` for what TensorRT-LLM refuses, ``RuntimeError`` once it is shut down.
    """
    return llm.generate_async(
        list(line.prompt),
        sampling_params=_sampling_params(line),
        lora_request=_lora_request(line.adapter),
        streaming=True,
        kv_cache_retention_config=_retention(line.kept_prefix),
        cache_salt=line.adapter.digest if line.adapter else None,
    )


async def updates(result: RequestOutput) -> AsyncIterator[Update]:
    """What each step brings, to its last. Raises ``LineFailed`` where only this line failed.

    Any other exception means that TensorRT-LLM is going down. Either way ``result`` must not be asked again.
    """
    step: RequestOutput
    try:
        async for step in result:
            output: CompletionOutput = step.outputs[0]
            yield Update(list(output.token_ids_diff), step.cached_tokens, output.finish_reason or "")
    except RequestError as error:
        raise LineFailed(str(error)) from error


def abort(result: RequestOutput) -> None:
    """Ask for the line to end; its updates go on until one whose ``finish`` is ``cancelled``."""
    result.abort()


def _sampling_params(line: LineOptions) -> SamplingParams:
    """A new object for each line, because TensorRT-LLM changes it (rule "params_mutated")."""
    asked = line.sampling
    greedy = asked.temperature == 0
    end_id = line.stop_ids[0] if line.stop_ids else 0
    return SamplingParams(
        max_tokens=line.max_tokens,
        temperature=None if greedy else asked.temperature,
        top_k=None if greedy else asked.top_k,
        top_p=None if greedy else asked.top_p,
        min_p=asked.min_p if asked.min_p > 0 and not greedy else None,
        repetition_penalty=asked.repetition_penalty if asked.repetition_penalty != 1 else None,
        seed=asked.seed,
        end_id=end_id,
        pad_id=end_id,
        ignore_eos=not line.stop_ids,
        stop_token_ids=line.stop_ids[1:] or None,
        detokenize=False,
        guided_decoding=GuidedDecodingParams(json=line.json_schema) if line.json_schema else None,
    )


def _lora_request(adapter: LoadedAdapter | None) -> LoRARequest | None:
    if adapter is None:
        return None
    return LoRARequest(adapter.digest, adapter.number, str(adapter.folder))


def _retention(kept_prefix: int) -> KvCacheRetentionConfig | None:
    if not kept_prefix:
        return None
    kept = KvCacheRetentionConfig.TokenRangeRetentionConfig(0, kept_prefix, KEPT_PRIORITY)
    return KvCacheRetentionConfig([kept], PASSING_PRIORITY)
