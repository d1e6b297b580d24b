"""A rate and its interval from the answers in each group: stratified, with variances shrunk to predictions, exact where errors are few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hdvg.audit.bounds import exact, wilson
from hdvg.audit.strata import Counts, Values, proportional

FEW = 8
"""Errors (or answers that are none) below which the interval is exact."""
WEIGHT = 2.0
"""Answers that a prediction counts as, where the variance of a group is estimated."""
BLIND = 0.3
"""Share of the errors that the prediction is taken to say nothing of."""
UNSEEN = 0.16
"""Errors that each group is taken to have beside those that were seen, and answers that are none: for the variance alone."""


@dataclass(frozen=True)
class Strata:
    """The groups of one rate: sizes in clips, and the mean predicted share of errors of each."""

    sizes: Counts
    predicted: Values

    @property
    def share(self) -> Values:
        """Of all clips."""
        shares: Values = self.sizes / self.sizes.sum()
        return shares


@dataclass(frozen=True)
class Estimates:
    """Rates of many audits of the same groups, an element each, and how the interval of each was made."""

    share: Values
    low: Values
    high: Values
    is_exact: NDArray[np.bool_]


How = Literal["stratified", "exact", "all", "anytime"]


def estimate(strata: Strata, asked: Counts, found: Counts, found_in_part: Counts, part: Counts) -> Estimates:
    """The share of errors among all clips of the groups.

    `asked`: answers of each group. `found`, of shape (audits, groups): errors among them. `part`: how many of them, the first
    ones, make up the proportional part, and `found_in_part` the errors among those.
    """
    seen = found / asked
    share = (strata.share * seen).sum(-1)
    low, high = wilson(share, _size(strata, asked, found, share))
    total = found.sum(-1)
    few = (total < FEW) | (asked.sum() - total < FEW)
    if asked.sum() == strata.sizes.sum():
        return Estimates(share, share, share, np.zeros(len(share), bool))
    clips, drawn = int(strata.sizes.sum()), int(part.sum())
    counts = found_in_part.sum(-1)
    bounds = {int(count): exact(int(count), drawn, clips) for count in np.unique(counts[few])}
    for count, (lower, upper) in bounds.items():
        here = few & (counts == count)
        low, high = np.where(here, lower, low), np.where(here, upper, high)
    return Estimates(share, low, high, few)


def _size(strata: Strata, asked: Counts, found: Counts, share: Values) -> Values:
    """The effective sample size: of the plain sample whose share would vary as much as this one."""
    weighted = strata.share
    mean = max(float((weighted * strata.predicted).sum()), 1e-9)
    expected = share[:, None] * ((1 - BLIND) * strata.predicted / mean + BLIND)
    shrunk = (found + WEIGHT * np.clip(expected, 1e-4, 0.9) + UNSEEN) / (asked + WEIGHT + 2 * UNSEEN)
    left = 1 - asked / strata.sizes
    variance = (weighted**2 * shrunk * (1 - shrunk) / asked * left).sum(-1)
    level = np.clip((weighted * shrunk).sum(-1), 1e-6, 1 - 1e-6)
    with np.errstate(divide="ignore"):
        size: Values = level * (1 - level) / variance
    return size


def one(strata: Strata, answers: list[list[bool]], turn: float) -> tuple[float, float, float, How]:
    """Share, lower and upper end of one audit, and how they were made; `answers`: of each group, in order, whether it was an
    error. At least one of each group; see `proportional` for `turn`."""
    asked = np.array([len(group) for group in answers], np.int64)
    part = proportional(strata.sizes, asked, turn)
    found = np.array([[sum(group) for group in answers]], np.int64)
    within = np.array([[sum(group[:count]) for group, count in zip(answers, part, strict=True)]], np.int64)
    made = estimate(strata, asked, found, within, part)
    how: How = "all" if asked.sum() == strata.sizes.sum() else "exact" if made.is_exact[0] else "stratified"
    share, low, high = float(made.share[0]), float(made.low[0]), float(made.high[0])
    return share, min(low, share) if how == "exact" else low, max(high, share) if how == "exact" else high, how
