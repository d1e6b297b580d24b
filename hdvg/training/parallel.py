"""Several processes, one step: who takes part, and how their gradients become one, with whole copies or FSDP2's shards."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Literal, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from hdvg.model.unet import Layer, UNet
from hdvg.training.samples import Seat

ALIGNED = 64
"""Every parameter's gradient begins at a multiple of so many numbers."""


class Team:
    """The processes of a run; they agree on small whole numbers without a GPU."""

    def __init__(self) -> None:
        alone = not dist.is_initialized()
        self.seat = Seat() if alone else Seat(dist.get_rank(), dist.get_world_size())
        self._words = None if alone else dist.new_group(backend="gloo")

    def agree(self, *numbers: int) -> list[list[int]]:
        """What every process says, by rank."""
        if self.seat.world == 1:
            return [list(numbers)]
        mine = torch.tensor(numbers, dtype=torch.int64)
        gathered = [torch.empty_like(mine) for _ in range(self.seat.world)]
        dist.all_gather(gathered, mine, group=self._words)
        return [one.tolist() for one in gathered]

    def close(self) -> None:
        """Wait for everyone."""
        if self.seat.world > 1:
            dist.barrier(group=self._words)


class Gradients(Protocol):
    """Gradients of a step, over all processes."""

    alike: bool
    """Whether every process must compute as many pieces as every other."""

    def clear(self) -> None:
        """Begin a step."""

    def add(self, loss: Tensor) -> None:
        """The gradient of a process's part of the step's loss."""

    def total(self) -> tuple[Tensor, Tensor]:
        """The step's loss and the norm of its gradient, which the parameters then hold, in every process."""

    def whole(self, tensor: Tensor) -> Tensor:
        """A parameter, or what is shaped as one, undivided; every process must ask."""

    def put(self, tensor: Tensor, value: Tensor) -> None:
        """The other way: an undivided value into a parameter or what is shaped as one."""


class Copies:
    """Every process has the whole network; gradients and loss lie in one buffer, summed over the processes once a step.

    Not torch's DistributedDataParallel: its hooks sum bucket by bucket during the backward pass, so every process would need as many
    micro-batches as every other, using the same weights. Here pieces differ in number, shape and kind (an image leaves
    the temporal weights alone), and one sum of one buffer is exact for any split. Its price: it does not hide behind
    the backward pass; 4 bytes a weight are exchanged after it.
    """

    alike = False

    def __init__(self, model: nn.Module) -> None:
        parameters = list(model.parameters())
        starts, end = [], 0
        for parameter in parameters:
            starts.append(end)
            end += -(-parameter.numel() // ALIGNED) * ALIGNED
        self._all = torch.zeros(end + 1, device=parameters[0].device)
        self._gradient, self._loss = self._all[:-1], self._all[-1]
        for parameter, start in zip(parameters, starts, strict=True):
            parameter.grad = self._all.as_strided(parameter.shape, parameter.stride(), start)

    def clear(self) -> None:
        self._all.zero_()

    def add(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]
        self._loss += loss.detach()

    def total(self) -> tuple[Tensor, Tensor]:
        if dist.is_initialized():
            dist.all_reduce(self._all)
        return self._loss.clone(), torch.linalg.vector_norm(self._gradient)

    def whole(self, tensor: Tensor) -> Tensor:
        return tensor.detach()

    def put(self, tensor: Tensor, value: Tensor) -> None:
        tensor.detach().copy_(value)


class Shards:
    """FSDP2: every process keeps a part of each weight; a layer is whole only while it is computed.

    Each layer is gathered and its gradient scattered together by all processes, so all must compute equally many pieces:
    whoever has fewer adds pieces that weigh nothing. Weights that a piece does not use are scattered as zeros.
    """

    alike = True

    def __init__(self, model: UNet) -> None:
        self._model = model
        model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # it shards no other layout
        # nobody writes into what the network says
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
        units = [module for module in model.modules() if isinstance(module, Layer)]
        for unit in (*units, model):
            fully_shard(unit)
        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.set_reduce_scatter_unused_params(True)
                module.set_gradient_divide_factor(1.0)  # losses are shares of the step's already: sums, not means
                module.set_force_sum_reduction_for_comms(True)
        self._loss = torch.zeros((), device=next(model.parameters()).device)

    def clear(self) -> None:
        self._loss.zero_()
        self._model.zero_grad(set_to_none=True)

    def add(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]
        self._loss += loss.detach()

    def total(self) -> tuple[Tensor, Tensor]:
        parts = []
        for parameter in self._model.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parts.append(parameter.grad.to_local())  # type: ignore[attr-defined]
        squares = torch.stack(torch._foreach_norm(parts)).square().sum()
        both = torch.stack((self._loss, squares))
        dist.all_reduce(both)
        return both[0], both[1].sqrt()

    def whole(self, tensor: Tensor) -> Tensor:
        return tensor.full_tensor().detach() if isinstance(tensor, DTensor) else tensor.detach()

    def put(self, tensor: Tensor, value: Tensor) -> None:
        if isinstance(tensor, DTensor):
            value = value.to(tensor.device)
            tensor.detach().copy_(distribute_tensor(value, tensor.device_mesh, tensor.placements, src_data_rank=None))
        else:
            tensor.detach().copy_(value)


def gradients(model: UNet, sharding: Literal["ddp", "fsdp"]) -> Gradients:
    """Those of a network that lies on its device; shards only where there are several processes."""
    if sharding == "fsdp" and dist.is_initialized() and dist.get_world_size() > 1:
        return Shards(model)
    return Copies(model)


def take(state: Mapping[str, Tensor], saved: Mapping[str, Tensor], gradients: Gradients) -> None:
    """Put saved tensors where those of the same names are."""
    with torch.no_grad():
        for name, tensor in state.items():
            gradients.put(tensor, saved[name])
