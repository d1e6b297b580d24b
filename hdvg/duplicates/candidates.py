"""Candidates: pairs of clips that share a picture, found by sorting bits of hashes, never by comparing all pairs.

Locality-sensitive hashing by sampled bits (Indyk and Motwani 1998) with sorted neighbourhoods. All pictures of one key stand in
one `Bucket`; buckets are looked through one by one, in any order and place, and what they find is counted together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hdvg.duplicates.series import Hashes, Ints, Series

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

SORTED = 2**23
"""Entries of a bucket, about: they are sorted at once."""
PART_BITS = 6
"""There are no more buckets of a key than that gives, for each goes through all hashes: over some 20 M clips they grow."""

CLIP_BITS, SHIFT_BITS = 28, 8
KEY_BITS, ENTRY_BITS = 24, 40
INNER = 1 << (ENTRY_BITS - 1)
"""An entry is the place of a hash: of a whole picture's, or this much more of its inner one's."""
FACTOR = np.uint64(0x9E3779B97F4A7C15)

Votes = npt.NDArray[np.int32]
FOUND = np.dtype([("code", np.uint64), ("votes", np.int32)])
"""What a bucket gives: a pair of clips with a shift (`_packed`), and how many pictures speak for it; each code once, sorted."""
Found = npt.NDArray[np.void]


@dataclass(frozen=True)
class Bucket:
    """The entries whose key, made of the bits of `mask`, has `part` for its highest `bits` bits."""

    mask: np.uint64
    part: int
    bits: int


def buckets(series: Series) -> list[Bucket]:
    """All of them. Raises ValueError over 2^28 clips."""
    if len(series) >= 2**CLIP_BITS:
        raise ValueError(f"{len(series)} clips at once are more than {2**CLIP_BITS}")
    entries = 2 * int(np.count_nonzero(series.telling))
    bits = min(max(math.ceil(math.log2(max(entries, 1) / SORTED)), 0), PART_BITS)
    return [Bucket(mask, part, bits) for mask in _masks(entries) for part in range(2**bits)]


def near_in(bucket: Bucket, series: Series, *, across: int = 0) -> Found:
    """What the pictures of the bucket say; with `across`, only of pairs of a clip before that index and one from it on."""
    order = _sorted(series, bucket)
    pieces = [np.empty(0, np.uint64), *(_packed(series, *near, across=across) for near in _neighbours(series, order))]
    codes = np.sort(np.concatenate(pieces))
    return counted(codes, np.ones(len(codes), np.int32))


def counted(codes: Hashes, votes: Votes) -> Found:
    """Each of the sorted codes once, with the sum of its votes."""
    starts = _starts(codes)
    found = np.empty(len(starts), FOUND)
    found["code"] = codes[starts]
    found["votes"] = np.add.reduceat(votes, starts) if len(starts) else 0
    return found


def foremost(found: Found) -> tuple[Ints, Ints, Ints]:
    """(a, b, shift), a < b, sorted: picture k of a resembles picture k + shift of b; of each pair the shifts with most votes."""
    codes, votes = found["code"], found["votes"]
    pair = codes >> np.uint64(SHIFT_BITS)
    order = np.lexsort((codes, -votes, pair))
    first = _starts(pair)
    number = np.arange(len(codes)) - np.repeat(first, np.diff(first, append=len(codes)))
    return _unpacked(np.sort(codes[order][number < SHIFTS_MOST]))


def first_code(clip: int) -> np.uint64:
    """The least code of a pair whose lower clip is this one."""
    return np.uint64(clip << (CLIP_BITS + SHIFT_BITS))


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


def _sorted(series: Series, bucket: Bucket) -> Hashes:
    """The bucket's entries sorted by key, the key in the upper bits and the entry in the lower ones."""
    found = [np.empty(0, np.uint64)]
    for start in range(0, len(series.telling), AT_ONCE):
        place = (start + np.flatnonzero(series.telling[start : start + AT_ONCE])).astype(np.uint64)
        for hashes, inner in ((series.whole, 0), (series.inner, INNER)):
            keys = ((hashes[place] & bucket.mask) * FACTOR) >> np.uint64(64 - KEY_BITS)
            chosen = keys >> np.uint64(KEY_BITS - bucket.bits) == bucket.part
            found.append((keys[chosen] << np.uint64(ENTRY_BITS)) | place[chosen] | np.uint64(inner))
    order: Hashes = np.concatenate(found)
    order.sort()
    return order


def _neighbours(series: Series, order: Hashes) -> Iterator[tuple[Ints, Ints]]:
    """Pairs of entries with one key that stand near each other and whose hashes are near."""
    for start in range(0, len(order), AT_ONCE):
        piece = order[start : start + AT_ONCE + NEIGHBOURS]
        entry = (piece & np.uint64(2**ENTRY_BITS - 1)).astype(np.int64)
        key = (piece >> np.uint64(ENTRY_BITS)).astype(np.uint32)
        hashes = _hashes(series, entry)
        at = np.arange(min(len(piece), AT_ONCE))
        for step in range(1, NEIGHBOURS + 1):
            at = at[at < len(piece) - step]
            at = at[key[at] == key[at + step]]
            if not len(at):
                break
            near = at[np.bitwise_count(hashes[at] ^ hashes[at + step]) <= NEAR_BITS]
            yield entry[near], entry[near + step]


def _hashes(series: Series, entries: Ints) -> Hashes:
    """The hash of each entry."""
    place = entries & (INNER - 1)
    found: Hashes = series.whole[place]
    np.copyto(found, series.inner[place], where=entries >= INNER)
    return found


def _packed(series: Series, left: Ints, right: Ints, *, across: int) -> Hashes:
    """A code for each pair of two clips: the lower clip, the higher one, and how many pictures later its picture comes."""
    places = left & (INNER - 1), right & (INNER - 1)
    owners = series.owner[places[0]], series.owner[places[1]]
    one, other = np.minimum(*owners), np.maximum(*owners)
    wanted = (one < across) & (other >= across) if across else one != other
    one, other = one[wanted].astype(np.int64), other[wanted].astype(np.int64)
    swapped = (owners[0] > owners[1])[wanted]
    left, right = (place[wanted] for place in places)
    moments = np.where(swapped, right, left) - series.starts[one], np.where(swapped, left, right) - series.starts[other]
    shift = moments[1] - moments[0] + 2 ** (SHIFT_BITS - 1)
    code: Ints = (one << (CLIP_BITS + SHIFT_BITS)) | (other << SHIFT_BITS) | shift
    return code.astype(np.uint64)


def _starts(values: Hashes) -> Ints:
    """Where each of the sorted values stands first."""
    return np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]])) if len(values) else np.empty(0, np.int64)


def _unpacked(codes: Hashes) -> tuple[Ints, Ints, Ints]:
    clip, shift = np.uint64(2**CLIP_BITS - 1), np.uint64(2**SHIFT_BITS - 1)
    a = (codes >> np.uint64(CLIP_BITS + SHIFT_BITS)).astype(np.int64)
    b = ((codes >> np.uint64(SHIFT_BITS)) & clip).astype(np.int64)
    return a, b, (codes & shift).astype(np.int64) - 2 ** (SHIFT_BITS - 1)
