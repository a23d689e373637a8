"""The optimiser (AdamW), its learning rate (warm-up, then cosine), and the gradient scaler of mixed precision."""

from __future__ import annotations

import math

import torch

from atftctl.trainer.config.settings import Settings

COSINE_FLOOR = 0.05
COSINE_STEPS = 20_000


def learning_rate(settings: Settings, step: int) -> float:
    """Return the learning rate of a step (counted from 1): linear over `warmup_steps`, then a cosine down to 5 %."""
    warmup, top = settings.scheduler.warmup_steps, settings.optimizer.lr
    if step <= warmup:
        return top * step / max(warmup, 1)
    span = max(min(settings.training.max_steps, COSINE_STEPS + warmup) - warmup, 1)
    share = min((step - warmup) / span, 1.0)
    return top * (COSINE_FLOOR + (1 - COSINE_FLOOR) * 0.5 * (1 + math.cos(math.pi * share)))


def make_optimizer(settings: Settings, model: torch.nn.Module) -> torch.optim.AdamW:
    """Return AdamW with weight decay on matrices only, not on biases, norms and scales."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.optimizer.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.optimizer.lr)


def make_scaler(settings: Settings, device: torch.device) -> torch.amp.GradScaler:
    """Return the gradient scaler for fp16 on CUDA; on other devices it changes nothing."""
    return torch.amp.GradScaler(device.type, init_scale=settings.grad_scaler.init_scale, enabled=device.type == "cuda")
