"""Candidates: pairs of clips that share a picture, found by sorting bits of hashes, never by comparing all pairs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdvg.duplicates.series import Clips, Hashes, Ints, turns

KEYS = 24
"""How many choices of bits are tried."""

LEAST_BITS, MOST_BITS = 14, 24
"""Bits of a key: as many as distinguish the entries, so that what two strangers share by chance stays little."""

NEIGHBOURS = 16
"""Entries of one key that each entry is compared with: a picture that everybody has costs no more than any other."""

AT_ONCE = 2_000_000
"""Entries compared with their neighbours at once."""

NEAR_BITS = 12
SHIFTS_MOST = 6
REPEAT_BITS = 2
EVERY = 4
"""A picture that differs by at most 2 bits from the one before is an entry only every 2 s."""

SORTED = 4_000_000
"""Entries sorted at once."""

CLIP_BITS, SHIFT_BITS = 28, 8
KEY_BITS, ENTRY_BITS = 24, 40
FACTOR = np.uint64(0x9E3779B97F4A7C15)

Votes = npt.NDArray[np.int32]


def candidates(clips: Clips, fresh: npt.NDArray[np.bool_]) -> tuple[Ints, Ints, Ints]:
    """(a, b, shift), a < b: some picture k of a resembles picture k + shift of b, and not both clips are old.

    Of each pair of clips the shifts that most pictures and keys speak for.

    Locality-sensitive hashing by sampled bits (Indyk and Motwani 1998) with sorted neighbourhoods: per key one sort of
    all entries. `fresh`: (n,) clips that are not from an earlier dataset. Raises ValueError over 2^28 clips.
    """
    if len(clips) >= 2**CLIP_BITS:
        raise ValueError(f"{len(clips)} clips at once are more than {2**CLIP_BITS}")
    entries = _Entries.of(clips)
    found, votes = np.empty(0, np.uint64), np.empty(0, np.int32)
    for mask in _masks(len(entries)):
        pieces = [np.empty(0, np.uint64)]
        for left, right in _neighbours(entries, mask):
            owner_left, owner_right = entries.owners(left), entries.owners(right)
            good = (owner_left != owner_right) & (fresh[owner_left] | fresh[owner_right])
            pieces.append(entries.packed(left[good], right[good]))
        found, votes = _counted(found, votes, np.concatenate(pieces))
    return _unpacked(_foremost(found, votes))


@dataclass(frozen=True)
class _Entries:
    """What is looked up: the whole hashes of k pictures worth it, numbered 0 to k - 1, then their inner ones, k to 2k - 1.

    Hashes stay where they are: of a million clips, copies of them would be the most that a search holds.
    """

    clips: Clips
    place: npt.NDArray[np.uint32]
    """(k,): where each picture's hashes lie."""
    owner: npt.NDArray[np.uint32]
    """(k,): its clip."""

    @classmethod
    def of(cls, clips: Clips) -> _Entries:
        """Those of the pictures that are not flat and not as the one before."""
        places, owners = [np.empty(0, np.uint32)], [np.empty(0, np.uint32)]
        for some, place in clips.blocks():
            whole, inner = clips.whole[place], clips.inner[place]
            owner = np.repeat(np.arange(some.start, some.stop, dtype=np.uint32), clips.lengths[some])
            moment = np.arange(place.start, place.stop) - clips.starts[owner]
            chosen = (whole != 0) & (inner != 0) & ((turns(whole) > REPEAT_BITS) | (moment % EVERY == 0))
            places.append((place.start + np.flatnonzero(chosen)).astype(np.uint32))
            owners.append(owner[chosen])
        return cls(clips, np.concatenate(places), np.concatenate(owners))

    def __len__(self) -> int:
        return 2 * len(self.place)

    def pictures(self, entries: Ints) -> Ints:
        """The picture, 0 to k - 1, of each entry."""
        return entries - len(self.place) * (entries >= len(self.place))

    def owners(self, entries: Ints) -> npt.NDArray[np.uint32]:
        """The clip of each entry."""
        return self.owner[self.pictures(entries)]

    def hashes(self, entries: Ints) -> Hashes:
        """The hash of each entry."""
        inside = entries >= len(self.place)
        place = self.place[entries - len(self.place) * inside]
        found: Hashes = self.clips.whole[place]
        np.copyto(found, self.clips.inner[place], where=inside)
        return found

    def keys(self, mask: np.uint64) -> npt.NDArray[np.uint32]:
        """(2k,): the key of each entry, `KEY_BITS` long, made of the bits of the mask."""
        keys = np.empty((2, len(self.place)), np.uint32)
        for row, series in zip(keys, (self.clips.whole, self.clips.inner), strict=True):
            for start in range(0, len(row), AT_ONCE):
                part = slice(start, start + AT_ONCE)
                row[part] = ((series[self.place[part]] & mask) * FACTOR) >> np.uint64(64 - KEY_BITS)
        return keys.reshape(-1)

    def packed(self, left: Ints, right: Ints) -> Hashes:
        """A code for each pair: the lower clip, the higher one, and how many pictures later its picture comes."""
        swapped = self.owners(left) > self.owners(right)
        first, second = (self.pictures(np.where(swapped, *pair)) for pair in ((right, left), (left, right)))
        one, other = self.owner[first].astype(np.int64), self.owner[second].astype(np.int64)
        moments = (self.place[first] - self.clips.starts[one], self.place[second] - self.clips.starts[other])
        shift = moments[1] - moments[0] + 2 ** (SHIFT_BITS - 1)
        code: Ints = (one << (CLIP_BITS + SHIFT_BITS)) | (other << SHIFT_BITS) | shift
        return code.astype(np.uint64)


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


def _neighbours(entries: _Entries, mask: np.uint64) -> Iterator[tuple[Ints, Ints]]:
    """Pairs of entries with one key that stand near each other and whose hashes are near."""
    for order in _sorted(entries.keys(mask)):
        for start in range(0, len(order), AT_ONCE):
            piece = order[start : start + AT_ONCE + NEIGHBOURS]
            entry = (piece & np.uint64(2**ENTRY_BITS - 1)).astype(np.int64)
            key = (piece >> np.uint64(ENTRY_BITS)).astype(np.uint32)
            hashes = entries.hashes(entry)
            at = np.arange(min(len(piece), AT_ONCE))
            for step in range(1, NEIGHBOURS + 1):
                at = at[at < len(piece) - step]
                at = at[key[at] == key[at + step]]
                if not len(at):
                    break
                near = at[np.bitwise_count(hashes[at] ^ hashes[at + step]) <= NEAR_BITS]
                yield entry[near], entry[near + step]


def _sorted(keys: npt.NDArray[np.uint32]) -> Iterator[Hashes]:
    """Entries sorted by key, the key in the upper bits and the entry in the lower ones; some `SORTED` at a time, all of a key
    together."""
    bits = max(math.ceil(math.log2(max(len(keys), 1) / SORTED)), 0)
    for part in range(2**bits):
        chosen = np.concatenate([
            start + np.flatnonzero(keys[start : start + AT_ONCE] >> (KEY_BITS - bits) == part)
            for start in range(0, max(len(keys), 1), AT_ONCE)
        ]).astype(np.uint64)  # fmt: skip
        order: Hashes = keys[chosen].astype(np.uint64)
        order <<= np.uint64(ENTRY_BITS)
        order |= chosen
        order.sort()
        yield order


def _counted(found: Hashes, votes: Votes, more: Hashes) -> tuple[Hashes, Votes]:
    """The codes, each once, sorted, and how often each came: those `found` came `votes` times before `more` came."""
    more = np.sort(more)
    starts = np.flatnonzero(np.concatenate([[True], more[1:] != more[:-1]])) if len(more) else np.empty(0, np.int64)
    codes, counts = more[starts], np.diff(starts, append=len(more)).astype(np.int32)
    place = np.searchsorted(found, codes)
    known = place < len(found)
    known[known] = found[place[known]] == codes[known]
    votes[place[known]] += counts[known]
    place, codes, counts = place[~known], codes[~known], counts[~known]
    return np.insert(found, place, codes), np.insert(votes, place, counts)


def _foremost(codes: Hashes, votes: Votes) -> Hashes:
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
