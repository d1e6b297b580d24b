"""Clips as columns: their series of hashes one behind the other, so that millions are compared with a few array operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hdvg.measures.phash import MOST

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]

NEEDED = ("clip_id", "video_id", "duration_s", "phashes", "phashes_inner")


@dataclass(frozen=True)
class Clips:
    """n clips in the order of their ids; the hashes of clip i are whole[starts[i] : starts[i + 1]], two a second."""

    clip_id: npt.NDArray[np.object_]
    video: npt.NDArray[np.object_]
    duration_s: Reals
    starts: Ints
    whole: Hashes
    inner: Hashes
    embedding: npt.NDArray[np.float32] | None
    """(n, d), of length 1, or zeros where there is none."""

    @classmethod
    def of(cls, table: pa.Table) -> Clips:
        """The clips of a table with the columns `NEEDED` and perhaps `embedding`, sorted by clip_id.

        Raises ValueError if a clip_id stands there twice, or a clip's series differ in length or have over 128 hashes.
        """
        table = table.sort_by("clip_id").combine_chunks()
        names = table["clip_id"].to_numpy()
        if len(names) > 1 and (names[1:] == names[:-1]).any():
            raise ValueError("a clip_id stands in the table twice")
        starts, whole = _lists(table["phashes"])
        inner_starts, inner = _lists(table["phashes_inner"])
        if not np.array_equal(starts, inner_starts):
            raise ValueError("phashes and phashes_inner differ in length")
        if np.diff(starts).max(initial=0) > MOST:
            raise ValueError(f"a clip has more than {MOST} hashes")
        duration_s = table["duration_s"].to_numpy().astype(np.float64)
        embedding = _vectors(table["embedding"]) if "embedding" in table.column_names else None
        return cls(names, table["video_id"].to_numpy(), duration_s, starts, whole, inner, embedding)

    def __len__(self) -> int:
        return len(self.clip_id)

    @property
    def lengths(self) -> Ints:
        """Hashes of each clip."""
        return np.diff(self.starts)

    @property
    def owners(self) -> Ints:
        """(m,): the clip of each hash."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def steps(self) -> Reals:
        """(n,): mean bits between neighbouring hashes: how fast a clip changes, per half second; 0 for a single hash."""
        bits = np.bitwise_count(self.whole[1:] ^ self.whole[:-1]).astype(np.float64)
        owners = self.owners
        alike = owners[1:] == owners[:-1]
        sums = np.bincount(owners[1:][alike], bits[alike], minlength=len(self))
        return np.asarray(sums / np.maximum(self.lengths - 1, 1), dtype=np.float64)

    @cached_property
    def spread(self) -> Reals:
        """(n,): mean bits between a clip's hashes and its middle one: how much it changes at all."""
        if not len(self.whole):
            return np.zeros(len(self))
        owners = self.owners
        middles = self.whole[(self.starts[:-1] + self.lengths // 2)[owners]]
        sums = np.bincount(owners, np.bitwise_count(self.whole ^ middles), minlength=len(self))
        return np.asarray(sums / np.maximum(self.lengths, 1), dtype=np.float64)


def concatenated(parts: Sequence[Clips]) -> Clips:
    """The clips of several, one behind the other; embeddings only if all have some of one length."""
    sizes = {None if part.embedding is None else part.embedding.shape[1] for part in parts}
    ends = np.cumsum([0, *(part.starts[-1] for part in parts)])
    starts = [part.starts[:-1] + end for part, end in zip(parts, ends[:-1], strict=True)]
    return Clips(
        np.concatenate([part.clip_id for part in parts]),
        np.concatenate([part.video for part in parts]),
        np.concatenate([part.duration_s for part in parts]),
        np.concatenate([*starts, ends[-1:]]),
        np.concatenate([part.whole for part in parts]),
        np.concatenate([part.inner for part in parts]),
        np.concatenate([part.embedding for part in parts if part.embedding is not None])
        if len(sizes) == 1 and None not in sizes
        else None,
    )


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
    lists = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    lengths = np.array(lists.value_lengths().fill_null(0), dtype=np.int64)
    return np.concatenate([[0], np.cumsum(lengths)]), np.array(lists.flatten(), dtype=np.uint64)


def _vectors(column: pa.ChunkedArray) -> npt.NDArray[np.float32] | None:
    """(n, d) of length 1, zeros for null; None if all are null. Raises ValueError if lengths differ."""
    rows = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.list_(pa.float32()))
    known = np.array(rows.is_valid())
    flat = np.array(rows.flatten(), dtype=np.float32)
    if not known.any():
        return None
    if len(flat) % known.sum():
        raise ValueError("embeddings differ in length")
    vectors = np.zeros((len(rows), len(flat) // known.sum()), np.float32)
    vectors[known] = flat.reshape(known.sum(), -1)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), dtype=np.float32)
