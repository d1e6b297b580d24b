"""An order of clips whose every beginning is spread over all sorts of clips: clusters of embeddings, taken in turns."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

FITTED = 50_000
"""Most embeddings that clusters are made from; the others join the nearest."""

CLUSTERS_MOST = 1024
TURNS, MOVED = 30, 1e-4
"""k-means ends after so many turns, or when no centre moves further."""


def diverse_draw(
    draws: npt.NDArray[np.float64], first: npt.NDArray[np.float32], blocks: Iterable[npt.NDArray[np.float32]]
) -> npt.NDArray[np.float64]:
    """(N,): each clip's place in the order, 0 <= x < 1. `draws` (N,) are in 0..1; embeddings are unit vectors.

    `first` are the embeddings of the clips with the lowest draws, in that order, `FITTED` at most; `blocks` all N, in the order
    of `draws`. There are about sqrt(N) clusters (k-means); the order takes the clip with the lowest draw of every cluster,
    then the second of every cluster, and so on: a beginning of it holds as much of a rare kind as of a common one, as far
    as there is. The same clips give the same order, whatever order they come in.
    """
    count = len(draws)
    if count == 0:
        return np.empty(0)
    centres = _centres(first, min(max(round(count**0.5), 1), CLUSTERS_MOST))
    half_norms = np.square(centres).sum(axis=1) / 2
    labels = np.concatenate([np.argmax(block @ centres.T - half_norms, axis=1) for block in blocks])
    by_cluster = np.lexsort((draws, labels))
    starts = np.searchsorted(labels[by_cluster], np.arange(labels.max() + 1))
    turn = np.empty(count, np.int64)
    turn[by_cluster] = np.arange(count) - starts[labels[by_cluster]]
    places = np.empty(count)
    places[np.lexsort((draws, turn))] = np.arange(count) / count
    return places


def _centres(sample: npt.NDArray[np.float32], wanted: int) -> npt.NDArray[np.float32]:
    """(wanted, D): the centres of the clusters of these embeddings."""
    if wanted == 1:
        return sample[:1]
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, TURNS, MOVED)
    sample = np.ascontiguousarray(sample, np.float32)
    found = cv2.kmeans(sample, wanted, None, criteria, 1, cv2.KMEANS_PP_CENTERS)[2]  # type: ignore[call-overload]  # None: no first labels
    return np.asarray(found, np.float32)
