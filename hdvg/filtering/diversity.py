"""An order of clips whose every beginning is spread over all sorts of clips: clusters of embeddings, taken in turns."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

FITTED = 50_000
"""Most embeddings that clusters are made from; the others join the nearest."""

CLUSTERS_MOST = 1024
BLOCK = 65_536
TURNS, MOVED = 30, 1e-4
"""k-means ends after so many turns, or when no centre moves further."""


def diverse_draw(embeddings: npt.NDArray[np.float32], draws: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N,): each clip's place in the order, 0 <= x < 1. `embeddings` (N, D) are unit vectors, `draws` (N,) in 0..1.

    There are about sqrt(N) clusters (k-means); the order takes the clip with the lowest draw of every cluster, then
    the second of every cluster, and so on: a beginning of it holds as much of a rare kind as of a common one, as far as
    there is. The same clips give the same order, whatever order they come in.
    """
    count = len(embeddings)
    if count == 0:
        return np.empty(0)
    order = np.argsort(draws, kind="stable")
    labels = np.empty(count, np.int64)
    labels[order] = _clusters(embeddings[order])
    by_cluster = np.lexsort((draws, labels))
    starts = np.searchsorted(labels[by_cluster], np.arange(labels.max() + 1))
    turn = np.empty(count, np.int64)
    turn[by_cluster] = np.arange(count) - starts[labels[by_cluster]]
    places = np.empty(count)
    places[np.lexsort((draws, turn))] = np.arange(count) / count
    return places


def _clusters(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """(N,): the cluster of each embedding."""
    wanted = min(max(round(len(embeddings) ** 0.5), 1), CLUSTERS_MOST)
    if wanted == 1:
        return np.zeros(len(embeddings), np.int64)
    sample = np.ascontiguousarray(embeddings[:FITTED], np.float32)
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, TURNS, MOVED)
    centres = cv2.kmeans(sample, wanted, None, criteria, 1, cv2.KMEANS_PP_CENTERS)[2]  # type: ignore[call-overload]  # None: no first labels
    half_norms = np.square(centres).sum(axis=1) / 2
    blocks = [embeddings[start : start + BLOCK] for start in range(0, len(embeddings), BLOCK)]
    return np.concatenate([np.argmax(block @ centres.T - half_norms, axis=1) for block in blocks])
