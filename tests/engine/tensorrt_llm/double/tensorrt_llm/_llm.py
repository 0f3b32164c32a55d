"""The class that users build."""

from __future__ import annotations

import itertools
import json
import logging
from pathlib import Path
from typing import Any

from tensorrt_llm._executor import Executor, Request
from tensorrt_llm._grammar import Matcher
from tensorrt_llm._model import MODULE_NAMES, Model
from tensorrt_llm._request import LoRARequest, SamplingParams
from tensorrt_llm._result import RequestError, RequestOutput, Response
from tensorrt_llm._script import SCRIPT, note
from tensorrt_llm.llmapi.llm_args import TorchLlmArgs

INPUT_LIMIT = 1024


class LLM:
    def __init__(
        self,
        model: str | Path,
        tokenizer: Any = None,
        tokenizer_mode: str = "auto",
        skip_tokenizer_init: bool = False,
        trust_remote_code: bool = False,
        tensor_parallel_size: int = 1,
        dtype: str = "auto",
        revision: str | None = None,
        tokenizer_revision: str | None = None,
        **kwargs: Any,
    ) -> None:
        if "load_error" in SCRIPT:
            raise RuntimeError(SCRIPT["load_error"])
        for key in kwargs:
            if key not in TorchLlmArgs.model_fields:  # rules "unknown_keyword" and "no_quant_keyword"
                raise ValueError(f"LLM got invalid argument: {key}")
        self.args = TorchLlmArgs(
            model=model,
            tokenizer=tokenizer,
            skip_tokenizer_init=skip_tokenizer_init,
            trust_remote_code=trust_remote_code,
            tensor_parallel_size=tensor_parallel_size,
            dtype=dtype,
            **kwargs,
        )
        self._has_tokenizer = not skip_tokenizer_init
        config = json.loads((Path(model) / "config.json").read_text("utf-8"))
        self._end_id, self._vocabulary = config["eos_token_id"], config["vocab_size"]
        self._input_limit = self.args.max_input_len or INPUT_LIMIT  # rule "input_limit"
        self._max_seq_len = self.args.max_seq_len or config["max_position_embeddings"]
        targets = self.args.lora_config.lora_target_modules if self.args.lora_config else []
        if self.args.lora_config and not targets and not self.args.lora_config.lora_dir:  # rule "lora_modules"
            logging.getLogger(__name__).warning("every module is a LoRA target")
            targets = list(MODULE_NAMES)
        self._executor = Executor(Model(str(model), targets), self.args.max_batch_size or 2048)
        self._ids = itertools.count(1)
        self._shut_down = False
        note("load", lora=self.args.lora_config and self.args.lora_config.model_dump(), **kwargs)

    def generate_async(
        self,
        inputs: Any,
        sampling_params: SamplingParams | None = None,
        lora_request: LoRARequest | None = None,
        prompt_adapter_request: Any = None,
        streaming: bool = False,
        kv_cache_retention_config: Any = None,
        disaggregated_params: Any = None,
        _postproc_params: Any = None,
        scheduling_params: Any = None,
        cache_salt: str | None = None,
    ) -> RequestOutput:
        if self._shut_down or self._executor.broken:  # rule "shutdown"
            raise RuntimeError("LLM is shutting down")
        if not isinstance(inputs, list):
            raise TypeError("inputs must be a list of ints")
        inputs[0]  # rule "plain_list": an IndexError for an empty one
        sampling = sampling_params or SamplingParams()
        self._prepare(sampling)
        if not self.args.enable_chunked_prefill and len(inputs) > self.args.max_num_tokens:  # rule "prompt_limit"
            raise ValueError("the prompt is longer than max_num_tokens")
        request_id = next(self._ids)
        output = RequestOutput(request_id, self._executor.cancel, streaming)
        retention = kv_cache_retention_config.token_range_retention_configs if kv_cache_retention_config else []
        note(
            "request",
            prompt=inputs,
            lora=lora_request and [lora_request.lora_name, lora_request.lora_int_id, lora_request.lora_path],
            salt=cache_salt,
            kept=[[kept.token_start, kept.token_end, kept.priority] for kept in retention],
            sampling={name: value for name, value in vars(sampling).items() if value is not None},
            same_params_object=id(sampling),
        )
        error = self._refusal(inputs, sampling)
        if error is not None:
            assert output._queue is not None
            output._queue.put_nowait(Response(None, error=error))
            return output
        room = self._max_seq_len - len(inputs)
        max_tokens = (
            room if sampling.max_tokens is None else min(sampling.max_tokens, room)
        )  # rule "max_tokens_default"
        guide = sampling.guided_decoding
        matcher = Matcher(str(self.args.model), guide.json, self._vocabulary) if guide and guide.json else None
        self._executor.submit(Request(output, inputs, sampling, lora_request, cache_salt, max_tokens, matcher))
        return output

    def shutdown(self) -> None:
        if not self._shut_down:
            note("shutdown")
            self._shut_down = True
            self._executor.stop()

    def _prepare(self, sampling: SamplingParams) -> None:
        """Rules "end_id" and "params_mutated"."""
        explicit = sampling.end_id is not None
        if not explicit:
            if not self._has_tokenizer:
                raise ValueError("end_id is None and there is no tokenizer")
            sampling.end_id = self._end_id
        if sampling.pad_id is None:
            sampling.pad_id = sampling.end_id
        sampling._stop_strings_unusable = explicit and bool(sampling.stop)
        sampling._stream_interval = 1

    def _refusal(self, prompt: list[int], sampling: SamplingParams) -> RequestError | None:
        if sampling._stop_strings_unusable:
            return RequestError("stop words were not tokenised")
        if len(prompt) > self._input_limit or len(prompt) >= self._max_seq_len:
            return RequestError("the prompt is longer than the limits")
        if sampling.guided_decoding and not self.args.guided_decoding_backend:  # rule "one_guide"
            return RequestError("guided decoding is not enabled")
        return None
