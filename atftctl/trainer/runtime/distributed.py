"""The processes of one run: their rank, and the decisions that all of them take together. With a single process every
collective operation returns its input.

torchrun starts the processes and sets RANK and WORLD_SIZE. Gradients are summed here and not in the hooks of
DistributedDataParallel: a process that fails in the middle of its backward pass would leave the others waiting in such
a hook. Here all processes first agree on whether the backward pass succeeded.
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
TIMEOUT = timedelta(minutes=30)  # for a process that hangs; one that is gone is noticed at once


class ProcessGroup:
    """Collective operations. Every process must call each of them, in the same order.

    They raise WorkerLostError when another process is gone.
    """

    def __init__(self) -> None:
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.device = self._choose_device()
        if self.size > 1:
            import torch.distributed

            self._dist: Any = torch.distributed
            backend = "nccl" if self.device.type == "cuda" else "gloo"
            self._dist.init_process_group(backend, timeout=TIMEOUT)

    @property
    def is_main(self) -> bool:
        """True in the process of rank 0, which writes metrics and checkpoints."""
        return self.rank == 0

    def shard(self, count: int) -> range:
        """Return the positions in a list of `count` items that this process works on: every `size`-th one."""
        return range(self.rank, count, self.size)

    def sum(self, values: Tensor) -> Tensor:
        """Sum a tensor of any shape elementwise over all processes, in place, and return it."""
        if self.size > 1:
            self._run_collective(lambda: self._dist.all_reduce(values))
        return values

    def any(self, flag: bool) -> bool:
        """Return whether the flag is true in at least one process."""
        return self.any_of(flag)[0]

    def any_of(self, *flags: bool) -> tuple[bool, ...]:
        """Return for each flag, in one message, whether it is true in at least one process."""
        if self.size == 1:
            return flags
        counts = self.sum(torch.tensor([float(flag) for flag in flags], device=self.device))
        return tuple(bool(count > 0) for count in counts)

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Sum the gradients of all parameters over all processes, in one message."""
        if self.size == 1:
            return
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in trained]
        flat = self.sum(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        summed = flat.split([parameter.numel() for parameter in trained])
        for parameter, gradient in zip(trained, summed, strict=True):
            parameter.grad = gradient.view_as(parameter)

    def gather(self, value: Any) -> list[Any]:
        """Return every process's value, ordered by rank. The value is pickled."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        self._run_collective(lambda: self._dist.all_gather_object(values, value))
        return values

    def broadcast(self, value: Any) -> Any:
        """Return the value of the main process."""
        return self.gather(value)[0]

    def main_first(self, make: Callable[[], T]) -> T:
        """Call `make` in the main process, then in the others, and return its result in each.

        What `make` prepares on disk is so prepared only once. An exception in the main process is raised in all of
        them.
        """
        made, error = None, None
        if self.is_main:
            try:
                made = make()
            except Exception as raised:  # noqa: BLE001 - raised again in every process
                error = raised
        error = self.broadcast(error)
        if error is not None:
            raise error
        return make() if made is None else made

    def _choose_device(self) -> torch.device:
        if not torch.cuda.is_available():
            return torch.device("cpu")
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        torch.cuda.set_device(device)
        return device

    def _run_collective(self, operation: Callable[[], object]) -> None:
        try:
            operation()
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            raise WorkerLostError(
                f"another process of this run is gone: {' '.join(str(error).split())[:200]}"
            ) from None
