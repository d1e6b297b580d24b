"""Duplicates: clips that show the same footage, within a dataset and against earlier ones, and the copy that stays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hdvg.duplicates.cosines import Embeddings, unlike
from hdvg.duplicates.groups import completed, stars
from hdvg.duplicates.index import Index
from hdvg.duplicates.likeness import Pairs, Settings, joint
from hdvg.duplicates.search import Spread, find_copies, here
from hdvg.duplicates.semantic import near
from hdvg.duplicates.series import NEEDED, Clips, Ints, concatenated, in_order
from schemas.measures import DUPLICATES

__all__ = ["NEEDED", "Index", "Settings", "Spread", "find_duplicates", "here"]

FOUND = pa.schema([pa.field("clip_id", pa.string()), *DUPLICATES])
SAID_OF_COPIES = ("duplicate_of", "duplicate_how", "duplicate_bits", "duplicate_in")


def find_duplicates(
    clips: pa.Table,
    *,
    earlier: Iterable[pa.Table] = (),
    score: Sequence[str] = (),
    settings: Settings | None = None,
    embeddings: Embeddings | None = None,
    spread: Spread | None = None,
) -> pa.Table:
    """One row a clip, sorted by clip_id, with the columns `DUPLICATES`.

    `clips` has the columns `NEEDED` and those that `score` names: of copies the one with the highest first score stays,
    of equals the one with the highest second, and so on (null is lowest), in the end the smallest clip_id. `embeddings`
    looks up those of some clips: copies whose embeddings differ are none. `earlier` are parts of earlier datasets, as
    `Index.parts` gives them, with the label in the column `dataset`: their clips always stay. `spread` does the parts of
    the search, in this process by default. Memory grows with the clips and the longest part of earlier ones. Raises
    ValueError if a clip_id stands in a table twice or a series of hashes is broken.
    """
    settings, spread = settings or Settings(), spread or here()
    clips = in_order(clips)
    fresh = Clips.of(clips)

    def alike(pairs: Pairs) -> Pairs:
        return pairs[~unlike(fresh, pairs, embeddings, settings.cosine)] if embeddings and len(pairs) else pairs

    pairs = alike(find_copies(fresh.series, settings, spread))
    rank = _rank(clips, score)
    pairs = alike(completed(fresh.series, pairs, rank, settings))
    if embeddings and settings.semantic is not None:
        pairs = joint([near(fresh, embeddings, settings.semantic), pairs])
    found = _Best(fresh)
    for part in earlier:
        both = concatenated(fresh, Clips.of(part))
        found.add(both, part, find_copies(both.series, settings, spread, across=len(fresh)))
    return _table(fresh, pairs, rank, found)


def _rank(clips: pa.Table, score: Sequence[str]) -> Ints:
    """(n,): the place of each clip, 0 the best."""
    columns = [clips[name].cast(pa.float64()).to_numpy() for name in score]
    keys = [np.where(np.isnan(column), np.inf, -column) for column in columns]
    order = np.lexsort((np.arange(len(clips)), *reversed(keys)))
    rank = np.empty(len(clips), np.int64)
    rank[order] = np.arange(len(clips))
    return rank


class _Best:
    """For each new clip the earlier clip that it is most like: by bits, then label, then clip_id."""

    def __init__(self, fresh: Clips) -> None:
        self.of: dict[int, tuple[float, str, str, bool]] = {}
        self._count = len(fresh)

    def add(self, both: Clips, part: pa.Table, pairs: Pairs) -> None:
        """Copies between the new clips and a part of an earlier dataset."""
        labels = dict(zip(part["clip_id"].to_pylist(), part["dataset"].to_pylist(), strict=True))
        for number in range(len(pairs)):
            old = both.clip_id[int(pairs.b[number])].as_py()
            candidate = float(pairs.bits[number]), labels[old], old, bool(pairs.exact[number])
            new = int(pairs.a[number])
            self.of[new] = min(self.of.get(new, candidate), candidate)


def _table(clips: Clips, pairs: Pairs, rank: Ints, found: _Best) -> pa.Table:
    """The answer. A clip that an earlier dataset has goes; of the others, the best copy that does not go stays."""
    old = np.zeros(len(clips), np.bool_)
    old[list(found.of)] = True
    heads = stars(pairs[~(old[pairs.a] | old[pairs.b])], rank)
    by_pair = {
        (int(a), int(b)): (float(bits), bool(exact))
        for a, b, bits, exact in zip(pairs.a, pairs.b, pairs.bits, pairs.exact, strict=True)
    }
    copied = np.flatnonzero(old | (heads != np.arange(len(clips))))
    said: dict[str, list[object]] = {name: [] for name in SAID_OF_COPIES}
    for index in copied.tolist():
        if index in found.of:
            bits, label, kept, exact = found.of[index]
        else:
            head = int(heads[index])
            bits, exact = by_pair[min(index, head), max(index, head)]
            label, kept = None, clips.clip_id[head].as_py()
        how = "exact" if exact else "semantic" if math.isnan(bits) else "near"
        for name, value in zip(SAID_OF_COPIES, (kept, how, None if math.isnan(bits) else bits, label), strict=True):
            said[name].append(value)
    place = np.full(len(clips), -1)
    place[copied] = np.arange(len(copied))
    place = pa.array(place, mask=place < 0)
    columns = {name: pa.array(values, FOUND.field(name).type).take(place) for name, values in said.items()}
    kept_ones = columns["duplicate_of"]
    columns |= {"clip_id": clips.clip_id, "duplicate": kept_ones.is_valid()}
    columns["duplicate_group"] = pc.coalesce(kept_ones, clips.clip_id)
    return pa.table([columns[name] for name in FOUND.names], schema=FOUND)
