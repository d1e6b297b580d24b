"""A trained network with its own encoders, ready to make videos of prompts.

Shapes: B = 1 clip, C latent channels, T frames, H, W, L states of a text, X their width.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hdvg.errors import UsageError
from hdvg.latents.encoders import load_codec, load_text
from hdvg.media.preview import Place, Video
from hdvg.model import diffusion
from hdvg.model.diffusion import Sampler
from hdvg.training.generate import Maker, Wish, sample, sampler_of
from hdvg.training.load import Trained


class Model:
    """What a training run has learnt, on a GPU if there is one; encoders are loaded with the first video."""

    def __init__(self, trained: Trained, run: Path) -> None:
        self.trained, self.run = trained, run
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network = trained.model.to(self.device)
        self._is_low = self.device.type == "cuda" and trained.recipe.run.precision != "fp32"

    @property
    def fps(self) -> float:
        """Frames a second of its videos."""
        return self.trained.recipe.data.fps

    def sample(
        self,
        prompt: str,
        *,
        seed: int = 0,
        steps: int = 20,
        guidance: float = 4.0,
        size: tuple[int, int, int] | None = None,
    ) -> Video:
        """A video of what the prompt says, (T, H, W, 3), uint8, RGB: the one that `hdvg sample` writes for this seed.

        `steps`: how often the network is asked. `guidance`: how strongly the prompt leads, 1 or more. `size`: frames, height
        and width, the last two multiples of 8; by default as it was trained. Raises UsageError for what cannot be made.
        """
        return next(self.videos(self.wish((prompt,), seed=seed, steps=steps, guidance=guidance, size=size)))

    def wish(
        self,
        prompts: tuple[str, ...],
        *,
        sampler: Sampler | None = None,
        size: tuple[int, int, int] | None = None,
        **settings: Any,  # Any: `seed`, `steps` and `guidance` of Wish, which checks them
    ) -> Wish:
        """What is to be made; what is not said is as it was trained. Raises UsageError for what cannot be."""
        recipe = self.trained.recipe
        frames, height, width = size or recipe.data.buckets[0]
        return Wish(prompts, frames, (height, width), sampler or sampler_of(recipe.process), **settings)

    def videos(self, wish: Wish) -> Iterator[Video]:
        """One for each prompt, made when it is asked for. Raises UsageError for a sampler that the process does not take."""
        diffusion.scheduler(self.trained.recipe.process, wish.sampler)  # refuses before anything is loaded
        return self._maker.videos(self._denoise, wish)

    def write(self, wish: Wish, place: Place) -> dict[str, Any]:
        """Write the videos and a list of them, whose content is returned. Raises as `videos`, and ResourceError."""
        diffusion.scheduler(self.trained.recipe.process, wish.sampler)
        about = {"checkpoint": self.trained.step, "weights": self.trained.weights}
        return sample(self._denoise, wish, self._maker, place, fps=self.fps, about=about)

    @cached_property
    def _maker(self) -> Maker:
        recipe = self.trained.recipe
        codec = load_codec(recipe.data, self.run)
        if codec.channels != self._network.config.channels:
            raise UsageError(
                f"{self.run}: its network takes {self._network.config.channels} channels, codec {codec.name} has "
                f"{codec.channels}; say the one it was trained with: data.codec, data.codec_folder in train.toml"
            )
        return Maker(recipe.process, codec=codec, text=load_text(recipe.data, self.run), device=self.device)

    def _denoise(self, x_BCTHW: Tensor, time_B: Tensor, text_BLX: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._is_low):
            said: Tensor = self._network(x_BCTHW, time_B, text_BLX)
        return said.float()
