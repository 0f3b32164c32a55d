"""A Stable Diffusion XL of half a megabyte with random weights: its pictures are noise, everything else is real."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def write_tiny_sdxl(folder: Path, *, turbo: bool = False, variant: str | None = None) -> Path:
    """Save the pipeline into ``folder`` in diffusers' layout. ``turbo``: with that model's scheduler."""
    import torch
    from diffusers import (
        AutoencoderKL,
        EulerAncestralDiscreteScheduler,
        EulerDiscreteScheduler,
        StableDiffusionXLPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    tokenizer, text_config = (
        _tokenizer(),
        CLIPTextConfig(
            vocab_size=190,
            bos_token_id=188,
            eos_token_id=189,
            pad_token_id=189,
            hidden_size=32,
            intermediate_size=37,
            num_attention_heads=4,
            num_hidden_layers=2,
            projection_dim=32,
            max_position_embeddings=77,
        ),
    )
    scheduler = EulerAncestralDiscreteScheduler if turbo else EulerDiscreteScheduler
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipeline = StableDiffusionXLPipeline(
            vae=AutoencoderKL(
                block_out_channels=[8] * 4,
                down_block_types=["DownEncoderBlock2D"] * 4,
                up_block_types=["UpDecoderBlock2D"] * 4,
                latent_channels=4,
                norm_num_groups=4,
                sample_size=64,
            ),
            text_encoder=CLIPTextModel(text_config),
            text_encoder_2=CLIPTextModelWithProjection(text_config),
            tokenizer=tokenizer,
            tokenizer_2=tokenizer,
            unet=UNet2DConditionModel(
                block_out_channels=(8, 16),
                layers_per_block=1,
                sample_size=8,
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                attention_head_dim=(2, 4),
                use_linear_projection=True,
                addition_embed_type="text_time",
                addition_time_embed_dim=8,
                transformer_layers_per_block=(1, 1),
                projection_class_embeddings_input_dim=6 * 8 + 32,
                cross_attention_dim=64,
                norm_num_groups=4,
            ),
            scheduler=scheduler(
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                steps_offset=1,
                timestep_spacing="trailing" if turbo else "leading",
            ),
            add_watermarker=False,
        )
    pipeline.save_pretrained(str(folder), safe_serialization=True, variant=variant)
    return folder


def _tokenizer() -> Any:
    from transformers import CLIPTokenizer

    letters = [chr(code) for code in range(33, 127)]
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: index for index, word in enumerate(words)}, merges=[], model_max_length=77)
