"""Clips as columns: their series of hashes one behind the other, so that millions are compared with a few array operations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hdvg.measures.phash import MOST

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]

BLOCK = 100_000
"""Clips looked at at once."""

REPEAT_BITS = 2
EVERY = 4
"""A picture that differs by at most 2 bits from the one before is looked up only every 2 s."""

NEEDED = ("clip_id", "video_id", "duration_s", "phashes", "phashes_inner")


@dataclass(frozen=True)
class Series:
    """n clips in the order of their ids, as numbers alone; the hashes of clip i are whole[starts[i] : starts[i + 1]], two a second."""

    starts: Ints
    whole: Hashes
    inner: Hashes
    duration_s: Reals
    video: Ints
    """(n,): a number for each clip's video."""
    steps: Reals
    """(n,): mean bits between neighbouring hashes: how fast a clip changes, per half second; 0 for a single hash."""
    spread: Reals
    """(n,): mean bits between a clip's hashes and its middle one: how much it changes at all."""
    telling: npt.NDArray[np.bool_]
    """Of each picture, whether it is looked up: it is not flat, and not as the one before."""
    owner: npt.NDArray[np.uint32]
    """Of each picture, its clip."""

    @classmethod
    def of(cls, starts: Ints, whole: Hashes, inner: Hashes, *, duration_s: Reals, video: Ints) -> Series:
        """With what follows from the hashes."""
        count = len(starts) - 1
        steps, spread, telling = np.zeros(count), np.zeros(count), np.zeros(len(whole), np.bool_)
        for clips, place in blocks(starts):
            own, hashes = starts[clips.start : clips.stop + 1] - place.start, whole[place]
            steps[clips], spread[clips] = _steps(hashes, own), _spread(hashes, own)
            telling[place] = _telling(hashes, inner[place], own)
        owner = np.repeat(np.arange(count, dtype=np.uint32), np.diff(starts))
        return cls(starts, whole, inner, duration_s, video, steps, spread, telling, owner)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def lengths(self, clips: Ints) -> Ints:
        """Hashes of each of these clips."""
        return self.starts[clips + 1] - self.starts[clips]

    def save(self, folder: Path) -> None:
        """Write it into the folder."""
        for name in self.__dataclass_fields__:
            np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def load(cls, folder: Path) -> Series:
        """What was saved there; read from the files as it is used."""
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in cls.__dataclass_fields__))


@dataclass(frozen=True)
class Clips:
    """Series with the names of their clips and videos."""

    clip_id: pa.Array
    video_id: pa.Array
    series: Series

    @classmethod
    def of(cls, table: pa.Table) -> Clips:
        """The clips of a table with the columns `NEEDED`, sorted by clip_id; one that is sorted is not copied.

        Raises ValueError if a clip_id stands there twice, or a clip's series differ in length or have over 128 hashes.
        """
        table = in_order(table)
        starts, whole = _lists(table["phashes"])
        inner_starts, inner = _lists(table["phashes_inner"])
        if not np.array_equal(starts, inner_starts):
            raise ValueError("phashes and phashes_inner differ in length")
        if np.diff(starts).max(initial=0) > MOST:
            raise ValueError(f"a clip has more than {MOST} hashes")
        duration_s, video_id = table["duration_s"].to_numpy().astype(np.float64), _one(table["video_id"])
        series = Series.of(starts, whole, inner, duration_s=duration_s, video=_numbers(video_id))
        return cls(_one(table["clip_id"]), video_id, series)

    def __len__(self) -> int:
        return len(self.clip_id)


def blocks(starts: Ints) -> Iterator[tuple[slice, slice]]:
    """Some clips at a time, and where their hashes lie: of a million clips one array more of all hashes is 130 MB."""
    count = len(starts) - 1
    for low in range(0, count, BLOCK):
        high = min(low + BLOCK, count)
        yield slice(low, high), slice(int(starts[low]), int(starts[high]))


def _steps(hashes: Hashes, starts: Ints) -> Reals:
    lengths = np.diff(starts)
    filled = lengths > 0
    bits = turns(hashes)
    bits[starts[:-1][filled]] = 0
    return np.asarray(_sums(bits, starts[:-1], filled) / np.maximum(lengths - 1, 1), dtype=np.float64)


def _spread(hashes: Hashes, starts: Ints) -> Reals:
    lengths = np.diff(starts)
    filled = lengths > 0
    middles = np.repeat(hashes[(starts[:-1] + lengths // 2)[filled]], lengths[filled])
    bits = np.bitwise_count(hashes ^ middles)
    return np.asarray(_sums(bits, starts[:-1], filled) / np.maximum(lengths, 1), dtype=np.float64)


def _telling(whole: Hashes, inner: Hashes, starts: Ints) -> npt.NDArray[np.bool_]:
    moment = np.arange(len(whole)) - np.repeat(starts[:-1], np.diff(starts))
    chosen: npt.NDArray[np.bool_] = (whole != 0) & (inner != 0) & ((turns(whole) > REPEAT_BITS) | (moment % EVERY == 0))
    return chosen


def turns(hashes: Hashes) -> npt.NDArray[np.uint8]:
    """(n,): bits between each hash and the one before, 0 for the first."""
    bits = np.zeros(len(hashes), np.uint8)
    bits[1:] = np.bitwise_count(hashes[1:] ^ hashes[:-1])
    return bits


def _sums(bits: npt.NDArray[np.uint8], starts: Ints, filled: npt.NDArray[np.bool_]) -> Ints:
    """(n,): sums over each clip's bits, which begin at `starts`; 0 for clips that are not `filled`."""
    sums = np.zeros(len(starts), np.int64)
    if filled.any():
        sums[filled] = np.add.reduceat(bits, starts[filled], dtype=np.int64)
    return sums


def concatenated(one: Clips, other: Clips) -> Clips:
    """The clips of both, one behind the other."""
    video_id, (a, b) = pa.concat_arrays([one.video_id, other.video_id]), (one.series, other.series)
    names = ("whole", "inner", "duration_s", "steps", "spread", "telling")
    told = {name: np.concatenate([getattr(a, name), getattr(b, name)]) for name in names}
    starts = np.concatenate([a.starts, b.starts[1:] + a.starts[-1]])
    owner = np.concatenate([a.owner, b.owner + np.uint32(len(a))])
    series = Series(starts=starts, video=_numbers(video_id), owner=owner, **told)
    return Clips(pa.concat_arrays([one.clip_id, other.clip_id]), video_id, series)


def in_order(table: pa.Table) -> pa.Table:
    """The table sorted by clip_id, itself if it is. Raises ValueError if a clip_id stands there twice."""
    if not _rises(table["clip_id"]):
        table = table.sort_by("clip_id")
        if not _rises(table["clip_id"]):
            raise ValueError("a clip_id stands in the table twice")
    return table


def _rises(names: pa.ChunkedArray) -> bool:
    return len(names) < 2 or bool(pc.all(pc.less(names[:-1], names[1:])).as_py())


def ranges(starts: Ints, lengths: Ints) -> Ints:
    """The numbers starts[i] ... starts[i] + lengths[i] - 1 for all i, one behind the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)


def distinct(values: Ints) -> Ints:
    """The values, each once, sorted; numpy's own takes several times as long for millions."""
    values = np.sort(values)
    first = np.ones(len(values), np.bool_)
    first[1:] = values[1:] != values[:-1]
    return values[first]


def _lists(column: pa.ChunkedArray) -> tuple[Ints, Hashes]:
    """Offsets (n + 1) and values of a column of lists; a null is an empty list."""
    lists = _one(column)
    lengths = np.array(lists.value_lengths().fill_null(0), dtype=np.int64)
    return np.concatenate([[0], np.cumsum(lengths)]), np.asarray(lists.flatten()).astype(np.uint64, copy=False)


def _numbers(names: pa.Array) -> Ints:
    """(n,): equal numbers for equal names."""
    return np.asarray(names.dictionary_encode().indices, dtype=np.int64)


def _one(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array; of one chunk it is that."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
