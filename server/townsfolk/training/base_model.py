"""A checkpoint as a ``transformers`` model, which is what PEFT can train.

The engine has a decoder of its own for serving. Building the model from the same ``Checkpoint`` makes sure
that an adapter is trained on the very weights, rotary frequencies and tokenizer that it will be served with.
"""

from __future__ import annotations

from typing import Any

import torch

from townsfolk.engine.embedded.checkpoint import Checkpoint
from townsfolk.engine.embedded.spec import ModelSpec
from townsfolk.errors import InvalidArgument


def training_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def training_dtype(device: torch.device) -> torch.dtype:
    """bf16 where the hardware multiplies it natively, else fp32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", bool)()
    return torch.bfloat16 if has_bf16 else torch.float32


def build_model(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> Any:
    """The base model, frozen, in evaluation mode.

    Raises ``InvalidArgument`` where tensors are missing or misshaped.
    """
    # a pack's mask keeps the CPU from the fast path of its fused kernel, which is then the slower of the two
    attention = "sdpa" if device.type == "cuda" else "eager"
    config, model_class = _config_and_class(checkpoint.spec, attention)
    with torch.device("meta"):
        model = model_class(config)
    weights = {
        name: checkpoint.tensor(name).to(device=device, dtype=dtype)
        for name in checkpoint.names()
        if name.startswith("model.") or name == "lm_head.weight"
    }
    if checkpoint.spec.tied_embeddings:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    try:
        model.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise InvalidArgument(f"the model does not fit its own description: {error}", field="model") from error
    model.tie_weights()
    rotary = model.model.rotary_emb
    rotary.inv_freq = checkpoint.inverse_frequencies.to(device=device, dtype=torch.float32).clone()
    rotary.original_inv_freq = rotary.inv_freq.clone()
    model.requires_grad_(False)
    return model.eval()


def _config_and_class(spec: ModelSpec, attention: str) -> tuple[Any, Any]:
    import transformers

    sizes: dict[str, Any] = {
        "vocab_size": spec.vocab_size,
        "hidden_size": spec.hidden_size,
        "intermediate_size": spec.ffn_size,
        "num_hidden_layers": spec.num_layers,
        "num_attention_heads": spec.num_heads,
        "num_key_value_heads": spec.num_kv_heads,
        "head_dim": spec.head_dim,
        "rms_norm_eps": spec.norm_eps,
        "max_position_embeddings": spec.max_context,
        "tie_word_embeddings": spec.tied_embeddings,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
        "attn_implementation": attention,
    }
    match spec.family:
        case "llama":
            config: Any = transformers.LlamaConfig(**sizes, attention_bias=spec.qkv_bias)
            return config, transformers.LlamaForCausalLM
        case "mistral":
            return transformers.MistralConfig(**sizes, sliding_window=None), transformers.MistralForCausalLM
        case "qwen2":
            return transformers.Qwen2Config(**sizes, use_sliding_window=False), transformers.Qwen2ForCausalLM
        case "qwen3":
            config = transformers.Qwen3Config(**sizes, use_sliding_window=False, attention_bias=spec.qkv_bias)
            return config, transformers.Qwen3ForCausalLM
    raise InvalidArgument(f"models of the family {spec.family!r} cannot be trained here", field="model")
