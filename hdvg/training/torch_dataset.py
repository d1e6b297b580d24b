"""The trainer's samples as pixels and texts: a torch Dataset whose every index can be replayed.

Shapes: T frames, H, W pixels.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from hdvg.config.recipe import parse
from hdvg.latents.lengths import Lengths
from hdvg.latents.settings import Bucket, Encoding
from hdvg.latents.store import Clips, data_digest
from hdvg.latents.units import Keys
from hdvg.latents.windows import Windows, readable
from hdvg.training.feed import EMPTY, DataFeed
from hdvg.training.settings import TrainRecipe
from hdvg.training.sources import Member
from hdvg.training.traits import Traits, read

if TYPE_CHECKING:
    from hdvg.dataset.dataset import Dataset
    from hdvg.latents.encoders import Frames


class Sample(TypedDict):
    """One sample. `start_s`: when its window begins, from the clip's start; `time`: the trainer's draw of noise, [0, 1)."""

    video: Tensor
    """(T, H, W, 3), uint8, RGB."""
    text: str
    clip_id: str
    window: int
    start_s: float
    epoch: int
    time: float


class Pixels:
    """See `hdvg.training.sources.Latents`: with pixels for latents, 0-255, and no states of texts."""

    codec, text, text_shape = "pixels", "words", (0, 0)

    def __init__(self, dataset: Dataset, encoding: Encoding, rows: pa.Table) -> None:
        self.windows = Windows(dataset, encoding, rows)
        self.clips = Clips(self.windows.rows, [(*bucket, 3) for bucket in encoding.buckets])
        self.digest = data_digest(rows, Keys(self.codec, self.text, (), ""))
        self.wanted, self.failed = len(rows), dict[str, str]()
        self.lengths = Lengths.of((), encoding.text_tokens)

    @classmethod
    def open(cls, dataset: Dataset, encoding: Encoding, *, where: str | None = None) -> Pixels:
        """The clips that have a bucket and lie in a shard. Raises UsageError if there is none."""
        rows, fine, failed = readable(dataset, encoding, where)
        pixels = cls(dataset, encoding, fine)
        pixels.wanted, pixels.failed = len(rows), failed
        return pixels

    def read(self, clip: int, window: int, out: Any) -> None:
        """A window's pixels into `out`, (T, H, W, 3), of any type of number. Raises ItemError if it does not decode."""
        np.copyto(out, self.windows.read(clip, window), casting="unsafe")

    def read_text(self, row: int, out: Any) -> None:
        """There are no states."""


class TorchDataset(torch.utils.data.Dataset[Sample]):
    """One epoch of samples, each clip once unless draws are evened out, in the order of the trainer's `DataFeed` for the same settings and seed.

    Index i of epoch e is the feed's position e * len + i, so a loader must not shuffle; `set_epoch` begins the next one, which
    draws another order, other windows and texts. Clips that the trainer would hold out (`held_out`) are in none.
    May be pickled, and read by any number of a DataLoader's workers.
    """

    def __init__(self, pixels: Pixels, recipe: TrainRecipe, traits: Traits | None = None) -> None:
        self._pixels, self._recipe, self._traits = pixels, recipe, traits
        self._epoch = 0

    @classmethod
    def open(cls, dataset: Dataset, recipe: TrainRecipe) -> TorchDataset:
        """Of a dataset, with a training recipe's data, draw, seed and validation; a step's batch has no effect."""
        alone = recipe.model_copy(update={"run": recipe.run.model_copy(update={"batch": 1, "micro_batch": None})})
        pixels = Pixels.open(dataset, recipe.data, where=recipe.draw.where)
        return cls(pixels, alone, read(dataset, pixels.clips.names("clip_id"), recipe.draw))

    @property
    def held_out(self) -> tuple[str, ...]:
        """Ids of the clips that are kept for validation."""
        return tuple(self._pixels.clips[number].clip_id for number in self._feed.held_out.clips[0])

    def set_epoch(self, epoch: int) -> None:
        """Give the samples of that epoch, from 0."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._feed.order.sources[0].count

    def __getitem__(self, index: int) -> Sample:
        """Decode a sample. Raises IndexError beyond the epoch, ItemError if the clip does not decode."""
        position = self._epoch * len(self) + range(len(self))[index]
        (drawn,) = self._feed.drawn(position)
        frames: Frames = self._pixels.windows.read(drawn.number, drawn.window)
        clip = self._pixels.clips[drawn.number]
        return Sample(
            video=torch.from_numpy(frames if drawn.frame is None else frames[drawn.frame, None]),
            text="" if drawn.text == EMPTY else self._pixels.windows.texts[drawn.text],
            clip_id=clip.clip_id,
            window=drawn.window,
            start_s=clip.starts_s[drawn.window],
            epoch=drawn.epoch,
            time=drawn.time,
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_feed"}

    @cached_property
    def _feed(self) -> DataFeed:
        return DataFeed([Member(self._pixels, "dataset", traits=self._traits)], self._recipe)


def recipe_of(bucket: Bucket, *, fps: float, seed: int, **draw: Any) -> TrainRecipe:
    """The training recipe of samples of one size: (frames, height, width). Raises UsageError for what cannot be."""
    table = {
        "data": {"buckets": [bucket], "fps": fps},
        "draw": draw,
        "run": {"seed": seed, "batch": 1, "minutes": 1.0},
    }
    return parse(TrainRecipe, table, where="ds.torch()")
