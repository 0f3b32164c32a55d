"""llama.cpp on the common work, through the low-level calls of llama-cpp-python.

A llama.cpp context has one set of adapters for a whole batch, so streams are grouped by adapter and each group is a
batch of its own. Two orders are offered: ``together`` gives every group one token in turn, as a town needs it;
``in-turn`` finishes a group before the next one starts, which changes adapters least and so is the quickest.
"""

from __future__ import annotations

import argparse
import ctypes
import os
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import llama_cpp
import numpy as np
from protocol import Case, Work, serve, warm_up_cases

T = TypeVar("T")

PROMPT_BATCH = 512  # tokens; prompts of a group that do not fit are read in further batches


@dataclass
class Sequence:
    """A running stream: its place in the KV cache, what is still to be fed, and what came out."""

    seq_id: int
    pending: list[int]
    position: int = 0
    generated: list[int] = field(default_factory=list)


class LlamaCpp:
    """The model, its adapters and one context that has room for all streams."""

    def __init__(self, work: Work, in_turn: bool) -> None:
        self._in_turn = in_turn
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        self._model = _require(llama_cpp.llama_model_load_from_file(str(work.base_gguf).encode(), params), "model")
        self._adapters = [
            _require(llama_cpp.llama_adapter_lora_init(self._model, str(path).encode()), path.name)
            for path in work.adapters_gguf
        ]
        self._context = _require(llama_cpp.llama_init_from_model(self._model, _context_params(work)), "context")
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._vocab_size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))
        self._batch = llama_cpp.llama_batch_init(PROMPT_BATCH, 0, 1)
        self._prompts = work.prompts

    def versions(self) -> dict[str, str]:
        return {"llama-cpp-python": version("llama-cpp-python")}

    def generate(self, case: Case) -> list[list[int]]:
        llama_cpp.llama_memory_clear(self._memory, False)
        sequences = [Sequence(i, self._prompts[stream.prompt]) for i, stream in enumerate(case.streams)]
        groups: dict[int | None, list[Sequence]] = {}
        for stream, sequence in zip(case.streams, sequences, strict=True):
            groups.setdefault(stream.adapter, []).append(sequence)
        if self._in_turn:
            for adapter, group in groups.items():
                self._wear(adapter)
                for _ in range(case.new_tokens):
                    self._step(group)
        else:
            for _ in range(case.new_tokens):
                for adapter, group in groups.items():
                    self._wear(adapter)
                    self._step(group)
        return [sequence.generated for sequence in sequences]

    def _wear(self, adapter: int | None) -> None:
        """Set the adapter of what is decoded next; llama.cpp does nothing if it is set already."""
        worn = [] if adapter is None else [self._adapters[adapter]]
        adapters = (llama_cpp.llama_adapter_lora_p_ctypes * len(worn))(*worn)
        scales = (ctypes.c_float * len(worn))(*[1.0 for _ in worn])
        if llama_cpp.llama_set_adapters_lora(self._context, adapters, len(worn), scales) != 0:
            raise RuntimeError("llama.cpp refused the adapter")

    def _step(self, group: list[Sequence]) -> None:
        """One more token for every stream of the group: the whole prompt is fed first, then the token before."""
        start = 0
        while start < len(group):
            end = start + max(1, PROMPT_BATCH // len(group[start].pending))
            self._decode(group[start:end])
            start = end

    def _decode(self, group: list[Sequence]) -> None:
        batch, rows, count = self._batch, [], 0
        for sequence in group:
            for token in sequence.pending:
                batch.token[count] = token
                batch.pos[count] = sequence.position
                batch.n_seq_id[count] = 1
                batch.seq_id[count][0] = sequence.seq_id
                batch.logits[count] = 0
                sequence.position += 1
                count += 1
            batch.logits[count - 1] = 1
            rows.append(count - 1)
        batch.n_tokens = count
        if llama_cpp.llama_decode(self._context, batch) != 0:
            raise RuntimeError("llama_decode failed")
        for sequence, row in zip(group, rows, strict=True):
            logits = llama_cpp.llama_get_logits_ith(self._context, row)
            token = int(np.ctypeslib.as_array(logits, (self._vocab_size,)).argmax())
            sequence.generated.append(token)
            sequence.pending = [token]


def _context_params(work: Work) -> llama_cpp.llama_context_params:
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = work.context * work.max_streams
    params.n_seq_max = work.max_streams
    params.n_batch = params.n_ubatch = PROMPT_BATCH
    params.n_threads = params.n_threads_batch = len(os.sched_getaffinity(0))
    params.no_perf = True
    return params


def _require(value: T | None, what: str) -> T:
    if not value:
        raise RuntimeError(f"llama.cpp could not load {what}")
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--order", choices=("together", "in-turn"), default="together")
    arguments = parser.parse_args()
    work = Work.read(arguments.work)
    shapes = [(1, 1), (8, 0), (8, 8), (work.max_streams, 8)]
    serve(work, lambda: LlamaCpp(work, arguments.order == "in-turn"), warm_up_cases(work, shapes))


if __name__ == "__main__":
    main()
