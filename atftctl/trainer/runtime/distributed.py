"""The processes of one run: who we are, and what all of them decide together. Alone, everything is a no-op.

Started by torchrun, which sets RANK and WORLD_SIZE. Gradients are summed here and not in DistributedDataParallel's
hooks: a process that fails in the middle of its backward pass would leave the others waiting in a hook, where here
all of them first say whether they came through.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor

from atftctl.trainer.errors import WorkerLostError
from atftctl.trainer.runtime.memory import is_out_of_memory

T = TypeVar("T")
TIMEOUT = timedelta(minutes=30)  # a process that is gone is noticed at once; this is for one that hangs


class World:
    """Collective operations; each must be called by every process, in the same order."""

    def __init__(self) -> None:
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.device = self._device()
        if self.size > 1:
            import torch.distributed

            self._dist: Any = torch.distributed
            backend = "nccl" if self.device.type == "cuda" else "gloo"
            self._dist.init_process_group(backend, timeout=TIMEOUT)

    @property
    def lead(self) -> bool:
        """The one that writes metrics and checkpoints."""
        return self.rank == 0

    def shares(self, count: int) -> range:
        """Which of `count` items are ours: every size-th one."""
        return range(self.rank, count, self.size)

    def sum(self, values: Tensor) -> Tensor:
        """Elementwise over all processes, in place."""
        if self.size > 1:
            self._collectively(lambda: self._dist.all_reduce(values))
        return values

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Each flag: is it true in any process?"""
        if self.size == 1:
            return flags
        found = self.sum(torch.tensor([float(flag) for flag in flags], device=self.device))
        return tuple(bool(one > 0) for one in found)

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """All gradients in one message."""
        if self.size == 1:
            return
        held = [one for one in parameters if one.requires_grad]
        parts = [torch.zeros_like(one) if one.grad is None else one.grad for one in held]
        flat = self.sum(torch.cat([part.reshape(-1) for part in parts]))
        for one, part in zip(held, flat.split([one.numel() for one in held]), strict=True):
            one.grad = part.view_as(one)

    def gather(self, value: Any) -> list[Any]:
        """Every process's value, by rank."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        self._collectively(lambda: self._dist.all_gather_object(found, value))
        return found

    def broadcast(self, value: Any) -> Any:
        """The lead's value."""
        return self.gather(value)[0]

    def lead_first(self, make: Callable[[], T]) -> T:
        """Made by the lead, then by the others: what it prepares on disk is prepared once, and where it fails all
        fail alike."""
        made, error = None, None
        if self.lead:
            try:
                made = make()
            except Exception as raised:  # noqa: BLE001 - raised again, by all
                error = raised
        error = self.broadcast(error)
        if error is not None:
            raise error
        return make() if made is None else made

    def _device(self) -> torch.device:
        if not torch.cuda.is_available():
            return torch.device("cpu")
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        torch.cuda.set_device(device)
        return device

    def _collectively(self, act: Any) -> None:
        try:
            act()
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            raise WorkerLostError(
                f"another process of this run is gone: {' '.join(str(error).split())[:200]}"
            ) from None
