"""Clusters of embeddings: an order of clips whose every beginning is spread over all sorts of them, and what evens them out."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

FITTED = 50_000
"""Most embeddings that clusters are made from; the others join the nearest."""

CLUSTERS_MOST = 1024
A_GROUP = 8
"""Clusters of a group, on average."""
TURNS, MOVED = 30, 1e-4
"""k-means ends after so many turns, or when no centre moves further."""


Ints = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]


def clusters(first: Vectors, blocks: Iterable[Vectors], *, count: int) -> tuple[Ints, Ints]:
    """(N,): each clip's cluster, and the group of clusters that it is in; both numbered from 0, the largest first.

    `first` are embeddings (unit vectors) of some clips, at most `FITTED`, drawn without regard to what they show; `blocks` those
    of all `count`. About sqrt(N) clusters by k-means, and by k-means of their centres a group for every `A_GROUP`: k-means puts
    most of its clusters where most clips are, so that one kind of clip has many; of the second turn it is one or a few
    (Vo et al., arXiv:2405.15613, two levels).
    """
    if count == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    centres = _centres(first, min(max(round(count**0.5), 1), CLUSTERS_MOST))
    labels = np.concatenate([_nearest(block, centres) for block in blocks])
    groups = _nearest(centres, _centres(centres, max(round(len(centres) / A_GROUP), 1)))
    return _ranked(labels), _ranked(groups[labels])


def diverse_draw(draws: npt.NDArray[np.float64], labels: Ints) -> npt.NDArray[np.float64]:
    """(N,): each clip's place in the order, 0 <= x < 1. `draws` (N,) are in 0..1, `labels` the clips' clusters.

    The order takes the clip with the lowest draw of every cluster, then the second of every cluster, and so on: a beginning of
    it holds as much of a rare kind as of a common one, as far as there is. The same clips give the same order, whatever order
    they come in.
    """
    count = len(draws)
    if count == 0:
        return np.empty(0)
    by_cluster = np.lexsort((draws, labels))
    starts = np.searchsorted(labels[by_cluster], np.arange(labels.max() + 1))
    turn = np.empty(count, np.int64)
    turn[by_cluster] = np.arange(count) - starts[labels[by_cluster]]
    places = np.empty(count)
    places[np.lexsort((draws, turn))] = np.arange(count) / count
    return places


def _nearest(vectors: Vectors, centres: Vectors) -> Ints:
    return np.asarray(np.argmax(vectors @ centres.T - np.square(centres).sum(axis=1) / 2, axis=1), np.int64)


def _ranked(labels: Ints) -> Ints:
    """The labels numbered anew by how many there are of each, the most frequent 0."""
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return rank[place]


def _centres(sample: npt.NDArray[np.float32], wanted: int) -> npt.NDArray[np.float32]:
    """(wanted, D): the centres of the clusters of these embeddings."""
    if wanted == 1:
        return sample[:1]
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, TURNS, MOVED)
    sample = np.ascontiguousarray(sample, np.float32)
    found = cv2.kmeans(sample, wanted, None, criteria, 1, cv2.KMEANS_PP_CENTERS)[2]  # type: ignore[call-overload]  # None: no first labels
    return np.asarray(found, np.float32)
