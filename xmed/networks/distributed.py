"""Training of one model by several processes, each on its own device and with an equal share of every batch.

"Rank" is the number of a process, as in torch.distributed. A process that trains alone, which is the usual case, passes
through all functions here unchanged. Quantities of the whole batch (batch statistics, the overlaps of soft Dice) are
summed over ranks, so they are those of the batch and not of a share. All other losses are means over the ranks' shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel


def rank() -> int:
    """Return the number of this process, from 0. Rank 0 writes the files."""
    return dist.get_rank() if world_size() > 1 else 0


def world_size() -> int:
    """Return how many processes train together; 1 outside a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@contextmanager
def process_group(count: int, device: torch.device) -> Iterator[None]:
    """Make this process a member of a group of `count` processes within the block.

    Args:
        count: Number of processes. With 1, or where the caller has already made a group of this size, nothing is done.
        device: Decides on the backend: NCCL for GPUs, Gloo for CPUs.

    Environment variables of torchrun say which rank this is and where the others are.
    """
    if count == 1 or world_size() == count:
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Return the sum over all ranks of a quantity of one batch. Gradients flow through it."""
    return _AllReduceSum.apply(tensor) if world_size() > 1 else tensor


@torch.no_grad()
def mean_over_ranks(tensor: Tensor) -> Tensor:
    """Return the mean over all ranks, without gradient."""
    if world_size() == 1:
        return tensor
    tensor = tensor.clone()
    dist.all_reduce(tensor)
    return tensor / world_size()


def any_rank(condition: bool, device: torch.device) -> bool:
    """Return whether the condition holds on any rank. Every rank gets the same answer."""
    return condition if world_size() == 1 else bool(mean_over_ranks(torch.tensor(float(condition), device=device)) > 0)


def gather_from_ranks(value: Any) -> list[Any]:
    """Return the objects of all ranks, in the order of ranks."""
    if world_size() == 1:
        return [value]
    values = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def barrier() -> None:
    """Wait until all ranks have reached this point."""
    if world_size() > 1:
        dist.barrier()


def average_gradients(learner: nn.Module, losses: Callable[..., dict[str, Tensor]]) -> Callable[..., dict[str, Tensor]]:
    """Return the loss function with gradients that are averaged over ranks while they are computed.

    DistributedDataParallel sees only the forward pass of the module that it wraps, so the losses are computed within
    such a forward pass. All ranks start with the weights of rank 0.

    Args:
        learner: The module that is trained.
        losses: A method of `learner`: batches → named scalar losses.

    Returns:
        A callable with the same arguments and results as `losses`.
    """
    if world_size() == 1:
        return losses
    # Some parameters wait for a loss that begins late. What buffers hold is brought together by `agree`.
    return DistributedDataParallel(_LossModule(learner, losses), find_unused_parameters=True, broadcast_buffers=False)


def average_buffers(learner: nn.Module) -> None:
    """Make the buffers of all ranks equal after a step: the mean of floating point buffers, "any" of boolean ones.

    Running statistics of batch normalisation are left out, because `synchronise_batchnorm` keeps them equal already.
    """
    if world_size() == 1:
        return
    other_modules = [module for module in learner.modules() if not isinstance(module, _BatchNorm)]
    for buffer in [buffer for module in other_modules for buffer in module.buffers(recurse=False)]:
        if buffer.is_floating_point():
            buffer.copy_(mean_over_ranks(buffer))
        elif buffer.dtype == torch.bool:
            buffer.copy_(mean_over_ranks(buffer.float()) > 0)


def synchronise_batchnorm(net: nn.Module, device: torch.device) -> nn.Module:
    """Make a network compute its batch statistics over all ranks.

    Args:
        net: Changed in place where the device is a CPU.
        device: On a GPU PyTorch's SyncBatchNorm is used; it has none for CPUs, so there `_RankBatchNorm` is.

    Returns:
        The network to use from now on.
    """
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(net)
    for module in net.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = _RankBatchNorm
    return net


class _LossModule(nn.Module):
    """A module whose forward pass computes a learner's losses."""

    def __init__(self, learner: nn.Module, losses: Callable[..., dict[str, Tensor]]) -> None:
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
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        del ctx
        return _AllReduceSum.apply(gradients[0])


class _RankBatchNorm(_BatchNorm):
    """Batch normalisation by the statistics of all ranks' patches, for CPUs."""

    def _check_input_dim(self, input: Tensor) -> None:
        del input

    def forward(self, input: Tensor) -> Tensor:
        if world_size() == 1 or not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(input)
        axes, shape = [0, *range(2, input.ndim)], [1, -1, *[1] * (input.ndim - 2)]
        count = input.numel() // input.shape[1] * world_size()
        average = sum_over_ranks(input.float().sum(axes)) / count
        centred = input.float() - average.reshape(shape)
        variance = sum_over_ranks(centred.square().sum(axes)) / count
        with torch.no_grad():
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(average, share)
            self.running_var.lerp_(variance * count / (count - 1), share)
        normal = centred * (variance + self.eps).rsqrt().reshape(shape)
        return (normal * self.weight.reshape(shape) + self.bias.reshape(shape)).to(input.dtype)
