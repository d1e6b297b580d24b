"""Intervals of shares: Wilson at any sample size, exact ones of small counts, and one that holds however long one looks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import exp, lgamma, log
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

LEVEL = 0.95
"""How often an interval is to hold the truth."""
Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
TAIL = (1 - LEVEL) / 2
GRID = 1001
"""Shares that the anytime interval is made of, 0 to 1."""


def wilson(share: Values, size: Values) -> tuple[Values, Values]:
    """The interval of a share that was seen in so many answers; `size` may be any number above 0, infinity too."""
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = Z * Z / np.asarray(size, np.float64)
        middle = (share + spread / 2) / (1 + spread)
        half = np.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


@cache
def exact(found: int, asked: int, clips: int) -> tuple[float, float]:
    """The exact interval (Clopper-Pearson, of a finite population) of the share of errors among `clips`, of which `asked`
    were drawn without replacement and `found` were errors; `found` is small, for its tails are summed."""
    if asked == clips:
        return found / clips, found / clips
    if 2 * found > asked:
        low, high = exact(asked - found, asked, clips)
        return 1 - high, 1 - low
    low = found
    if found:  # the fewest errors with which so many are not too rare
        low = _least(found, clips, lambda errors: 1 - _at_most(found - 1, asked, errors, clips) > TAIL)
    high = _least(low, clips, lambda errors: _at_most(found, asked, errors + 1, clips) <= TAIL)
    return low / clips, min(high, clips - asked + found) / clips


def _least(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The least whole number of low..high for which it holds, if it holds from there on; `high` if for none."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _at_most(found: int, asked: int, errors: int, clips: int) -> float:
    """Probability that `asked` clips hold so many errors at most, of `errors` among `clips`."""
    first = max(0, asked - (clips - errors))
    total = _chosen(clips, asked)
    terms = range(first, min(found, errors, asked) + 1)
    return min(sum(exp(_chosen(errors, k) + _chosen(clips - errors, asked - k) - total) for k in terms), 1.0)


def _chosen(total: int, some: int) -> float:
    """Logarithm of the number of choices of `some` out of `total`."""
    return lgamma(total + 1) - lgamma(some + 1) - lgamma(total - some + 1)


def binomial_tail(found: int, asked: int, share: float) -> float:
    """Probability of so few errors, or fewer, in `asked` answers if errors had that share, 0 < share < 1."""
    terms = (_chosen(asked, k) + k * log(share) + (asked - k) * log(1 - share) for k in range(found + 1))
    return min(sum(map(exp, terms)), 1.0)


def anytime(values: Values, most: float) -> tuple[float, float]:
    """An interval of the mean of values drawn one by one, each 0 to `most`, that holds at every length at once (betting
    confidence sequence, Waudby-Smith and Ramdas 2024): one may stop when it is narrow enough.

    `values` in the order in which they were drawn. (0, most) of none.
    """
    scaled = np.asarray(values, np.float64) / most
    means = np.linspace(0, 1, GRID)
    with np.errstate(divide="ignore"):
        over, under = np.zeros(GRID), np.zeros(GRID)
        inside = np.ones(GRID, bool)
        for value, bet in zip(scaled, _bets(scaled), strict=True):
            over += np.log1p(np.minimum(bet, 0.75 / np.maximum(means, 1e-9)) * (value - means))
            under += np.log1p(-np.minimum(bet, 0.75 / np.maximum(1 - means, 1e-9)) * (value - means))
            inside &= np.maximum(over, under) < log(2 / (1 - LEVEL))
    held = np.flatnonzero(inside)
    if not len(held):
        return 0.0, most
    step = 1 / (GRID - 1)
    return float(max(means[held[0]] - step, 0) * most), float(min(means[held[-1]] + step, 1) * most)


def _bets(values: Values) -> Values:
    """How much is staked on each value, from those before it alone."""
    count = np.arange(1, len(values) + 1)
    squares = (values - (0.5 + np.cumsum(values)) / (count + 1)) ** 2
    variance = (0.25 + np.concatenate([[0.0], np.cumsum(squares)[:-1]])) / count
    stakes: Values = np.sqrt(2 * log(2 / (1 - LEVEL)) / (variance * count * np.log(count + 1)))
    return stakes
