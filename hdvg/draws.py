"""The order in which a trainer sees samples, and what is random about each, computed from numbers alone: nothing is kept.

A *position* counts samples over all steps of a run. Where it leads depends on the seed and the sizes of the datasets, not
on workers, processes, micro-batches or what was trained before: any step can be replayed, and a run that was killed goes
on from one integer.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.random import Generator

ROUNDS = 6
"""Of the Feistel network; Luby and Rackoff (1988): four make a permutation that no efficient test can distinguish from random."""

BLOCK = 1000
"""Positions over which datasets are mixed by their weights, to one sample."""


GOLDEN = 618_033_988_749_894_848, 10**18
"""By which share of the whole an epoch's draws by shares begin later than those of the epoch before: the golden ratio spreads them
most evenly, however many epochs there are."""


@dataclass(frozen=True)
class Source:
    """A dataset of `count` samples, drawn in proportion to `weight`."""

    count: int
    weight: float = 1.0
    shares: tuple[int, ...] = ()
    """How often each sample is drawn, in proportion; without them each once an epoch. An epoch has `count` draws either way."""


@dataclass(frozen=True)
class Place:
    """Where a position leads: which source, which of its samples, how often it was gone through before, and which draw of
    the sample in this epoch it is, from 0."""

    source: int
    sample: int
    epoch: int
    turn: int = 0


@dataclass(frozen=True)
class Order:
    """The samples of the sources by position, each source in a new random order every epoch.

    With shares a sample of w times the mean is drawn w times an epoch, rounded down or up, in the long run exactly: its draws are
    the points of an even grid that fall into its share (systematic sampling, Madow 1949), and the grid moves every epoch.

    Raises ValueError if a source is empty, a weight or share is not positive, or shares are not as many as samples.
    """

    seed: int
    sources: tuple[Source, ...]

    def __post_init__(self) -> None:
        if not self.sources or any(source.count < 1 or not source.weight > 0 for source in self.sources):
            raise ValueError(f"an order is over sources that have samples and a positive weight, not {self.sources}")
        for source in self.sources:
            if source.shares and (len(source.shares) != source.count or min(source.shares) < 1):
                raise ValueError(f"{len(source.shares)} shares of {source.count} samples: each has one, at least 1")

    def at(self, position: int) -> Place:
        """The sample at a position, from 0. A source begins an epoch when the one before is through."""
        block, place = divmod(position, BLOCK)
        source, number = (0, position) if len(self.sources) == 1 else _mixed(self.seed, self._shares, block)[place]
        count = self.sources[source].count
        epoch, index = divmod(number, count)
        draw = permuted(index, count=count, key=_epoch_key(self.seed, source, epoch))
        if not self.sources[source].shares:
            return Place(source, draw, epoch)
        sums, offset = self._sums[source], self._offset(source, epoch)
        sample = bisect_right(sums, (draw * sums[-1] + offset) // count)
        return Place(source, sample, epoch, draw - self._draws(source, sample, offset)[0])

    def places(self, source: int, sample: int, *, until: int) -> list[tuple[int, int]]:
        """(position, epoch) of every time before position `until` that a sample is seen, in order; `at` turned around."""
        count, seen, epoch = self.sources[source].count, [], 0
        while self._position(source, epoch * count, until=until) < until:
            draws = range(sample, sample + 1)
            if self.sources[source].shares:
                draws = self._draws(source, sample, self._offset(source, epoch))
            key = _epoch_key(self.seed, source, epoch)
            for index in sorted(unpermuted(draw, count=count, key=key) for draw in draws):
                position = self._position(source, epoch * count + index, until=until)
                if position < until:
                    seen.append((position, epoch))
            epoch += 1
        return seen

    def _draws(self, source: int, sample: int, offset: int) -> range:
        """The draws of an epoch that are of a sample: those whose point of the grid lies in its share."""
        sums, count = self._sums[source], self.sources[source].count
        ends = sums[sample - 1] if sample else 0, sums[sample]
        first, end = (-((offset - place * count) // sums[-1]) for place in ends)
        return range(max(first, 0), min(end, count))

    def _offset(self, source: int, epoch: int) -> int:
        """How far the grid of an epoch is moved, below the sum of the shares."""
        total = self._sums[source][-1]
        first = int.from_bytes(_key(self.seed, "shares", source)[:8], "little")
        return (first + epoch * (total * GOLDEN[0] // GOLDEN[1])) % total

    @cached_property
    def _sums(self) -> list[list[int]]:
        """Of each source, where the share of each of its samples ends."""
        return [list(accumulate(source.shares)) for source in self.sources]

    def _position(self, source: int, number: int, *, until: int) -> int:
        """Where a source's sample number `number` over all epochs stands, or `until` if that is not before it."""
        if len(self.sources) == 1:
            return number
        blocks = range(-(-until // BLOCK))
        block = bisect_right(blocks, number, key=lambda block: _drawn(self._shares, (block + 1) * BLOCK)[source])
        if block == len(blocks):
            return until
        return block * BLOCK + _mixed(self.seed, self._shares, block).index((source, number))

    @cached_property
    def _shares(self) -> tuple[tuple[int, int], ...]:
        """Of each source, its share of what the sources before it leave, as a fraction; the last one's is 1."""
        weights = [Fraction(source.weight) for source in self.sources]
        return tuple((weight / sum(weights[place:])).as_integer_ratio() for place, weight in enumerate(weights))


def _drawn(shares: tuple[tuple[int, int], ...], positions: int) -> list[int]:
    """How many of the first positions are each source's. None ever falls as positions grow, so that no sample is lost."""
    counts = []
    for over, under in shares:
        counts.append(positions * over // under)
        positions -= counts[-1]
    return counts


@lru_cache(maxsize=8)
def _mixed(seed: int, shares: tuple[tuple[int, int], ...], block: int) -> list[tuple[int, int]]:
    """For each place of a block, the source, and how many of its samples came before in the whole order."""
    before, after = _drawn(shares, block * BLOCK), _drawn(shares, (block + 1) * BLOCK)
    dealt = [source for source in range(len(before)) for _ in range(before[source], after[source])]
    key = _key(seed, "mix", block)
    mixed = []
    for place in range(BLOCK):
        source = dealt[permuted(place, count=BLOCK, key=key)]
        mixed.append((source, before[source]))
        before[source] += 1
    return mixed


def permuted(index: int, *, count: int, key: bytes) -> int:
    """Where a random permutation of range(count), which depends on the key alone, sends the index.

    A Feistel network over the next power of four, walked along its cycle until it is back in range (Black and Rogaway 2002).
    """
    half, mask = _halves(count)
    while True:
        left, right = index >> half, index & mask
        for fresh in _rounds(key):
            left, right = right, left ^ (_round(fresh, right) & mask)
        index = left << half | right
        if index < count:
            return index


def unpermuted(index: int, *, count: int, key: bytes) -> int:
    """What `permuted` sends to the index."""
    half, mask = _halves(count)
    while True:
        left, right = index >> half, index & mask
        for fresh in reversed(_rounds(key)):
            left, right = right ^ (_round(fresh, left) & mask), left
        index = left << half | right
        if index < count:
            return index


def _halves(count: int) -> tuple[int, int]:
    """Bits of half an index, and their mask."""
    half = max((count - 1).bit_length() + 1, 2) // 2
    return half, (1 << half) - 1


Fresh = Callable[[], Any]


@lru_cache(maxsize=64)
def _rounds(key: bytes) -> tuple[Fresh, ...]:
    """For each round, what gives a hash that has taken the key: 1.8 times as fast as keying every hash."""
    return tuple(hashlib.blake2b(digest_size=8, key=key, salt=bytes([number])).copy for number in range(ROUNDS))


def _round(fresh: Fresh, half: int) -> int:
    """A round's function of half an index."""
    taken = fresh()
    taken.update(half.to_bytes(8, "little"))
    return int.from_bytes(taken.digest(), "little")


def uniform(seed: int, sample: str, *, epoch: int, purpose: str) -> float:
    """One random number in [0, 1), as `chance` is keyed but ten times as fast: 24 bits, so that float32 holds it exactly.

    (A number of 53 bits can become 1 in float32.)
    """
    return int.from_bytes(_key(seed, "uniform", purpose, sample, epoch)[:3], "little") / (1 << 24)


def chance(seed: int, sample: str, *, epoch: int, purpose: str) -> Generator:
    """Random numbers for one sample in one epoch and for one purpose (noise, time, caption, crop, ...), always the same."""
    import numpy as np

    return np.random.Generator(np.random.Philox(key=int.from_bytes(_key(seed, purpose, sample, epoch)[:16], "little")))


@lru_cache(maxsize=64)
def _epoch_key(seed: int, source: int, epoch: int) -> bytes:
    return _key(seed, "order", source, epoch)


def _key(*parts: object) -> bytes:
    """32 bytes that no other parts give."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=32).digest()
