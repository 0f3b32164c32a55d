"""A PEFT LoRA adapter of a llama model as a GGUF file that llama.cpp reads.

Format: ``general.type`` is ``adapter``, ``adapter.type`` is ``lora``, ``adapter.lora.alpha`` is PEFT's ``lora_alpha``
(llama.cpp divides it by the rank itself), and each adapted tensor has a ``.lora_a`` ``[rank, in]`` and a ``.lora_b``
``[out, rank]``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import load_file

from townsfolk.engine.embedded.spec import ModelSpec

GGUF_NAMES = {
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "o_proj": "attn_output",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}
PEFT_KEY = re.compile(r"\.layers\.(?P<layer>\d+)\.\w+\.(?P<projection>\w+)\.lora_(?P<side>[AB])\.weight$")


def convert(adapter: Path, target: Path, spec: ModelSpec) -> None:
    """Write the PEFT adapter in the folder ``adapter`` as the GGUF file ``target``, in fp32.

    fp32 holds bf16 without loss and is what llama.cpp's own converter writes. Raises ``ValueError`` for a weight that
    is no LoRA half of one of the seven projections.
    """
    config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(config["lora_alpha"]))
    for key, weight in load_file(adapter / "adapter_model.safetensors").items():
        name, values = _convert_weight(key, weight, spec)
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _convert_weight(key: str, weight: torch.Tensor, spec: ModelSpec) -> tuple[str, np.ndarray]:
    match = PEFT_KEY.search(key)
    if match is None or match["projection"] not in GGUF_NAMES:
        raise ValueError(f"{key} has no place in a GGUF adapter")
    projection = match["projection"]
    if match["side"] == "B" and projection in ("q_proj", "k_proj"):
        weight = permute_for_rope(weight, spec.num_heads if projection == "q_proj" else spec.num_kv_heads)
    name = f"blk.{match['layer']}.{GGUF_NAMES[projection]}.weight.lora_{match['side'].lower()}"
    return name, weight.to(torch.float32).contiguous().numpy()


def permute_for_rope(rows: torch.Tensor, heads: int) -> torch.Tensor:
    """Order the output rows ``[heads * head_dim, …]`` of a q or k projection as GGUF stores them.

    Hugging Face rotates row i of a head together with row i + head_dim / 2; llama.cpp rotates neighbours, so the two
    halves of each head are interleaved.
    """
    halves = rows.view(heads, 2, rows.shape[0] // heads // 2, -1)
    return halves.transpose(1, 2).reshape(rows.shape)
