"""How often clips should be drawn so that kinds of which there are few count more, by the sizes of their clusters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

STRENGTH, MOST = 0.5, 4.0
"""What is stored in a dataset: by the root of the size, and no clip more than four times an epoch: up to there a repetition taught
language models about as much as new data (Muennighoff et al., arXiv:2305.16264); for videos it is not known."""

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]


def weights(cluster: Ints, group: Ints, *, strength: float = STRENGTH, most: float = MOST) -> Reals:
    """(N,): how often to draw each clip, 1 on average, `most` at most; a clip without a cluster (-1) counts 1.

    A group of n clips counts n^(1 - strength), a cluster of it likewise beside the other clusters of the group: with strength 0 each
    clip counts 1, with 1 all groups count the same, and in each of them all its clusters: the hierarchical sampling of Vo et al.,
    arXiv:2405.15613, section 3.3, made softer by a power as word2vec's (arXiv:1310.4546). `most` is at least 1.
    """
    found = np.ones(len(cluster))
    known = cluster >= 0
    if not known.any():
        return found
    _, one, own, in_cluster = np.unique(cluster[known], return_index=True, return_inverse=True, return_counts=True)
    _, home, in_group = np.unique(group[known], return_inverse=True, return_counts=True)
    mean = in_group / np.bincount(home[one])  # size of a cluster of the group
    found[known] = _bounded((in_group[home] * in_cluster[own] / mean[home]) ** -strength, most)
    return found


def _bounded(values: Reals, most: float) -> Reals:
    """The values in proportion, 1 on average, but those that would be over `most` are that. In any order the same to the bit."""
    rising, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    sums, below = np.cumsum(rising * counts), np.cumsum(counts)
    factor = (len(values) - most * (len(values) - below)) / sums  # of each place, if all behind it are at the bound
    last = int(np.flatnonzero(factor * rising <= most * (1 + 1e-9))[-1])
    scaled = np.where(np.arange(len(rising)) <= last, factor[last] * rising, most)
    return np.asarray(scaled[place], np.float64)
