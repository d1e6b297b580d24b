"""From a prompt to a video: states of the text, a denoiser run backwards from keyed noise, and the codec.

Shapes: B = 1 clip, C latent channels, T frames, h, w of the latent, H, W pixels, L states of a text, X their width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hdvg.draws import chance
from hdvg.errors import UsageError
from hdvg.ids import digest
from hdvg.latents.encoders import FACTOR, Codec, TextEncoder
from hdvg.media.preview import Place, Video, write_videos
from hdvg.model import diffusion
from hdvg.model.config import Process
from hdvg.training.settings import TrainRecipe

if TYPE_CHECKING:
    from hdvg.model.diffusion import Denoiser, Sampler
    from hdvg.training.load import Trained


@dataclass(frozen=True)
class Wish:
    """What is to be sampled; `size` in pixels, height and width. Raises UsageError for what cannot be."""

    prompts: tuple[str, ...]
    frames: int
    size: tuple[int, int]
    sampler: Sampler
    seed: int = 0
    steps: int = 20
    guidance: float = 4.0

    def __post_init__(self) -> None:
        if not self.prompts:
            raise UsageError("no prompt: say what the video is to show, such as 'a boat on a lake'")
        if any(side < FACTOR or side % FACTOR for side in self.size):
            height, width = (max(1, round(side / FACTOR)) * FACTOR for side in self.size)
            said = f"size {self.size[0]}x{self.size[1]}: the codec makes multiples of {FACTOR} pixels"
            raise UsageError(f"{said}; near it lies {height}x{width}")
        if self.frames < 1:
            raise UsageError(f"frames = {self.frames}: at least 1")


class Maker:
    """All that makes videos of a trained network but the network itself."""

    def __init__(
        self, process: Process, *, codec: Codec, text: TextEncoder, device: torch.device | str = "cpu"
    ) -> None:
        self.process, self.codec, self.device = process, codec, torch.device(device)
        self.states: Callable[[str], Tensor] = cache(lambda prompt: self._states(text, prompt))

    def videos(self, denoise: Denoiser, wish: Wish) -> Iterator[Video]:
        """One for each prompt, made one by one: a video depends on its own prompt, its number and the seed alone.

        Raises UsageError if the sampler is none for this process, or what comes out is not finite.
        """
        for number, prompt in enumerate(wish.prompts):
            latents_BCThw = diffusion.sample(
                denoise,
                self._noise(wish, number),
                process=self.process,
                text=self.states(prompt),
                empty=self.states(""),
                sampler=wish.sampler,
                steps=wish.steps,
                guidance=wish.guidance,
            )
            if not latents_BCThw.isfinite().all():
                raise UsageError(
                    f"prompt {number}: the latents are not finite; take another checkpoint, or less guidance"
                )
            yield self.codec.decode(latents_BCThw[0].permute(1, 2, 3, 0).float().cpu().numpy())

    def _states(self, text: TextEncoder, prompt: str) -> Tensor:
        return torch.from_numpy(text.states([prompt])).to(self.device)

    def _noise(self, wish: Wish, number: int) -> Tensor:
        """(1, C, T, h, w), drawn on the CPU as (T, h, w, C)."""
        shape = (wish.frames, *(side // FACTOR for side in wish.size), self.codec.channels)
        drawn = chance(wish.seed, f"prompt {number}", epoch=0, purpose="sample").standard_normal(
            shape, dtype=np.float32
        )
        return torch.from_numpy(drawn).permute(3, 0, 1, 2)[None].to(self.device)


def sampler_of(process: Process) -> Sampler:
    """The plain one for a process."""
    if process.predicts == "flow":
        return "euler"
    return "dpm++" if process.predicts == "eps" and process.schedule == "cosine" else "ddim"


def sample(
    denoise: Denoiser, wish: Wish, maker: Maker, place: Place, *, fps: float, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Make the videos and write them, with a list whose content, `about` included, is returned."""
    diffusion.scheduler(maker.process, wish.sampler)  # refuses before anything is written
    said = {name: value for name, value in asdict(wish).items() if name != "prompts"}
    said |= {"codec": maker.codec.name, **about}
    return write_videos(maker.videos(denoise, wish), wish.prompts, place, fps=fps, about=said)


def every_so_often(
    recipe: TrainRecipe, run: Path, maker: Maker, *, prompts: tuple[str, ...], writes: bool = True
) -> Callable[[Denoiser, int], None]:
    """What makes videos while a run goes on: called with the network and the step, it writes RUN/samples/step-00000100.

    `prompts` if the recipe has none. A process that does not write computes along, for the network may lie in pieces.
    """
    frames, height, width = recipe.data.buckets[0]
    wish = Wish(
        recipe.watch.prompts or prompts,
        frames,
        (height, width),
        sampler_of(recipe.process),
        seed=recipe.run.seed,
        steps=recipe.watch.sample_steps,
        guidance=recipe.watch.guidance,
    )

    def write(denoise: Denoiser, step: int) -> None:
        if not writes:
            list(maker.videos(denoise, wish))
            return
        about = {"checkpoint": step, "weights": f"ema.{recipe.optimizer.ema_half_lives[0]:g}"}
        place = Place(run / "samples" / f"step-{step:08d}")
        sample(denoise, wish, maker, place, fps=recipe.data.fps, about=about)

    return write


def place_of(out: Path | None, trained: Trained, run: Path, wish: Wish, *, gif: bool) -> Place:
    """Where a wish's videos go; by default a folder of the run, named by a digest of the wish and the network.

    Raises UsageError for one file and several videos.
    """
    if out is None:
        return Place(run / "samples" / f"asked-{digest(asdict(wish), trained.step, trained.weights)[:12]}", gif=gif)
    if out.suffix != ".mp4":
        return Place(out, gif=gif)
    if len(wish.prompts) > 1:
        raise UsageError(f"--out {out}: one file for {len(wish.prompts)} prompts; name a folder")
    return Place(out.parent, out.stem, gif=gif)
