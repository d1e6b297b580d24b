"""Any step's samples from stored latents: they depend on the step alone, whatever was trained before.

What is random about a sample is keyed by (seed, clip_id, epoch, purpose), and where an epoch draws a clip again by which time
this is. A purpose whose outcome is certain draws nothing.

Shapes: B samples, C latent channels, T frames, H, W of the latent, L states of a text, X their width.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hdvg.draws import Order, Place, Source, chance, uniform
from hdvg.ids import digest
from hdvg.latents.encoders import has_posterior
from hdvg.training.provenance import Record, SourceRecord
from hdvg.training.samples import Samples, Seat
from hdvg.training.settings import TrainRecipe
from hdvg.training.sources import Clip, Member, agree, hold_out
from hdvg.training.traits import tilted

Shape = tuple[int, int, int, int]
EMPTY = -1
"""The row of the empty text."""
NOISE = "noise"
"""The purpose of a training sample's noise; those of held-out samples begin with `held`."""
WINDOWS_MOST = 4
"""Of a held-out clip."""
HELD_SEED = 0
"""Of the held-out samples' noise: the same for every seed of a run, so that runs of several seeds can be paired."""


class Drawn(NamedTuple):
    """A sample before it is read: number `number` of a member's clips; `key` is the seed and the purpose of its noise, `name` the
    clip in the keys of all that is random about it."""

    member: int
    number: int
    clip: Clip
    name: str
    epoch: int
    shape: Shape
    window: int
    frame: int | None
    text: int
    time: float
    key: tuple[int, str]


class DataFeed:
    """The `Feed` over stored latents.

    Raises UsageError if there is nothing to train on, or the members do not go together.
    """

    def __init__(self, members: Sequence[Member], recipe: TrainRecipe) -> None:
        agree(members)
        self.members = tuple(members)
        self.recipe = recipe
        self.held_out = hold_out(members, recipe.validation.clips)
        self._trained = [
            np.setdiff1d(np.arange(len(member.latents.clips)), held)
            for member, held in zip(members, self.held_out.clips, strict=True)
        ]
        sources = (
            Source(len(own), one.weight, one.traits.shares(own, recipe.draw) if one.traits else ())
            for own, one in zip(self._trained, members, strict=True)
        )
        self.order = Order(recipe.run.seed, tuple(sources))
        self._tilts = [
            one.traits.tilts(own, recipe.draw) if one.traits else None
            for own, one in zip(self._trained, members, strict=True)
        ]
        self._both = recipe.data.keeps == "both" and has_posterior(recipe.data, Path(members[0].name))
        self._scratch = threading.local()

    def step(self, step: int, *, seat: Seat = Seat()) -> list[Samples]:  # noqa: B008
        """See `Feed`. A step's samples stand sorted by shape, and each seat takes an equal run of them."""
        pieces = self._pieces(self.drawn(step, seat=seat))
        return [self._read(piece) for piece in pieces]

    def drawn(self, step: int, *, seat: Seat = Seat()) -> list[Drawn]:  # noqa: B008
        """What `step` reads, in its order."""
        batch = self.recipe.run.batch
        places = [self._shaped(self.order.at(position)) for position in range(step * batch, (step + 1) * batch)]
        places.sort(key=lambda one: one[0])
        return [
            self._drawn(*one) for one in places[batch * seat.rank // seat.world : batch * (seat.rank + 1) // seat.world]
        ]

    def held(self) -> list[Samples]:
        """The held-out samples: every clip × window × level, with the likeliest text and evenly spaced times.

        Of each clip as many windows as make `validation.clips` windows in all, at least one and at most four, spread
        evenly; of a posterior the mean.
        """
        levels = self.recipe.validation.levels
        count = sum(map(len, self.held_out.clips))
        most = min(max(self.recipe.validation.clips // max(count, 1), 1), WINDOWS_MOST)
        drawn = []
        for place, member in enumerate(self.members):
            for number in self.held_out.clips[place]:
                clip = member.latents.clips[number]
                text = max(clip.texts, key=lambda text: text[1], default=(EMPTY, 1.0))[0]
                fields = (place, number, clip, clip.clip_id, 0, clip.shape)
                for turn in range(min(most, clip.windows)):
                    window = turn * clip.windows // min(most, clip.windows)
                    drawn += [
                        Drawn(
                            *fields, window, None, text, (level + 0.5) / levels, (HELD_SEED, f"held {window} {level}")
                        )
                        for level in range(levels)
                    ]
        return [self._read(piece) for piece in self._pieces(sorted(drawn, key=lambda one: one.shape))]

    def record(self) -> Record:
        """Which clips this run trains on and which it holds out."""
        sources = []
        for place, member in enumerate(self.members):
            latents, ids = member.latents, member.latents.clips.names("clip_id")
            tilts = self._tilts[place]
            sources.append(
                SourceRecord(
                    name=member.name,
                    weight=member.weight,
                    wanted=latents.wanted,
                    digest=latents.digest if tilts is None else digest(latents.digest, tilts.tolist()),
                    trained=tuple(ids[number] for number in self._trained[place]),
                    held=tuple(ids[number] for number in self.held_out.clips[place]),
                    shares=self.order.sources[place].shares,
                )
            )
        return Record(self.recipe, self.held_out.by, tuple(sources))

    def said(self) -> list[str]:
        """A line for each member whose clips are not drawn alike."""
        return [
            f"{member.name}: {member.traits.said(own, source.shares)}"
            for member, own, source in zip(self.members, self._trained, self.order.sources, strict=True)
            if member.traits and source.shares
        ]

    def fill(self, one: Drawn, latents_THWC: Tensor, text_LX: Tensor) -> None:
        """Read a sample into float32 tensors."""
        latents = self.members[one.member].latents
        T, H, W, C = one.clip.shape
        stored = self._buffer("latents", (T, H, W, C * (1 + self._both)))
        latents.read(one.number, one.window, stored)
        stored_THWC = torch.from_numpy(stored if one.frame is None else stored[one.frame, None])
        latents_THWC.copy_(stored_THWC[..., :C])
        if self._both and one.key[1] == NOISE:
            spread_THWC = (stored_THWC[..., C:].float() / 2).exp()
            normal = chance(one.key[0], one.name, epoch=one.epoch, purpose="posterior")
            latents_THWC += spread_THWC * torch.from_numpy(normal.standard_normal(one.shape, dtype=np.float32))
        text = self._buffer("text", latents.text_shape)
        latents.read_text(one.text, text)
        text_LX.copy_(torch.from_numpy(text))

    def _shaped(self, place: Place) -> tuple[Shape, Place, int, Clip, str]:
        """The clip at a place, its name for the keys, and the sample's shape: an image is one frame."""
        number = int(self._trained[place.source][place.sample])
        clip = self.members[place.source].latents.clips[number]
        name = f"{clip.clip_id} {place.turn}" if place.turn else clip.clip_id
        images = self.recipe.draw.images
        T, H, W, C = clip.shape
        if T > 1 and images and self._uniform(name, place.epoch, "image") < images:
            T = 1
        return (T, H, W, C), place, number, clip, name

    def _drawn(self, shape: Shape, place: Place, number: int, clip: Clip, name: str) -> Drawn:
        """All that is random about a sample but its noise."""
        epoch, drop, window, frame, text = place.epoch, self.recipe.draw.drop_text, 0, None, EMPTY
        if clip.windows > 1:
            window = int(self._uniform(name, epoch, "window") * clip.windows)
        if shape != clip.shape:
            frame = int(self._uniform(name, epoch, "frame") * clip.shape[0])
        if not drop or self._uniform(name, epoch, "drop text") >= drop:
            text = self._text(clip, name, epoch)
        time = self._time(place.source, number, name, epoch)
        key = (self.recipe.run.seed, NOISE)
        return Drawn(place.source, number, clip, name, epoch, shape, window, frame, text, time, key)

    def _text(self, clip: Clip, name: str, epoch: int) -> int:
        """One of the texts by weight."""
        texts = clip.texts
        if len(texts) < 2:
            return texts[0][0] if texts else EMPTY
        sums = list(accumulate(weight for _, weight in texts))
        place = bisect_right(sums, self._uniform(name, epoch, "caption") * sums[-1])
        return texts[min(place, len(texts) - 1)][0]

    def _time(self, member: int, number: int, name: str, epoch: int) -> float:
        """Uniform, or tilted; the times of `flow` run from high noise to low noise."""
        tilts, time = self._tilts[member], self._uniform(name, epoch, "time")
        if tilts is None:
            return time
        return tilted(time, int(tilts[number]) * (-1 if self.recipe.process.predicts == "flow" else 1))

    def _uniform(self, name: str, epoch: int, purpose: str) -> float:
        return uniform(self.recipe.run.seed, name, epoch=epoch, purpose=purpose)

    def _pieces(self, drawn: list[Drawn]) -> Iterator[list[Drawn]]:
        """Runs of one shape, at most a micro-batch long."""
        most = self.recipe.run.micro_batch or self.recipe.run.batch
        for _, same in groupby(drawn, key=lambda one: one.shape):
            run = list(same)
            yield from (run[start : start + most] for start in range(0, len(run), most))

    def _read(self, drawn: list[Drawn]) -> Samples:
        """Samples of one shape. Latents and noise lie in memory as (B, T, H, W, C), as the network wants them."""
        size = (len(drawn), *drawn[0].shape)
        latents_BTHWC = torch.empty(size)
        noise_BTHWC = np.empty(size, np.float32)
        text_BLX = torch.empty((len(drawn), *self.members[0].latents.text_shape))
        for place, one in enumerate(drawn):
            self.fill(one, latents_BTHWC[place], text_BLX[place])
            seed, purpose = one.key
            chance(seed, one.name, epoch=one.epoch, purpose=purpose).standard_normal(
                dtype=np.float32, out=noise_BTHWC[place]
            )
        return Samples(
            clip_ids=tuple(one.clip.clip_id for one in drawn),
            windows=tuple(one.window for one in drawn),
            epochs=tuple(one.epoch for one in drawn),
            latents_BCTHW=latents_BTHWC.permute(0, 4, 1, 2, 3),
            noise_BCTHW=torch.from_numpy(noise_BTHWC).permute(0, 4, 1, 2, 3),
            time_B=torch.tensor([one.time for one in drawn]),
            text_BLX=text_BLX,
        )

    def _buffer(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float16]:
        """Room for one sample as it is stored, of this thread."""
        held: NDArray[np.float16] | None = getattr(self._scratch, name, None)
        if held is None or held.shape != shape:
            held = np.empty(shape, np.float16)
            setattr(self._scratch, name, held)
        return held
