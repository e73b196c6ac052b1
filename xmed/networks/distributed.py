"""Training of one model by several processes, each on its own device and with an equal share of every batch.

"Rank" is the number of a process, as in torch.distributed. A process that trains alone, which is the usual case, has
rank 0 of 1, and all that `Ranks` does leaves its numbers as they are. Quantities of the whole batch (batch statistics,
the overlaps of soft Dice) are summed over ranks, so they are those of the batch and not of a share. All other losses
are means over the ranks' shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

Losses = Callable[..., dict[str, Tensor]]
"""Batches → named scalar losses."""


@dataclass(frozen=True)
class Ranks:
    """The processes that train one model together, as one of them sees them.

    With more than one process its methods are called within `process_group`, by all processes in the same order.

    Attributes:
        rank: Number of this process, from 0. Rank 0 writes the files.
        count: Number of processes.
    """

    rank: int = 0
    count: int = 1

    def sum(self, tensor: Tensor) -> Tensor:
        """Add up a quantity of one batch over all ranks. Gradients flow through the sum.

        Args:
            tensor: The share of this rank, of any shape.

        Returns:
            The sum, of the same shape.
        """
        if self.count == 1:
            return tensor
        total: Tensor = _AllReduceSum.apply(tensor)  # type: ignore[no-untyped-call]  # torch does not annotate it
        return total

    @torch.no_grad()
    def mean(self, tensor: Tensor) -> Tensor:
        """Average a quantity over all ranks, without gradient.

        Args:
            tensor: The value of this rank, of any shape.

        Returns:
            The mean, of the same shape.
        """
        if self.count == 1:
            return tensor
        tensor = tensor.clone()
        dist.all_reduce(tensor)
        return tensor / self.count

    def any(self, condition: bool, device: torch.device) -> bool:
        """Return whether a condition holds on any rank. Every rank gets the same answer.

        Args:
            condition: Whether it holds on this rank.
            device: Device of this rank.

        Returns:
            Whether it holds on at least one.
        """
        return condition if self.count == 1 else bool(self.mean(torch.tensor(float(condition), device=device)) > 0)

    def gather(self, value: Any) -> list[Any]:
        """Collect an object of each rank.

        Args:
            value: The object of this rank.

        Returns:
            The objects of all ranks, in the order of ranks.
        """
        if self.count == 1:
            return [value]
        values = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Wait until all ranks have reached this point."""
        if self.count > 1:
            dist.barrier()

    def average_gradients(self, learner: nn.Module, losses: Losses) -> Losses:
        """Return the loss function with gradients that are averaged over ranks while they are computed.

        DistributedDataParallel sees only the forward pass of the module that it wraps, so the losses are computed
        within such a forward pass. All ranks start with the weights of rank 0.

        Args:
            learner: The module that is trained.
            losses: A method of `learner`: batches → named scalar losses.

        Returns:
            A callable with the same arguments and results as `losses`.
        """
        if self.count == 1:
            return losses
        # Some parameters wait for a loss that begins late. What buffers hold is averaged by `average_buffers`.
        module = _LossModule(learner, losses)
        return DistributedDataParallel(module, find_unused_parameters=True, broadcast_buffers=False)

    def average_buffers(self, learner: nn.Module) -> None:
        """Make the buffers of all ranks equal after a step: the mean of floating point buffers, "any" of boolean ones.

        Running statistics of batch normalisation are left out, because `synchronise_batchnorm` keeps them equal
        already.

        Args:
            learner: The module that is trained; its buffers are overwritten.
        """
        if self.count == 1:
            return
        other_modules = [module for module in learner.modules() if not isinstance(module, _BatchNorm)]
        for buffer in [buffer for module in other_modules for buffer in module.buffers(recurse=False)]:
            if buffer.is_floating_point():
                buffer.copy_(self.mean(buffer))
            elif buffer.dtype == torch.bool:
                buffer.copy_(self.mean(buffer.float()) > 0)

    def synchronise_batchnorm(self, net: nn.Module, device: torch.device) -> nn.Module:
        """Make a network compute its batch statistics over all ranks.

        Args:
            net: Changed in place where the device is a CPU.
            device: On a GPU PyTorch's SyncBatchNorm is used; it has none for CPUs, so there `_RankBatchNorm` is.

        Returns:
            The network to use from now on; with a single process `net` as it is.
        """
        if self.count == 1:
            return net
        if device.type == "cuda":
            convert: Callable[[nn.Module], nn.Module] = nn.SyncBatchNorm.convert_sync_batchnorm
            return convert(net)
        for module in net.modules():
            if isinstance(module, _BatchNorm):
                module.__class__ = _RankBatchNorm
                assert isinstance(module, _RankBatchNorm)
                module.ranks = self
        return net


ALONE = Ranks()
"""A process that trains alone."""


@contextmanager
def process_group(ranks: Ranks, device: torch.device) -> Iterator[None]:
    """Make this process a member of its group within the block.

    Environment variables of torchrun say where the other processes are.

    Args:
        ranks: Number of this process and of all. With one, or where the caller has already made a group of this size,
            nothing is done.
        device: Decides on the backend: NCCL for GPUs, Gloo for CPUs.

    Yields:
        Nothing.
    """
    if ranks.count == 1 or (dist.is_initialized() and dist.get_world_size() == ranks.count):
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


class _LossModule(nn.Module):
    """A module whose forward pass computes a learner's losses."""

    def __init__(self, learner: nn.Module, losses: Losses) -> None:
        super().__init__()
        self.learner, self.losses = learner, losses

    def forward(self, *batches: Any) -> dict[str, Tensor]:
        return self.losses(*batches)


class _AllReduceSum(torch.autograd.Function):
    """Sum over ranks whose gradient is summed over ranks too: every rank's loss depends on every rank's share."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        del ctx
        total = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        del ctx
        return _AllReduceSum.apply(gradients[0])  # type: ignore[no-untyped-call]  # torch does not annotate it


class _RankBatchNorm(_BatchNorm):
    """Batch normalisation by the statistics of all ranks' patches, for CPUs."""

    ranks: Ranks

    def _check_input_dim(self, input: Tensor) -> None:
        del input

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(input)
        axes, shape = [0, *range(2, input.ndim)], [1, -1, *[1] * (input.ndim - 2)]
        count = input.numel() // input.shape[1] * self.ranks.count
        average = self.ranks.sum(input.float().sum(axes)) / count
        centred = input.float() - average.reshape(shape)
        variance = self.ranks.sum(centred.square().sum(axes)) / count
        with torch.no_grad():
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(average, share)
            self.running_var.lerp_(variance * count / (count - 1), share)
        normal = centred * (variance + self.eps).rsqrt().reshape(shape)
        return (normal * self.weight.reshape(shape) + self.bias.reshape(shape)).to(input.dtype)
