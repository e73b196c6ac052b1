"""Distributed: the processes that train one model together, each on a device and with an equal share of every batch.

Where one process trains alone, which is the rule, all of this leaves things as they are. The whole-batch quantities
that a network and its supervised loss are made of (batch statistics, the overlaps of soft Dice) are summed over ranks,
so that they are those of the batch and not of a share; other losses are means over the ranks' shares.
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
    """Which of the processes this is; 0 is the one that writes."""
    return dist.get_rank() if world_size() > 1 else 0


def world_size() -> int:
    """How many train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@contextmanager
def process_group(count: int, device: torch.device) -> Iterator[None]:
    """Within the block this process is one of `count`; torchrun's variables say which, and where the others are.

    A group that the caller has made already is the one that is used, and stays.
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
    """The sum over all ranks of what each has of one batch; gradients pass."""
    return _AllReduceSum.apply(tensor) if world_size() > 1 else tensor


@torch.no_grad()
def mean_over_ranks(tensor: Tensor) -> Tensor:
    """The mean over all ranks, without gradient."""
    if world_size() == 1:
        return tensor
    tensor = tensor.clone()
    dist.all_reduce(tensor)
    return tensor / world_size()


def any_rank(asked: bool, device: torch.device) -> bool:
    """Whether it is so on any rank; all ranks get the same answer."""
    return asked if world_size() == 1 else bool(mean_over_ranks(torch.tensor(float(asked), device=device)) > 0)


def gather_from_ranks(thing: Any) -> list[Any]:
    """What each rank has, in the order of ranks."""
    if world_size() == 1:
        return [thing]
    things = [None] * world_size()
    dist.all_gather_object(things, thing)
    return things


def barrier() -> None:
    """Until all ranks are here."""
    if world_size() > 1:
        dist.barrier()


def average_gradients(learner: nn.Module, losses: Callable[..., dict[str, Tensor]]) -> Callable[..., dict[str, Tensor]]:
    """`losses`, a method of `learner`, whose gradients are averaged over ranks as they are computed.

    They pass through the forward pass of the module that DistributedDataParallel wraps: only there it sees them. All
    ranks begin with the weights of rank 0.
    """
    if world_size() == 1:
        return losses
    # Some parameters wait for a loss that begins late. What buffers hold is brought together by `agree`.
    return DistributedDataParallel(_LossModule(learner, losses), find_unused_parameters=True, broadcast_buffers=False)


def average_buffers(learner: nn.Module) -> None:
    """After a step: what each rank counted in its own share becomes the mean over ranks; a flag is up where any is.

    Running statistics of batch normalisation are left out: with `synced` they agree already.
    """
    if world_size() == 1:
        return
    counting = [module for module in learner.modules() if not isinstance(module, _BatchNorm)]
    for buffer in [buffer for module in counting for buffer in module.buffers(recurse=False)]:
        if buffer.is_floating_point():
            buffer.copy_(mean_over_ranks(buffer))
        elif buffer.dtype == torch.bool:
            buffer.copy_(mean_over_ranks(buffer.float()) > 0)


def synchronise_batchnorm(net: nn.Module, device: torch.device) -> nn.Module:
    """The network with batch statistics over all ranks: PyTorch's on a GPU, where it has them, else our own."""
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
    """All-reduce whose gradient is all-reduced, too: every rank's loss depends on every rank's share."""

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
    """Batch normalisation by the statistics of all ranks' patches, for processors: SyncBatchNorm knows GPUs only."""

    def _check_input_dim(self, input: Tensor) -> None:
        del input

    def forward(self, input: Tensor) -> Tensor:
        if world_size() == 1 or not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(input)
        axes, shape = [0, *range(2, input.ndim)], [1, -1, *[1] * (input.ndim - 2)]
        count = input.numel() // input.shape[1] * world_size()
        average = sum_over_ranks(input.float().sum(axes)) / count
        apart = input.float() - average.reshape(shape)
        variance = sum_over_ranks(apart.square().sum(axes)) / count
        with torch.no_grad():
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(average, share)
            self.running_var.lerp_(variance * count / (count - 1), share)
        normal = apart * (variance + self.eps).rsqrt().reshape(shape)
        return (normal * self.weight.reshape(shape) + self.bias.reshape(shape)).to(input.dtype)
