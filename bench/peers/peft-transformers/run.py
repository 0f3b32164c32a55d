"""transformers and PEFT on the common work: ``generate`` with one adapter name per row of the batch."""

from __future__ import annotations

import argparse
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from protocol import Case, Work, quickest_float, serve, warm_up_cases
from transformers import AutoModelForCausalLM


class Transformers:
    """The base model, and beside it, sharing nothing, one that wears all adapters.

    The plain model serves streams without an adapter, so that they do not pay for LoRA layers they do not use.
    """

    def __init__(self, work: Work) -> None:
        self._prompts = work.prompts
        self._base = _load_base(work)
        self._adapted = PeftModel.from_pretrained(_load_base(work), work.adapters[0], adapter_name="0")
        for index, folder in enumerate(work.adapters[1:], start=1):
            self._adapted.load_adapter(folder, adapter_name=str(index))
        self._adapted.to(_dtype()).eval()

    def versions(self) -> dict[str, str]:
        return {package: version(package) for package in ("peft", "transformers", "torch")} | {
            "dtype": quickest_float()
        }

    @torch.inference_mode()
    def generate(self, case: Case) -> list[list[int]]:
        prompts = torch.tensor([self._prompts[stream.prompt] for stream in case.streams])
        model, extra = self._model_for({stream.adapter for stream in case.streams}, case)
        output = model.generate(
            input_ids=prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=False,
            min_new_tokens=case.new_tokens,
            max_new_tokens=case.new_tokens,
            **extra,
        )
        tokens: list[list[int]] = output[:, prompts.shape[1] :].tolist()
        return tokens

    def _model_for(self, adapters: set[int | None], case: Case) -> tuple[Any, dict[str, Any]]:
        """The model to call and what to tell it; one adapter for all rows needs no sorting by row."""
        if adapters == {None}:
            return self._base, {}
        if len(adapters) == 1:
            self._adapted.set_adapter(str(adapters.pop()))
            return self._adapted, {}
        names = ["__base__" if stream.adapter is None else str(stream.adapter) for stream in case.streams]
        return self._adapted, {"adapter_names": names}


def _dtype() -> torch.dtype:
    dtype: torch.dtype = getattr(torch, quickest_float())
    return dtype


def _load_base(work: Work) -> Any:
    model = AutoModelForCausalLM.from_pretrained(work.base_hf, dtype=_dtype(), attn_implementation="sdpa")
    model.generation_config.eos_token_id = None  # end tokens are ignored
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    work = Work.read(parser.parse_args().work)
    shapes = [(1, 1), (8, 0), (8, 8), (work.max_streams, 8)]
    serve(work, lambda: Transformers(work), warm_up_cases(work, shapes))


if __name__ == "__main__":
    main()
