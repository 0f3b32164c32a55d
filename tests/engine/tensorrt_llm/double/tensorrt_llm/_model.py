"""The model: transformers for the base, LoRA by hooks on its linear layers, after the contract's rules."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tensorrt_llm._signatures import CONTRACT

torch.set_num_threads(1)  # for these sizes more of them only wait for each other
MODULE_NAMES: dict[str, str] = CONTRACT["items"]["LoraConfig"]["module_names"]


class Model:
    def __init__(self, folder: str, target_modules: list[str]) -> None:
        self.base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._targets = {MODULE_NAMES[name] for name in target_modules}
        self._adapters: dict[int, dict[str, tuple[torch.Tensor, torch.Tensor]]] = {}  # rule "lora_stays": never shrinks
        self._active: int | None = None
        for name, module in self.base.named_modules():
            if isinstance(module, torch.nn.Linear):
                module.register_forward_hook(self._hook(name))

    def knows(self, number: int) -> bool:
        return number in self._adapters

    def read_adapter(self, number: int, folder: str) -> None:
        """Rules "lora_scale" and "lora_skipped". Raises what reading a broken folder raises."""
        config = json.loads((Path(folder) / "adapter_config.json").read_text("utf-8"))
        weights = load_file(Path(folder) / "adapter_model.safetensors")
        pairs = {}
        for key, a in weights.items():
            if not key.endswith(".lora_A.weight"):
                continue
            module = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            if module.rpartition(".")[2] not in self._targets:
                logging.getLogger(__name__).warning("%s is no target module", module)
                continue
            rank = a.shape[0]
            scale = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
            b = weights[key.replace("lora_A", "lora_B")]
            pairs[module] = (a.float(), b.float() * scale)
        self._adapters[number] = pairs

    @torch.inference_mode()
    def logits(self, tokens: list[int], adapter: int | None) -> torch.Tensor:
        """Of the next token, fp32 ``[vocab]``."""
        self._active = adapter
        result: torch.Tensor = self.base(torch.tensor([tokens])).logits[0, -1]
        return result

    def _hook(self, name: str) -> Any:
        def add(module: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
            pair = self._adapters[self._active].get(name) if self._active is not None else None
            return output if pair is None else output + inputs[0] @ pair[0].t() @ pair[1].t()

        return add
