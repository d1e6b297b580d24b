"""One step: the samples of all processes, their mean loss, its gradient, the weights after it.

Shapes: as in `hdvg.training.samples`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor

from hdvg.errors import UsageError
from hdvg.model.diffusion import Diffusion
from hdvg.model.unet import UNet
from hdvg.training import network
from hdvg.training.optimizer import Optimise
from hdvg.training.parallel import Team, gradients, take
from hdvg.training.samples import Samples
from hdvg.training.settings import TrainRecipe

NOTHING = 8
"""Height and width of a latent that weighs nothing."""


class Stepper:
    """A network and all that changes with it from step to step; where it stands is one integer, `done`."""

    def __init__(self, recipe: TrainRecipe, model: UNet, team: Team, *, device: torch.device) -> None:
        self.recipe, self.team, self.device, self.done = recipe, team, device, 0
        if device.type == "cuda":
            torch.set_float32_matmul_precision("high")  # TF32 where bf16 does not reach
            torch.backends.cudnn.benchmark = True
        self.model = model.to(device).train()
        network.arrange(self.model, recipe.network)
        self.gradients = gradients(self.model, recipe.run.sharding)
        self.optimise = Optimise(self.model, recipe.optimizer)
        self.diffusion = Diffusion(recipe.process)
        self.low = _low(recipe.run.precision, device)

    def advance(self, pieces: Sequence[Samples]) -> tuple[Tensor, Tensor]:
        """Take the next step with this process's pieces: the mean loss over all processes' samples, and the gradient's norm.

        Both lie where the network does, and are the same in every process, whatever the pieces. If either is not finite,
        the weights stay as they are.
        """
        every = self.team.agree(len(pieces), sum(map(len, pieces)))
        samples = sum(count for _, count in every)
        self.gradients.clear()
        for number, piece in enumerate(pieces):
            torch.manual_seed(self._seed_of(number))  # dropout, where a network has it, can be replayed too
            self.gradients.add(self.losses(piece).sum() / samples)
        if self.gradients.alike:
            for _ in range(len(pieces), max(count for count, _ in every)):
                self.gradients.add(0 * self.losses(self._nothing()).sum())
        loss, norm = self.gradients.total()
        self.optimise.apply(self.done, norm=norm + 0 * loss)
        self.done += 1
        return loss, norm

    def losses(self, piece: Samples) -> Tensor:
        """The loss of each sample, (B,), float32."""
        time_B = self.diffusion.times(piece.time_B)
        x0, noise, time_B, text = (
            one.to(self.device, non_blocking=True)
            for one in (piece.latents_BCTHW, piece.noise_BCTHW, time_B, piece.text_BLX)
        )
        return self.diffusion.losses(self._denoise, x0, noise=noise, time_B=time_B, text=text)

    def _denoise(self, x_BCTHW: Tensor, time_B: Tensor, text_BLX: Tensor) -> Tensor:
        with self.autocast():
            said: Tensor = self.model(x_BCTHW, time_B, text_BLX)
        return said

    def autocast(self) -> AbstractContextManager[object]:
        """bf16 for what may be, with weights in float32, if so wanted."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.low else nullcontext()

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on, by name: `model.`, `ema.`, `adam.`; live tensors, shards included."""
        model = {f"model.{name}": parameter for name, parameter in self.model.named_parameters()}
        return {**model, **self.optimise.state()}

    def go_on(self, saved: dict[str, Tensor], done: int) -> None:
        """From a saved state, after so many steps."""
        take(self.state(), saved, self.gradients)
        self.optimise.went(done)
        self.done = done

    def _seed_of(self, number: int) -> int:
        seat = self.team.seat
        return ((self.recipe.run.seed * 1_000_003 + self.done) * seat.world + seat.rank) * 1009 + number & (1 << 63) - 1

    def _nothing(self) -> Samples:
        """A sample of zeros, for a process that only keeps others company."""
        config = self.model.config
        zeros_BCTHW = torch.zeros(1, config.channels, 2, NOTHING, NOTHING)
        text_BLX = torch.zeros(1, 1, config.text_width)
        return Samples(("",), (0,), (0,), zeros_BCTHW, zeros_BCTHW, torch.zeros(1), text_BLX)


def _low(precision: Literal["auto", "fp32", "bf16"], device: torch.device) -> bool:
    """Whether to compute in bf16."""
    if precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported()
    if precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise UsageError("run.precision = 'bf16': this GPU has none; take 'fp32'")
    return precision == "bf16"
