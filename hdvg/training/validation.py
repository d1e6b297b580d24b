"""The paired validation loss: how much better a network is at the same clips, noise and levels, and how sure that is.

Two networks, or one at two steps, are compared by the differences of their losses on the same held-out samples: what a
clip is like falls out of these, so far smaller changes show than in the losses themselves. What varies is which clips were
held out, so intervals resample clips (clusters), with all their windows and levels. Of fewer than `FEW` clips they resample
windows, and say so: such an interval speaks of these clips, at other moments, not of others.

Shapes: U windows, K clips, L noise levels.
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

Unit = tuple[str, int]
"""A clip and one of its windows."""
Row = tuple[str, int, float, float]
"""Clip, window, level in [0, 1), loss."""
FEW = 8
"""Clips from which others can be inferred."""
ROUNDS = 4000
BLOCK = 100
"""Rounds at once."""
NORMAL, STUDENT = 1.959964, (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)
"""97.5 % quantiles of the normal distribution, and of Student's with 1 to 10 degrees of freedom."""


@dataclass(frozen=True)
class Losses:
    """The loss of every held-out window at every level; windows and levels rise."""

    units: tuple[Unit, ...]
    levels: tuple[float, ...]
    values_UL: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Losses:
        """Rows in any order, the same result to the last bit. Raises ValueError if a window lacks a level, or there are none."""
        cells = {((clip_id, window), level): loss for clip_id, window, level, loss in rows}
        units = tuple(sorted({unit for unit, _ in cells}))
        levels = tuple(sorted({level for _, level in cells}))
        if not cells or len(cells) != len(units) * len(levels):
            raise ValueError(f"{len(cells)} losses are not those of {len(units)} windows at {len(levels)} levels each")
        return cls(units, levels, np.array([[cells[unit, level] for level in levels] for unit in units], np.float64))

    def by_level(self) -> dict[float, float]:
        """The mean loss at every level."""
        return dict(zip(self.levels, self.values_UL.mean(0).tolist(), strict=True))

    def to_json(self) -> str:
        """As a line of text that `from_json` reads, every bit kept."""
        return json.dumps({"windows": self.units, "levels": self.levels, "losses": self.values_UL.tolist()})

    @classmethod
    def from_json(cls, text: str) -> Losses:
        """What `to_json` wrote."""
        data = json.loads(text)
        units = tuple((clip_id, window) for clip_id, window in data["windows"])
        return cls(units, tuple(data["levels"]), np.array(data["losses"], np.float64))


@dataclass(frozen=True)
class Interval:
    """A mean, and between which bounds it lies in 95 of 100 sets of clips; None: one alone has no such bounds."""

    mean: float
    low: float | None
    high: float | None
    clips: int
    windows: int


@dataclass(frozen=True)
class Change(Interval):
    """How much losses grew, clip by clip; below zero is better."""

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of no change."""
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
            yield from zip(samples.clip_ids, samples.windows, samples.time_B.tolist(), loss_B.tolist(), strict=True)


def validate(
    denoise: Denoiser, diffusion: Diffusion, held: Sequence[Samples], *, device: torch.device | str = "cpu"
) -> Losses:
    """The losses of a network on what is held out; of one process that has all of it (else `measure`, and `Losses.of`)."""
    return Losses.of(measure(denoise, diffusion, held, device=device))


def paired(before: Losses, now: Losses, *, seed: int = 0, rounds: int = ROUNDS) -> Change:
    """How the loss changed. Raises ValueError if the two are not of the same windows and levels."""
    if (before.units, before.levels) != (now.units, now.levels):
        raise ValueError("these losses are of other clips or levels: nothing to pair")
    return Change(*_resampled(now.units, (now.values_UL - before.values_UL).mean(1), seed=seed, rounds=rounds))


def average(losses: Losses, *, seed: int = 0, rounds: int = ROUNDS) -> Interval:
    """The mean loss."""
    return Interval(*_resampled(losses.units, losses.values_UL.mean(1), seed=seed, rounds=rounds))


def _resampled(
    units: Sequence[Unit], value_U: NDArray[np.float64], *, seed: int, rounds: int
) -> tuple[float, float | None, float | None, int, int]:
    """Mean, bounds and counts: the percentile bootstrap (Efron 1979) over clips or windows, widened for few of them.

    Bootstrapped means of n clips spread √((n - 1) / n) too little and take the normal's quantile for Student's
    (Hesterberg, arXiv:1411.5279, section 4): with 5 clips a bare interval holds the truth in 84 of 100 cases. Both
    factors stretch it about the mean [ours]: the skewness of the percentiles stays.
    """
    clips, place_U = np.unique([clip_id for clip_id, _ in units], return_inverse=True)
    value_K = np.bincount(place_U, value_U) / np.bincount(place_U)
    values = value_K if len(clips) >= FEW else value_U
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return mean, None, None, len(clips), len(units)
    draw = np.random.Generator(np.random.Philox(key=seed))
    some = [values[draw.integers(count, size=(BLOCK, count))].mean(1) for _ in range(-(-rounds // BLOCK))]
    low, high = np.quantile(np.concatenate(some)[:rounds], (0.025, 0.975))
    stretch = student(count - 1) / NORMAL * (count / (count - 1)) ** 0.5
    bounds = float(mean + stretch * (low - mean)), float(mean + stretch * (high - mean))
    return mean, *bounds, len(clips), len(units)


def student(freedom: int) -> float:
    """The 97.5 % quantile of Student's distribution; beyond the table by Fisher's expansion, to 0.002."""
    if freedom <= len(STUDENT):
        return STUDENT[freedom - 1]
    return NORMAL + (NORMAL**3 + NORMAL) / (4 * freedom) + 2.82 / freedom**2
