"""Groups: which copy of a clip stays, and which clips it stands for."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from hdvg.duplicates.likeness import Pairs, Settings, copies, joint
from hdvg.duplicates.series import Ints, Series


def stars(pairs: Pairs, rank: Ints) -> Ints:
    """(n,): the clip that stays for each clip, itself if it stays; `rank` is a clip's place, 0 the best.

    The best clip that is left takes its direct copies, and so on: never the copies of copies, however long the chain.
    """
    near = _neighbours(pairs)
    heads = np.arange(len(rank))
    taken = np.zeros(len(rank), np.bool_)
    for clip in sorted(near, key=lambda one: rank[one]):
        if taken[clip]:
            continue
        for other, _ in near[clip]:
            if rank[other] > rank[clip] and not taken[other]:
                heads[other], taken[other] = clip, True
        taken[clip] = True
    return heads


def completed(clips: Series, pairs: Pairs, rank: Ints, settings: Settings) -> Pairs:
    """The pairs, and those of each group's head with copies of its copies that the search for candidates missed."""
    heads = stars(pairs, rank)
    known = set(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True))
    near = _neighbours(pairs)
    wanted: set[tuple[int, int, int]] = set()
    for member in near:
        head = int(heads[member])
        there = next((shift for other, shift in near[head] if other == member), None)
        if head == member or there is None:
            continue
        for other, shift in near[member]:
            pair = (min(head, other), max(head, other))
            if other != head and heads[other] != head and pair not in known:
                wanted.add((*pair, there + shift if head < other else -there - shift))
    if not wanted:
        return pairs
    a, b, shift = np.array(sorted(wanted), dtype=np.int64).T
    more = copies(clips, a, b, shift, settings=settings)
    return joint([pairs, more])


def _neighbours(pairs: Pairs) -> dict[int, list[tuple[int, int]]]:
    """Per clip its copies, and which of their pictures its first one is."""
    near: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for a, b, shift in zip(pairs.a.tolist(), pairs.b.tolist(), pairs.shift.tolist(), strict=True):
        near[a].append((b, shift))
        near[b].append((a, -shift))
    return near
