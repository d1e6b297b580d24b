"""Rare kinds of clips count more, as much as is said and no clip too often; the sums are those on paper."""

from __future__ import annotations

import numpy as np
import pytest

from hdvg.filtering import balance, diversity


def numbers(*counts: int) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)


def test_groups_and_their_clusters_count_the_same_at_full_strength():
    """Clusters of 60, 20 and 20 in two groups: (60, 20) and (20)."""
    cluster = numbers(60, 20, 20)
    found = balance.weights(cluster, np.array([0, 0, 1])[cluster], strength=1, most=9)
    assert found.mean() == pytest.approx(1)
    sums = np.bincount(cluster, found)
    assert sums == pytest.approx([25, 25, 50])


def test_strength_is_the_power_of_the_size_and_none_changes_nothing():
    """Two groups of one cluster each, of 90 and 10: the weights of their clips are as 90^-1/2 to 10^-1/2, 1 to 3."""
    cluster = numbers(90, 10)
    found = balance.weights(cluster, cluster, strength=0.5, most=9)
    assert found[-1] / found[0] == pytest.approx(3)
    assert np.bincount(cluster, found) == pytest.approx([75, 25])
    assert (balance.weights(cluster, cluster, strength=0, most=9) == 1).all()


def test_no_clip_is_drawn_more_often_than_the_most_and_the_others_share_the_rest():
    cluster = numbers(989, 10, 1)
    found = balance.weights(cluster, cluster, strength=1, most=4)
    assert found[-11:] == pytest.approx([4] * 11)
    assert found[0] == pytest.approx((1000 - 44) / 989)
    assert (balance.weights(cluster, cluster, strength=1, most=1) == 1).all()


def test_clips_without_a_cluster_count_one_and_order_changes_no_bit():
    cluster = np.concatenate([numbers(90, 10, 7, 1), [-1] * 5])
    group = np.where(cluster < 0, -1, cluster // 2)
    found = balance.weights(cluster, group)
    assert (found[-5:] == 1).all()
    mixed = np.random.default_rng(0).permutation(len(cluster))
    assert (balance.weights(cluster[mixed], group[mixed]) == found[mixed]).all()
    assert (balance.weights(np.array([-1]), np.array([-1])) == 1).all()
    assert len(balance.weights(np.empty(0, np.int64), np.empty(0, np.int64))) == 0


def test_kinds_come_out_more_even_by_two_levels_than_by_one():
    """60 kinds whose sizes fall as a power: how many kinds as large as each other the draws are worth (exp of the entropy)."""
    random = np.random.default_rng(0)
    kinds = np.repeat(np.arange(60), (4000 / np.arange(1, 61) ** 1.2).astype(int) + 5)
    centres = random.normal(size=(60, 64))
    embeddings = (
        centres[kinds] / np.linalg.norm(centres, axis=1)[kinds, None] + random.normal(size=(len(kinds), 64)) / 12
    )
    embeddings = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)
    embeddings, kinds = embeddings[(mixed := random.permutation(len(kinds)))], kinds[mixed]
    cluster, group = diversity.clusters(embeddings, [embeddings], count=len(kinds))
    sizes = np.bincount(cluster), np.bincount(group)
    assert all((np.diff(size) <= 0).all() for size in sizes)
    assert (len(sizes[0]), len(sizes[1])) == (round(len(kinds) ** 0.5), round(round(len(kinds) ** 0.5) / 8))
    assert all(len(set(group[cluster == one].tolist())) == 1 for one in range(len(sizes[0])))

    def worth(weights: np.ndarray) -> float:
        shares = np.bincount(kinds, weights, 60) / weights.sum()
        return float(np.exp(-(shares * np.log(shares)).sum()))

    as_it_is = worth(np.ones(len(kinds)))
    flat = worth(balance.weights(cluster, np.zeros_like(cluster), most=99))
    both = worth(balance.weights(cluster, group, most=99))
    assert both > 1.4 * as_it_is
    assert both > 1.2 * flat
