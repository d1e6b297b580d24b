"""Embeddings of likely copies, looked up for these alone: a million clips' would be more than all their hashes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hdvg.duplicates.likeness import Pairs
from hdvg.duplicates.series import Clips, distinct

Embeddings = Callable[[pa.Array], pa.Array]
"""The embeddings (lists of numbers, null where there is none) of the clips of these ids, in their order."""

BLOCK = 20_000
"""Pairs looked into at once."""


def unlike(clips: Clips, pairs: Pairs, embeddings: Embeddings, least: float) -> npt.NDArray[np.bool_]:
    """(p,): the pairs of which both clips have an embedding, with a cosine below `least`.

    Raises ValueError if embeddings differ in length.
    """
    found = np.zeros(len(pairs), np.bool_)
    for start in range(0, len(pairs), BLOCK):
        part = pairs[np.arange(start, min(start + BLOCK, len(pairs)))]
        asked = distinct(np.concatenate([part.a, part.b]))
        vectors = unit_vectors(embeddings(clips.clip_id.take(pa.array(asked))))
        if vectors is not None:
            one, other = (vectors[np.searchsorted(asked, some)] for some in (part.a, part.b))
            known = one.any(axis=1) & other.any(axis=1)
            found[start : start + BLOCK] = known & (np.einsum("nd,nd->n", one, other) < least)
    return found


def unit_vectors(rows: pa.Array) -> npt.NDArray[np.float32] | None:
    """(n, d) of length 1, zeros for null; None if all are null. Raises ValueError if lengths differ."""
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
