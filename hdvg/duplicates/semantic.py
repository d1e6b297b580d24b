"""Near-copies above the hashes' reach, such as mirrored ones: clips of different videos whose embeddings are nearly the same.

Candidates share all bits of a key, signs of random projections (Charikar 2002), in one of several tables: which near-copies are found
is a matter of chance, of those that are much alike nearly all. Embeddings lie in a file, of which a few thousand are in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from tempfile import TemporaryFile

import numpy as np
import numpy.typing as npt

from hdvg.duplicates.cosines import BLOCK, Embeddings, unit_vectors
from hdvg.duplicates.likeness import Pairs, none
from hdvg.duplicates.series import Clips, Ints

TABLES, BITS_MOST = 16, 12
A_BUCKET = 512
"""Clips of a bucket, about."""
AT_ONCE = 2048
"""Clips compared with as many at once."""
NEAREST = 4
"""Of these a clip keeps the nearest: a picture that a hundred thousand clips are like makes no billions of pairs."""

Vectors = npt.NDArray[np.float16]


def near(clips: Clips, embeddings: Embeddings, least: float) -> Pairs:
    """Pairs of clips of different videos with a cosine of at least `least`, sorted; their `bits` are NaN."""
    with TemporaryFile() as file:
        place, vectors = _stored(clips, embeddings, file)
        codes = [np.empty(0, np.int64)]
        for bucket in _buckets(vectors):
            for one, other in _alike(vectors, bucket, least):
                low, high = place[np.minimum(one, other)], place[np.maximum(one, other)]
                apart = clips.series.video[low] != clips.series.video[high]
                codes.append(np.unique((low * len(clips) + high)[apart]))
    found = np.unique(np.concatenate(codes))
    if not len(found):
        return none()
    a, b = np.divmod(found, len(clips))
    zeros = np.zeros(len(found), np.int64)
    return Pairs(a, b, zeros, np.full(len(found), np.nan), zeros, np.zeros(len(found)), np.zeros(len(found), np.bool_))


def _stored(clips: Clips, embeddings: Embeddings, file: object) -> tuple[Ints, Vectors]:
    """The places of the clips that have an embedding, and these, of length 1, mapped from the file."""
    places, width = [np.empty(0, np.int64)], 1
    for start in range(0, len(clips), BLOCK):
        vectors = unit_vectors(embeddings(clips.clip_id.slice(start, BLOCK)))
        if vectors is not None:
            known = np.flatnonzero(vectors.any(axis=1))
            vectors[known].astype(np.float16).tofile(file)  # type: ignore[arg-type]  # a file on disk
            places.append(start + known)
            width = vectors.shape[1]
    place = np.concatenate(places)
    if not len(place):
        return place, np.empty((0, width), np.float16)
    return place, np.memmap(file, np.float16, "r", shape=(len(place), width))  # type: ignore[call-overload]  # likewise


def _buckets(vectors: Vectors) -> Iterator[Ints]:
    """Rows that share a key, bucket by bucket, table by table."""
    bits = min(max(math.ceil(math.log2(max(len(vectors), 1) / A_BUCKET)), 0), BITS_MOST)
    random = np.random.default_rng(20240303)
    middle = np.asarray(vectors[:BLOCK], np.float32).mean(axis=0) if len(vectors) else 0
    for _ in range(TABLES if bits else 1):
        planes = random.standard_normal((vectors.shape[1], bits)).astype(np.float32)
        keys = [
            ((np.asarray(vectors[start : start + BLOCK], np.float32) - middle) @ planes > 0) @ (1 << np.arange(bits))
            for start in range(0, len(vectors), BLOCK)
        ]
        key = np.concatenate([np.empty(0, np.int64), *keys])
        order = np.argsort(key, kind="stable")
        yield from np.split(order, np.flatnonzero(np.diff(key[order])) + 1)


def _alike(vectors: Vectors, rows: Ints, least: float) -> Iterator[tuple[Ints, Ints]]:
    """Pairs of the rows with such a cosine: of each row the nearest of every block."""
    for start in range(0, len(rows), AT_ONCE):
        ours = rows[start : start + AT_ONCE]
        mine = np.asarray(vectors[ours], np.float32)
        for at in range(start, len(rows), AT_ONCE):
            theirs = rows[at : at + AT_ONCE]
            cosines = mine @ np.asarray(vectors[theirs], np.float32).T
            cosines[ours[:, None] == theirs] = -2
            nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :NEAREST]
            one, rank = np.nonzero(np.take_along_axis(cosines, nearest, axis=1) >= least)
            yield ours[one], theirs[nearest[one, rank]]
