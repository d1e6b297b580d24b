"""The paired validation loss: how much better a network is at the same clips, noise and levels, and how sure that is.

Two networks, or one at two steps, are told apart by the differences of their losses on the same held-out samples: what a
clip is like falls out of these, so far smaller changes show than in the losses themselves. What varies is which clips were
held out, so intervals resample clips (clusters), with all their windows and levels.

Shapes: K clips, L noise levels.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hdvg.model.diffusion import Denoiser, Diffusion
from hdvg.training.samples import Samples

Row = tuple[str, float, float]
"""Clip, level in [0, 1), loss."""
ROUNDS = 4000
BLOCK = 100
"""Rounds at once."""
NORMAL, STUDENT = 1.959964, (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)
"""97.5 % quantiles of the normal distribution, and of Student's with 1 to 10 degrees of freedom."""


@dataclass(frozen=True)
class Losses:
    """The loss of every clip at every level, averaged over its windows; clips and levels rise."""

    clip_ids: tuple[str, ...]
    levels: tuple[float, ...]
    values_KL: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Losses:
        """Rows in any order, the same result to the last bit. Raises ValueError if a clip lacks a level, or there are none."""
        cells: dict[tuple[str, float], list[float]] = {}
        for clip_id, level, loss in sorted(rows):
            cells.setdefault((clip_id, level), []).append(loss)
        clips = tuple(sorted({clip for clip, _ in cells}))
        levels = tuple(sorted({level for _, level in cells}))
        if not cells or len(cells) != len(clips) * len(levels):
            raise ValueError(f"{len(cells)} losses are not those of {len(clips)} clips at {len(levels)} levels each")
        values = [[np.mean(cells[clip, level]) for level in levels] for clip in clips]
        return cls(clips, levels, np.array(values, np.float64))

    def by_level(self) -> dict[float, float]:
        """The mean loss at every level."""
        return dict(zip(self.levels, self.values_KL.mean(0).tolist(), strict=True))

    def to_json(self) -> str:
        """As a line of text that `from_json` reads, every bit kept."""
        return json.dumps({"clips": self.clip_ids, "levels": self.levels, "losses": self.values_KL.tolist()})

    @classmethod
    def from_json(cls, text: str) -> Losses:
        """What `to_json` wrote."""
        told = json.loads(text)
        return cls(tuple(told["clips"]), tuple(told["levels"]), np.array(told["losses"], np.float64))


@dataclass(frozen=True)
class Interval:
    """A mean over clips, and between which bounds it lies in 95 of 100 sets of clips; None: one clip has no such bounds."""

    mean: float
    low: float | None
    high: float | None
    clips: int

    @property
    def said(self) -> str:
        """In words."""
        if self.low is None or self.high is None:
            return f"{self.mean:.4g} (one clip: no interval)"
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]"


@dataclass(frozen=True)
class Change(Interval):
    """How much losses grew, clip by clip; below zero is better."""

    @property
    def excludes_zero(self) -> bool:
        """Whether it is told apart from no change."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def measure(
    denoise: Denoiser, diffusion: Diffusion, held: Sequence[Samples], *, device: torch.device | str = "cpu"
) -> Iterator[Row]:
    """The loss that is trained on, of every sample; squares and means in float64, so that batches hardly matter."""
    with torch.no_grad():
        for samples in held:
            time_B = diffusion.times(samples.time_B).to(device)
            x0, noise, text = (one.to(device) for one in (samples.latents_BCTHW, samples.noise_BCTHW, samples.text_BLX))
            said = denoise(diffusion.noisy(x0, noise, time_B), time_B, text)
            errors = (said.double() - diffusion.target(x0, noise, time_B).double()).square()
            loss_B = errors.flatten(1).mean(1) * diffusion.weights(time_B).double()
            yield from zip(samples.clip_ids, samples.time_B.tolist(), loss_B.tolist(), strict=True)


def validate(
    denoise: Denoiser, diffusion: Diffusion, held: Sequence[Samples], *, device: torch.device | str = "cpu"
) -> Losses:
    """The losses of a network on what is held out; of one process that has all of it (else `measure`, and `Losses.of`)."""
    return Losses.of(measure(denoise, diffusion, held, device=device))


def paired(before: Losses, now: Losses, *, seed: int = 0, rounds: int = ROUNDS) -> Change:
    """How the loss changed. Raises ValueError if the two are not of the same clips and levels."""
    if (before.clip_ids, before.levels) != (now.clip_ids, now.levels):
        raise ValueError("these losses are of other clips or levels: nothing to pair")
    return Change(*_resampled((now.values_KL - before.values_KL).mean(1), seed=seed, rounds=rounds))


def average(losses: Losses, *, seed: int = 0, rounds: int = ROUNDS) -> Interval:
    """The mean loss."""
    return Interval(*_resampled(losses.values_KL.mean(1), seed=seed, rounds=rounds))


def _resampled(
    value_K: NDArray[np.float64], *, seed: int, rounds: int
) -> tuple[float, float | None, float | None, int]:
    """Mean, bounds and count: the percentile bootstrap (Efron 1979) over clips, widened for few of them.

    Bootstrapped means of n clips spread √((n - 1) / n) too little and take the normal's quantile for Student's
    (Hesterberg, arXiv:1411.5279, section 4): with 5 clips a bare interval holds the truth in 84 of 100 cases. Both
    factors stretch it about the mean [ours]: the skewness of the percentiles stays.
    """
    mean, count = float(value_K.mean()), len(value_K)
    if count < 2:
        return mean, None, None, count
    draw = np.random.Generator(np.random.Philox(key=seed))
    some = [value_K[draw.integers(count, size=(BLOCK, count))].mean(1) for _ in range(-(-rounds // BLOCK))]
    low, high = np.quantile(np.concatenate(some)[:rounds], (0.025, 0.975))
    stretch = student(count - 1) / NORMAL * (count / (count - 1)) ** 0.5
    return mean, float(mean + stretch * (low - mean)), float(mean + stretch * (high - mean)), count


def student(freedom: int) -> float:
    """The 97.5 % quantile of Student's distribution; beyond the table by Fisher's expansion, to 0.002."""
    if freedom <= len(STUDENT):
        return STUDENT[freedom - 1]
    return NORMAL + (NORMAL**3 + NORMAL) / (4 * freedom) + 2.82 / freedom**2
