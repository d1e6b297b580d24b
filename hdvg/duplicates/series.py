"""Clips as columns: their series of hashes one behind the other, so that millions are compared with a few array operations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

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

NEEDED = ("clip_id", "video_id", "duration_s", "phashes", "phashes_inner")


@dataclass(frozen=True)
class Clips:
    """n clips in the order of their ids; the hashes of clip i are whole[starts[i] : starts[i + 1]], two a second."""

    clip_id: pa.Array
    video_id: pa.Array
    duration_s: Reals
    starts: Ints
    whole: Hashes
    inner: Hashes

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
        duration_s = table["duration_s"].to_numpy().astype(np.float64)
        return cls(_one(table["clip_id"]), _one(table["video_id"]), duration_s, starts, whole, inner)

    def __len__(self) -> int:
        return len(self.clip_id)

    @property
    def lengths(self) -> Ints:
        """Hashes of each clip."""
        return np.diff(self.starts)

    @cached_property
    def video(self) -> Ints:
        """(n,): a number for each clip's video."""
        return np.asarray(self.video_id.dictionary_encode().indices, dtype=np.int64)

    def blocks(self) -> Iterator[tuple[slice, slice]]:
        """Some clips at a time, and where their hashes lie: of a million clips one array more of all hashes is 130 MB."""
        for low in range(0, len(self), BLOCK):
            high = min(low + BLOCK, len(self))
            yield slice(low, high), slice(int(self.starts[low]), int(self.starts[high]))

    @cached_property
    def steps(self) -> Reals:
        """(n,): mean bits between neighbouring hashes: how fast a clip changes, per half second; 0 for a single hash."""
        sums = np.zeros(len(self), np.int64)
        for clips, place in self.blocks():
            bits, starts, filled = turns(self.whole[place]), self.starts[clips] - place.start, self.lengths[clips] > 0
            bits[starts[filled]] = 0
            sums[clips] = _sums(bits, starts, filled)
        return np.asarray(sums / np.maximum(self.lengths - 1, 1), dtype=np.float64)

    @cached_property
    def spread(self) -> Reals:
        """(n,): mean bits between a clip's hashes and its middle one: how much it changes at all."""
        sums = np.zeros(len(self), np.int64)
        for clips, place in self.blocks():
            starts, lengths = self.starts[clips], self.lengths[clips]
            filled = lengths > 0
            middles = np.repeat(self.whole[(starts + lengths // 2)[filled]], lengths[filled])
            sums[clips] = _sums(np.bitwise_count(self.whole[place] ^ middles), starts - place.start, filled)
        return np.asarray(sums / np.maximum(self.lengths, 1), dtype=np.float64)


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


def concatenated(parts: Sequence[Clips]) -> Clips:
    """The clips of several, one behind the other."""
    ends = np.cumsum([0, *(part.starts[-1] for part in parts)])
    starts = [part.starts[:-1] + end for part, end in zip(parts, ends[:-1], strict=True)]
    return Clips(
        pa.concat_arrays([part.clip_id for part in parts]),
        pa.concat_arrays([part.video_id for part in parts]),
        np.concatenate([part.duration_s for part in parts]),
        np.concatenate([*starts, ends[-1:]]),
        np.concatenate([part.whole for part in parts]),
        np.concatenate([part.inner for part in parts]),
    )


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


def _one(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array; of one chunk it is that."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
