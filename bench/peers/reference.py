"""The tokens that every system should begin with: transformers and PEFT in fp32, one stream after another.

Reads a case on standard input and answers with one JSON list ``[stream][token]``. It runs in the project's own
environment, straight from the GGUF file, so it shares neither the bf16 folder nor the GGUF adapters with the peers.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from pathlib import Path

import torch
from peft import PeftModel
from protocol import Case, Work

from townsfolk.engine.embedded.checkpoint import open_checkpoint
from townsfolk.training.base_model import build_model


@torch.inference_mode()
def generate(work: Work, case: Case) -> list[list[int]]:
    """Greedy tokens ``[stream][token]`` of the case, every stream alone."""
    base = build_model(open_checkpoint(work.base_gguf), torch.device("cpu"), torch.float32)
    model = PeftModel.from_pretrained(base, work.adapters[0], adapter_name="0").float().eval()
    for index in sorted({stream.adapter or 0 for stream in case.streams} - {0}):
        model.load_adapter(work.adapters[index], adapter_name=str(index))
    replies: list[list[int]] = []
    for stream in case.streams:
        model.set_adapter(str(stream.adapter or 0))
        with model.disable_adapter() if stream.adapter is None else nullcontext():
            replies.append(_reply(model, work.prompts[stream.prompt], case.new_tokens))
    return replies


def _reply(model: PeftModel, prompt: list[int], new_tokens: int) -> list[int]:
    ids = torch.tensor([prompt])
    output = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        min_new_tokens=new_tokens,
        max_new_tokens=new_tokens,
    )
    reply: list[int] = output[0, len(prompt) :].tolist()
    return reply


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    work = Work.read(parser.parse_args().work)
    print(json.dumps(generate(work, Case.from_line(sys.stdin.readline()))))


if __name__ == "__main__":
    main()
