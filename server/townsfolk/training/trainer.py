"""LoRA training of one persona on one base model, from token ids to adapter weights."""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from townsfolk.errors import InternalError, InvalidArgument
from townsfolk.training.dataset import TokenisedExample
from townsfolk.training.packing import Pack, pack_all, short_packs, summed_loss

# at rank 8 an adapter of these for the default model fills just under five megabytes
TARGET_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ADAPTER_DTYPE = torch.bfloat16


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train. ``alpha`` follows the rank; ``warmup`` is the share of steps in which the rate rises.

    The defaults were chosen by ear and by held-out loss on the 135M model with some 330 lines a persona. More epochs or
    a higher rate make the voice stronger and the answers worse, so the number of epochs is fixed and the last is kept.
    """

    rank: int = 8
    epochs: int = 3
    examples_per_step: int = 8
    learning_rate: float = 7e-4
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        checks = {
            "rank": 1 <= self.rank <= 64,
            "epochs": 1 <= self.epochs <= 1000,
            "learning_rate": 0.0 < self.learning_rate <= 1.0,
            "seed": 0 <= self.seed < 2**63,
        }
        for name, fine in checks.items():
            if not fine:
                raise InvalidArgument(f"{name} {getattr(self, name)} is out of range", field=name)

    @property
    def alpha(self) -> int:
        return 2 * self.rank


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands after one step.

    ``loss`` is the epoch's mean so far; ``held_out_loss`` is that of the last finished epoch.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    held_out_loss: float
    base_held_out_loss: float
    tokens_per_second: float
    remaining_s: float
    epoch_ended: bool = False


@dataclass(frozen=True, slots=True)
class EpochLoss:
    """Mean losses per reply token: ``train`` while the epoch ran, ``held_out`` after it."""

    epoch: int
    train: float
    held_out: float


@dataclass(slots=True)
class Trained:
    """Adapter weights in PEFT's key format, and how they came to be."""

    weights: dict[str, torch.Tensor]
    base_held_out_loss: float
    held_out_loss: float = math.nan
    epochs: list[EpochLoss] = field(default_factory=list)
    steps: int = 0
    tokens: int = 0


def train_adapter(
    model: Any,
    training: Sequence[TokenisedExample],
    held_out: Sequence[TokenisedExample],
    settings: Settings,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Trained:
    """Train an adapter on ``training``; measure it, and the bare model before it, on ``held_out``.

    The same arguments on the same machine with the same number of threads give the same bytes: all randomness
    comes from ``settings.seed``, and the global random state stays as it was. LoRA layers stay in ``model``.
    """
    device = model.device
    held_out_packs = [p.to(device) for p in pack_all(held_out, settings.examples_per_step)]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(settings.seed)
        base_loss = mean_loss(model, held_out_packs)
        peft_model = _with_adapter(model, settings)
        trained = Trained({}, base_loss)
        for progress in _steps(model, peft_model, training, held_out_packs, settings, trained):
            on_progress(progress)
        trained.weights = _round_weights(peft_model)
        trained.held_out_loss = mean_loss(model, held_out_packs)
    return trained


def mean_loss(model: Any, packs: Sequence[Pack]) -> float:
    """Cross entropy per reply token."""
    model.eval()
    with torch.no_grad(), _mixed_precision(model):
        total = sum(summed_loss(model, packed).item() for packed in packs)
    return total / sum(packed.targets.numel() for packed in packs)


def _with_adapter(model: Any, settings: Settings) -> Any:
    import peft

    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        target_modules=list(TARGET_MODULES),
        bias="none",
    )
    with warnings.catch_warnings():  # peft 0.21 asks transformers 5 by a deprecated name
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        return peft.get_peft_model(model, config)


def _steps(
    model: Any,
    peft_model: Any,
    training: Sequence[TokenisedExample],
    held_out_packs: Sequence[Pack],
    settings: Settings,
    trained: Trained,
) -> Iterator[Progress]:
    weights = [p for p in peft_model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        weights, lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=settings.weight_decay
    )
    steps_per_epoch = -(-len(training) // settings.examples_per_step)
    steps = steps_per_epoch * settings.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps, settings.warmup))
    shuffles = torch.Generator().manual_seed(settings.seed)
    held_out_loss = trained.base_held_out_loss
    started = time.monotonic()
    for epoch in range(1, settings.epochs + 1):
        order = [training[i] for i in torch.randperm(len(training), generator=shuffles).tolist()]
        model.train()
        total, count = 0.0, 0
        for number in range(steps_per_epoch):
            cut = [len(order) * i // steps_per_epoch for i in (number, number + 1)]
            packs = [packed.to(model.device) for packed in short_packs(order[cut[0] : cut[1]])]
            targets = sum(packed.targets.numel() for packed in packs)
            optimizer.zero_grad(set_to_none=True)
            for packed in packs:
                with _mixed_precision(model):
                    summed = summed_loss(model, packed)
                (summed / targets).backward()  # type: ignore[no-untyped-call]
                total += summed.item()
            torch.nn.utils.clip_grad_norm_(weights, settings.clip_norm)
            optimizer.step()
            schedule.step()
            count += targets
            if not math.isfinite(total):
                raise InternalError("the loss is no longer a number; a lower learning rate helps")
            trained.steps, trained.tokens = trained.steps + 1, trained.tokens + sum(packed.tokens for packed in packs)
            if ended := number == steps_per_epoch - 1:
                held_out_loss = mean_loss(model, held_out_packs)
                trained.epochs.append(EpochLoss(epoch, total / count, held_out_loss))
            elapsed = time.monotonic() - started
            yield Progress(
                epoch,
                settings.epochs,
                trained.steps,
                steps,
                total / count,
                held_out_loss,
                trained.base_held_out_loss,
                trained.tokens / elapsed,
                elapsed / trained.steps * (steps - trained.steps),
                ended,
            )


def _rate(step: int, steps: int, warmup: float) -> float:
    """Linear warm-up, then a half cosine down to a twentieth (never zero: the last step shall count too)."""
    rising = max(1, round(steps * warmup))
    if step < rising:
        return (step + 1) / rising
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


@contextlib.contextmanager
def _mixed_precision(model: Any) -> Iterator[None]:
    """LoRA weights stay fp32 for the optimizer, but are multiplied in the model's dtype, which is faster."""
    if model.dtype == torch.float32:
        yield
        return
    from peft.helpers import disable_input_dtype_casting

    with torch.autocast(model.device.type, model.dtype), disable_input_dtype_casting(model):
        yield


def _round_weights(peft_model: Any) -> dict[str, torch.Tensor]:
    """Round the adapter in place to what its file will hold, so that what is measured is what is shipped."""
    from peft import get_peft_model_state_dict

    with torch.no_grad():
        for parameter in peft_model.parameters():
            if parameter.requires_grad:
                parameter.copy_(parameter.to(ADAPTER_DTYPE))
    state = get_peft_model_state_dict(peft_model)
    return {name: state[name].detach().to("cpu", ADAPTER_DTYPE).contiguous() for name in sorted(state)}
