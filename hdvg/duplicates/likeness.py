"""Likeness: how far two clips' series of hashes are apart where they overlap best, and whether that makes them copies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hdvg.duplicates.series import Ints, Reals, Series, distinct, ranges

BLOCK = 500_000
"""Pictures compared at once."""

UNLIKE = 12.0
"""Bits that count where one picture is flat and the other is not."""

CROPPED = 2.0
"""Bits more that count between a clip and a crop of it: one hash in place of two is less of a proof."""

PATH = 48.0
"""Bits that a clip must change by on its way for its motion to excuse bits in full: then its pictures are several proofs."""

ENOUGH = 8
"""Informative pictures more than the least after which it no longer matters how little of the longer clip overlaps."""

AT_ONCE = 200_000
"""Candidates looked into at once."""

SHIFTS = 512
"""More than there are shifts."""

EXACT_S = 1e-3


@dataclass(frozen=True)
class Settings:
    """What makes two clips copies of each other; bits are of 64, means over the pictures that overlap."""

    bits: float = 9.0
    """Bits that two still clips may differ by; unrelated pictures differ by 16 at least, 32 on average."""
    bits_moving: float = 0.6
    """Bits more for each bit that the stiller of the two changes by in half a second: no copy is sampled at the same instants."""
    bits_most: float = 16.0
    overlap: float = 0.5
    """Least share of the shorter clip that overlaps."""
    pictures: int = 3
    """Least pictures that overlap; a clip that has fewer must overlap whole."""
    bits_few: float = 5.0
    """Bits that may differ where no more pictures than that are informative and at most half of the longer clip overlaps."""
    informative: float = 0.25
    """Least share of the overlap that is not flat; flat pictures (black, fades, title grounds) prove nothing."""
    within_video: float = 1 / 3
    """Two clips of one video: bits over the bits that both change by in their course; a standing camera makes no copies."""
    cosine: float = 0.8
    """Least cosine of the embeddings, where both clips have one."""
    semantic: float | None = None
    """Least cosine by which clips of different videos are copies whatever their hashes say; None: they are not."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of clips with the shift at which they are most alike: picture k of a is picture k + shift of b."""

    a: Ints
    b: Ints
    shift: Ints
    bits: Reals
    informative: Ints
    """Pictures of the overlap that are not flat."""
    share: Reals
    """How much of the longer clip overlaps."""
    exact: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.a)

    def __getitem__(self, chosen: npt.NDArray[np.bool_] | Ints) -> Pairs:
        return Pairs(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def none() -> Pairs:
    """No pairs."""
    empty = np.empty(0, np.int64)
    return Pairs(empty, empty, empty, np.empty(0), empty, np.empty(0), np.empty(0, np.bool_))


def joint(parts: Sequence[Pairs]) -> Pairs:
    """The pairs of all, one behind the other."""
    return Pairs(*(np.concatenate([getattr(part, name) for part in parts]) for name in Pairs.__dataclass_fields__))


def copies(clips: Series, a: Ints, b: Ints, shift: Ints, *, settings: Settings) -> Pairs:
    """Those of the candidates that are copies, each pair once, sorted by (a, b); the candidates are sorted so too."""
    starts = np.flatnonzero(np.diff(a, prepend=-1))  # a clip's candidates stay together
    cuts = [0, *starts[np.flatnonzero(np.diff(starts // AT_ONCE)) + 1].tolist(), len(a)]
    parts = [slice(*ends) for ends in pairwise(cuts)]
    return joint([_copies(clips, a[part], b[part], shift[part], settings) for part in parts])


def _copies(clips: Series, a: Ints, b: Ints, shift: Ints, settings: Settings) -> Pairs:
    pairs = compared(clips, *_shifts(clips, a, b, shift), settings=settings)
    pairs = pairs[pairs.bits <= _limit(clips, pairs, settings)]
    order = np.lexsort((pairs.shift, np.abs(pairs.shift), pairs.bits, pairs.b, pairs.a))
    pairs = pairs[order]
    first = np.ones(len(pairs), np.bool_)
    first[1:] = (pairs.a[1:] != pairs.a[:-1]) | (pairs.b[1:] != pairs.b[:-1])
    return pairs[first]


def compared(clips: Series, a: Ints, b: Ints, shift: Ints, *, settings: Settings) -> Pairs:
    """The candidates that overlap enough, with the bits by which they differ there."""
    low = np.maximum(-shift, 0)
    length = np.minimum(clips.lengths(a), clips.lengths(b) - shift) - low
    shorter = np.minimum(clips.lengths(a), clips.lengths(b))
    enough = length >= np.maximum(settings.overlap * shorter, np.clip(shorter, 1, settings.pictures))
    a, b, shift, low, length = (some[enough] for some in (a, b, shift, low, length))
    bits, informative = np.empty(len(a)), np.empty(len(a), np.int64)
    for part in _blocks(length):
        starts_a, starts_b = clips.starts[a[part]] + low[part], clips.starts[b[part]] + low[part] + shift[part]
        bits[part], informative[part] = _bits(clips, starts_a, starts_b, length[part])
    exact = (shift == 0) & (bits == 0) & (length == clips.lengths(a)) & (length == clips.lengths(b))
    exact &= np.abs(clips.duration_s[a] - clips.duration_s[b]) < EXACT_S
    share = length / np.maximum(clips.lengths(a), clips.lengths(b))
    return Pairs(a, b, shift, bits, informative, share, exact)[
        informative >= np.maximum(settings.informative * length, 1)
    ]


def _bits(clips: Series, starts_a: Ints, starts_b: Ints, length: Ints) -> tuple[Reals, Ints]:
    """Mean bits of each pair, and how many of its pictures are informative (not flat).

    Either whole and inner hashes against their like, or, for a crop, one clip's whole against the other's inner ones.
    """
    at_a, at_b = ranges(starts_a, length), ranges(starts_b, length)
    edges = np.cumsum(length) - length
    whole_a, inner_a, whole_b, inner_b = clips.whole[at_a], clips.inner[at_a], clips.whole[at_b], clips.inner[at_b]
    like = (np.bitwise_count(whole_a ^ whole_b) + np.bitwise_count(inner_a ^ inner_b)) / 2
    ways = [(like, whole_a, whole_b)]
    ways.append((np.bitwise_count(whole_a ^ inner_b) + CROPPED, whole_a, inner_b))
    ways.append((np.bitwise_count(inner_a ^ whole_b) + CROPPED, inner_a, whole_b))
    best, informative = np.full(len(length), np.inf), np.zeros(len(length), np.int64)
    for bits, one, other in ways:
        flat, both = (one == 0) | (other == 0), (one == 0) & (other == 0)
        unlike = np.where(flat, np.where(both, 0.0, UNLIKE), bits)
        counted = np.add.reduceat((~both).astype(np.int64), edges)
        mean = np.add.reduceat(unlike, edges) / np.maximum(counted, 1)
        better = mean < best
        best = np.where(better, mean, best)
        informative = np.where(better, np.add.reduceat((~flat).astype(np.int64), edges), informative)
    return best, informative


def _shifts(clips: Series, a: Ints, b: Ints, shift: Ints) -> tuple[Ints, Ints, Ints]:
    """Candidates with the shifts worth trying: those found, those that join both starts or both ends, and their neighbours."""
    low = a.min(initial=len(clips))
    first, second = np.divmod(distinct((a - low) * len(clips) + b), len(clips))
    ends = clips.lengths(second) - clips.lengths(first + low)
    all_a, all_b = np.concatenate([a - low, first, first]), np.concatenate([b, second, second])
    shifts = np.concatenate([shift, np.zeros_like(ends), ends])
    near = [(all_a * len(clips) + all_b) * SHIFTS + shifts + step + SHIFTS // 2 for step in (-1, 0, 1)]
    tried, place = np.divmod(distinct(np.concatenate(near)), SHIFTS)
    one, other = np.divmod(tried, len(clips))
    return one + low, other, place - SHIFTS // 2


def _limit(clips: Series, pairs: Pairs, settings: Settings) -> Reals:
    """The bits up to which each pair is a copy."""
    steps, spread = clips.steps, clips.spread
    stiller = np.minimum(steps[pairs.a], steps[pairs.b])
    excused = settings.bits_moving * stiller * np.minimum(stiller * (pairs.informative - 1) / PATH, 1)
    short = np.clip(1 - (pairs.informative - settings.pictures) / ENOUGH, 0, 1)
    least = settings.bits - (settings.bits - settings.bits_few) * short * np.minimum(2 * (1 - pairs.share), 1)
    limit = np.minimum(least + excused, settings.bits_most)
    few = (pairs.informative < settings.pictures) & (pairs.share < 1)
    limit = np.where(few, settings.bits_few, limit)
    course = settings.within_video * np.minimum(spread[pairs.a], spread[pairs.b])
    course[course == 0] = -1
    limit = np.where(clips.video[pairs.a] == clips.video[pairs.b], np.minimum(limit, course), limit)
    return np.asarray(limit, dtype=np.float64)


def _blocks(length: Ints) -> Iterator[slice]:
    """Slices of pairs with about `BLOCK` pictures each."""
    ends = np.cumsum(length)
    start = 0
    while start < len(length):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + BLOCK, side="right")), start + 1)
        yield slice(start, stop)
        start = stop
