"""Groups of clips by predicted error, and how many questions each gets: half by its size, half the same for all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Counts = NDArray[np.int64]

MOST = 5
"""Groups of a rate."""
DOUBT = 1.5e-4
"""Added to each prediction over the mean one: the fewer errors are expected, the less it is believed which clips have none."""
CEILING = 0.97
EXPECTED = 0.05
"""The share of errors that is expected where nothing is known."""
STEEP = 8
"""How much more errors are expected at one end of a rank than at the other: their share is a power of the place."""


def by_rank(nearness: Values) -> Values:
    """A predicted share of errors, 0-1, for each clip: the larger the number, the more; its mean is about `EXPECTED`.

    NaN, of a clip that lacks the number, counts as the mean. Only the order of the clips matters; the level is set by the answers.
    """
    predicted = np.full(len(nearness), EXPECTED)
    known = np.flatnonzero(~np.isnan(nearness))
    if len(known) > 1 and np.ptp(nearness[known]) > 0:
        _, place, count = np.unique(nearness[known], return_inverse=True, return_counts=True)
        middle = (np.cumsum(count) - count / 2) / len(known)
        predicted[known] = EXPECTED * (STEEP + 1) * middle[place] ** STEEP
    return predicted


def stratify(predicted: Values, most: int = MOST) -> Counts:
    """The group of each clip, numbered from 0 without gaps, at most `most`: groups of alike predicted spread of the errors, so
    that few clips of much doubt are a group of their own. One group where all predictions are equal."""
    if len(predicted) < most or np.ptp(predicted) == 0:
        return np.zeros(len(predicted), np.int64)
    order = np.argsort(predicted, kind="stable")
    believed = np.clip(predicted[order] + DOUBT / max(float(predicted.mean()), 1e-6), 0, CEILING)
    spread = np.cumsum(np.sqrt(believed * (1 - believed)))
    ranked = np.minimum((spread / spread[-1] * most * (1 - 1e-12)).astype(np.int64), most - 1)
    group = np.empty_like(ranked)
    group[order] = np.unique(ranked, return_inverse=True)[1]
    made: Counts = group
    return made


def allocate(sizes: Counts, clicks: int) -> Counts:
    """How many clips of each group are asked about, at least one of each and never more than it has."""
    wanted = clicks * (sizes / sizes.sum() + 1 / len(sizes)) / 2
    counts: Counts = np.clip(np.floor(wanted).astype(np.int64), 1, sizes)
    for group in np.argsort(np.floor(wanted) - wanted, kind="stable"):  # the largest remainders first
        if counts.sum() < clicks and counts[group] < sizes[group]:
            counts[group] += 1
    while counts.sum() < min(clicks, sizes.sum()):  # what small groups cannot give
        counts[np.argmax(np.where(counts < sizes, wanted - counts, -np.inf))] += 1
    return counts


def proportional(sizes: Counts, asked: Counts, turn: float) -> Counts:
    """How many answers of each group make up the largest sample in which every clip is as likely as any other.

    `turn`, 0-1 and drawn before the answers, decides how shares of a clip are rounded: by systematic sampling, so that on
    average no group gets more than its due.
    """
    share = sizes / sizes.sum()
    most = int(np.floor((asked / share).min()))
    for total in range(most, 0, -1):
        ends = np.floor(np.concatenate([[0.0], np.cumsum(share * total)]) + turn)
        counts = np.diff(ends).astype(np.int64)
        if (np.ceil(share * total) <= asked).all() or total == 1:
            return np.minimum(counts, asked)
    return np.zeros_like(asked)
