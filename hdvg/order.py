"""The order in which a trainer sees samples, and what is random about each, told from numbers alone: nothing is kept.

A *position* counts samples over all steps of a run. Where it leads depends on the seed and the sizes of the datasets, not
on workers, processes, micro-batches or what was trained before: any step can be replayed, and a run that was killed goes
on from one integer.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.random import Generator

ROUNDS = 6
"""Of the Feistel network; Luby and Rackoff (1988): four make a permutation that cannot be told from a random one."""

BLOCK = 1000
"""Positions over which datasets are mixed by their weights, to one sample."""


@dataclass(frozen=True)
class Source:
    """A dataset of `count` samples, drawn in proportion to `weight`."""

    count: int
    weight: float = 1.0


@dataclass(frozen=True)
class Place:
    """Where a position leads: which source, which of its samples, and how often it was gone through before."""

    source: int
    sample: int
    epoch: int


@dataclass(frozen=True)
class Order:
    """The samples of the sources by position, each source in a new random order every epoch.

    Raises ValueError if a source is empty or a weight is not positive.
    """

    seed: int
    sources: tuple[Source, ...]

    def __post_init__(self) -> None:
        if not self.sources or any(source.count < 1 or not source.weight > 0 for source in self.sources):
            raise ValueError(f"an order is over sources that have samples and a positive weight, not {self.sources}")

    def at(self, position: int) -> Place:
        """The sample at a position, from 0. A source begins an epoch when the one before is through."""
        block, place = divmod(position, BLOCK)
        source, number = _mixed(self.seed, self._shares, block)[place]
        count = self.sources[source].count
        epoch, index = divmod(number, count)
        return Place(source, permuted(index, count=count, key=_key(self.seed, "order", source, epoch)), epoch)

    @cached_property
    def _shares(self) -> tuple[Fraction, ...]:
        """Shares of the first 0, 1, 2, ... sources, exact; the last one is 1."""
        weights = [Fraction(source.weight) for source in self.sources]
        return tuple(sum(weights[:end], Fraction(0)) / sum(weights) for end in range(len(weights) + 1))


@lru_cache(maxsize=8)
def _mixed(seed: int, shares: tuple[Fraction, ...], block: int) -> list[tuple[int, int]]:
    """For each place of a block, the source, and how many of its samples came before in the whole order."""

    def drawn(source: int, positions: int) -> int:
        return math.floor(shares[source + 1] * positions) - math.floor(shares[source] * positions)

    before = [drawn(source, block * BLOCK) for source in range(len(shares) - 1)]
    after = [drawn(source, (block + 1) * BLOCK) for source in range(len(shares) - 1)]
    dealt = [source for source in range(len(before)) for _ in range(before[source], after[source])]
    key = _key(seed, "mix", block)
    mixed = []
    for place in range(BLOCK):
        source = dealt[permuted(place, count=BLOCK, key=key)]
        mixed.append((source, before[source]))
        before[source] += 1
    return mixed


def permuted(index: int, *, count: int, key: bytes) -> int:
    """Where a random permutation of range(count), told by the key alone, sends the index.

    A Feistel network over the next power of four, walked along its cycle until it is back in range (Black and Rogaway 2002).
    """
    half = max((count - 1).bit_length() + 1, 2) // 2
    mask = (1 << half) - 1
    while True:
        left, right = index >> half, index & mask
        for number in range(ROUNDS):
            told = hashlib.blake2b(right.to_bytes(8, "little"), digest_size=8, key=key, salt=bytes([number])).digest()
            left, right = right, left ^ (int.from_bytes(told, "little") & mask)
        index = left << half | right
        if index < count:
            return index


def chance(seed: int, sample: str, *, epoch: int, purpose: str) -> Generator:
    """Random numbers for one sample in one epoch and for one purpose (noise, time, caption, crop, ...), always the same."""
    import numpy as np

    return np.random.Generator(np.random.Philox(key=int.from_bytes(_key(seed, purpose, sample, epoch)[:16], "little")))


def _key(*parts: object) -> bytes:
    """32 bytes that no other parts give."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=32).digest()
