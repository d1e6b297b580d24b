"""What a step is made of: samples of one shape, and who gives them.

Shapes: B samples, C latent channels, T frames, H, W of the latent, L states of a text, X their width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Samples:
    """Samples of one shape, on the CPU, float32, with all that is random about them."""

    clip_ids: tuple[str, ...]
    windows: tuple[int, ...]
    """Which run of frames of its clip each one is."""
    epochs: tuple[int, ...]
    latents_BCTHW: Tensor
    noise_BCTHW: Tensor
    time_B: Tensor
    """Uniform in [0, 1): `Diffusion.times` makes times of it."""
    text_BLX: Tensor

    def __len__(self) -> int:
        return len(self.clip_ids)


@dataclass(frozen=True)
class Seat:
    """Which part of every step this process takes."""

    rank: int = 0
    world: int = 1


class Feed(Protocol):
    """Gives any step's samples, always the same."""

    def step(self, step: int, *, seat: Seat = Seat()) -> list[Samples]:
        """The micro-batches of one process in a step, from 0; over all processes they are the step's samples, once each.

        Pieces are of one shape each and may be empty in number where there are more processes than samples.
        """

    def held(self) -> list[Samples]:
        """The held-out samples, one piece a shape and at most a micro-batch large, with the same noise every time."""
