"""Candidates: pairs of clips that share a picture, found by sorting bits of hashes, never by comparing all pairs."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from hdvg.duplicates.series import Clips, Hashes, Ints

KEYS = 24
"""How many choices of bits are tried."""

LEAST_BITS, MOST_BITS = 14, 24
"""Bits of a key: as many as distinguish the entries, so that what two strangers share by chance stays little."""

NEIGHBOURS = 16
"""Entries of one key that each entry is compared with: a picture that everybody has costs no more than any other."""

NEAR_BITS = 12
SHIFTS_MOST = 6
REPEAT_BITS = 2
EVERY = 4
"""A picture that differs by at most 2 bits from the one before is an entry only every 2 s."""

CLIP_BITS, SHIFT_BITS = 28, 8
FACTOR = np.uint64(0x9E3779B97F4A7C15)


def candidates(clips: Clips, fresh: npt.NDArray[np.bool_]) -> tuple[Ints, Ints, Ints]:
    """(a, b, shift), a < b: some picture k of a resembles picture k + shift of b, and not both clips are old.

    Of each pair of clips the shifts that most pictures and keys speak for.

    Locality-sensitive hashing by sampled bits (Indyk and Motwani 1998) with sorted neighbourhoods: per key one sort of
    all entries. `fresh`: (n,) clips that are not from an earlier dataset. Raises ValueError over 2^28 clips.
    """
    if len(clips) >= 2**CLIP_BITS:
        raise ValueError(f"{len(clips)} clips at once are more than {2**CLIP_BITS}")
    place, hashes = _entries(clips)
    owner = clips.owners[place]
    moment = place - clips.starts[owner]
    found, votes = np.empty(0, np.uint64), np.empty(0, np.int64)
    for mask in _masks(len(hashes)):
        order = _sorted(hashes, mask)
        pieces = [found]
        for left, right in _neighbours(order, hashes):
            good = (owner[left] != owner[right]) & (fresh[owner[left]] | fresh[owner[right]])
            pieces.append(_packed(owner, moment, left[good], right[good]))
        found, votes = _counted(pieces, votes)
    return _unpacked(_foremost(found, votes))


def _entries(clips: Clips) -> tuple[Ints, Hashes]:
    """Where the pictures worth looking up lie, and their hashes; whole and inner ones alike."""
    informative = (clips.whole != 0) & (clips.inner != 0)
    moment = np.arange(len(clips.whole)) - np.repeat(clips.starts[:-1], clips.lengths)
    turned = np.ones(len(clips.whole), np.bool_)
    turned[1:] = np.bitwise_count(clips.whole[1:] ^ clips.whole[:-1]) > REPEAT_BITS
    place = np.flatnonzero(informative & (turned | (moment % EVERY == 0)))
    return np.concatenate([place, place]), np.concatenate([clips.whole[place], clips.inner[place]])


def _masks(n_entries: int) -> list[np.uint64]:
    """Which bits make each key: chosen once and for all, low frequencies more often, for they flip less."""
    random = np.random.default_rng(20240229)
    size = min(max(math.ceil(math.log2(max(n_entries, 1))), LEAST_BITS), MOST_BITS)
    down, across = np.divmod(np.arange(64), 8)
    weights = 1 / (2.0 + down + across)
    weights[0] = 0  # the mean: the same sign in nearly every picture
    return [
        np.bitwise_or.reduce(
            np.uint64(1) << (63 - random.choice(64, size, replace=False, p=weights / weights.sum())).astype(np.uint64)
        )
        for _ in range(KEYS)
    ]


def _sorted(hashes: Hashes, mask: np.uint64) -> Hashes:
    """Entries sorted by key: the key in the upper 24 bits, the entry in the lower 40."""
    keys: Hashes = ((hashes & mask) * FACTOR) >> np.uint64(40)
    keys <<= np.uint64(40)
    keys |= np.arange(len(hashes), dtype=np.uint64)
    keys.sort()
    return keys


def _neighbours(order: Hashes, hashes: Hashes) -> list[tuple[Ints, Ints]]:
    """Pairs of entries with one key that stand near each other and whose hashes are near."""
    entry = (order & np.uint64(2**40 - 1)).astype(np.int64)
    key = (order >> np.uint64(40)).astype(np.uint32)
    found = []
    at = np.arange(len(order))
    for step in range(1, NEIGHBOURS + 1):
        at = at[at < len(order) - step]
        at = at[key[at] == key[at + step]]
        if not len(at):
            break
        left, right = entry[at], entry[at + step]
        near = np.bitwise_count(hashes[left] ^ hashes[right]) <= NEAR_BITS
        found.append((left[near], right[near]))
    return found


def _packed(owner: Ints, moment: Ints, left: Ints, right: Ints) -> Hashes:
    swapped = owner[left] > owner[right]
    first, second = np.where(swapped, right, left), np.where(swapped, left, right)
    shift = moment[second] - moment[first] + 2 ** (SHIFT_BITS - 1)
    code: Ints = (owner[first] << (CLIP_BITS + SHIFT_BITS)) | (owner[second] << SHIFT_BITS) | shift
    return code.astype(np.uint64)


def _counted(pieces: list[Hashes], votes: Ints) -> tuple[Hashes, Ints]:
    """The codes, each once, and how often each came; the first piece came `votes` times."""
    codes = np.concatenate(pieces)
    weights = np.concatenate([votes, np.ones(len(codes) - len(votes), np.int64)])
    found, place = np.unique(codes, return_inverse=True)
    return found, np.bincount(place, weights, minlength=len(found)).astype(np.int64)


def _foremost(codes: Hashes, votes: Ints) -> Hashes:
    """The codes of each pair of clips with most votes; `codes` are sorted."""
    pair = codes >> np.uint64(SHIFT_BITS)
    order = np.lexsort((codes, -votes, pair))
    codes, pair = codes[order], pair[order]
    first = np.ones(len(codes), np.bool_)
    first[1:] = pair[1:] != pair[:-1]
    number = np.arange(len(codes)) - np.flatnonzero(first)[np.cumsum(first) - 1] if len(codes) else votes
    return np.sort(codes[number < SHIFTS_MOST])


def _unpacked(codes: Hashes) -> tuple[Ints, Ints, Ints]:
    clip, shift = np.uint64(2**CLIP_BITS - 1), np.uint64(2**SHIFT_BITS - 1)
    a = (codes >> np.uint64(CLIP_BITS + SHIFT_BITS)).astype(np.int64)
    b = ((codes >> np.uint64(SHIFT_BITS)) & clip).astype(np.int64)
    return a, b, (codes & shift).astype(np.int64) - 2 ** (SHIFT_BITS - 1)
