"""Duplicates: clips that show the same footage, within a dataset and against earlier ones, and the copy that stays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hdvg.duplicates.candidates import candidates
from hdvg.duplicates.groups import completed, stars
from hdvg.duplicates.index import Index
from hdvg.duplicates.likeness import Pairs, Settings, copies, none
from hdvg.duplicates.series import NEEDED, Clips, Ints, concatenated
from schemas.measures import DUPLICATES

__all__ = ["NEEDED", "Index", "Settings", "find_duplicates"]

FOUND = pa.schema([pa.field("clip_id", pa.string()), *DUPLICATES])


def find_duplicates(
    clips: pa.Table,
    *,
    earlier: Iterable[pa.Table] = (),
    score: Sequence[str] = (),
    settings: Settings | None = None,
) -> pa.Table:
    """One row a clip, sorted by clip_id, with the columns `DUPLICATES`.

    `clips` has the columns `NEEDED`, perhaps `embedding` (lists of numbers; null for none) and those that `score` names:
    of copies the one with the highest first score stays, of equals the one with the highest second, and so on (null
    is lowest), in the end the smallest clip_id. `earlier` are parts of earlier datasets, as `Index.parts` gives them,
    with the label in the column `dataset`: their clips always stay. Memory grows with the clips and the longest part.
    Raises ValueError if a clip_id stands in a table twice or a series of hashes is broken.
    """
    settings = settings or Settings()
    fresh = Clips.of(clips)
    pairs = _pairs(fresh, np.ones(len(fresh), np.bool_), settings)
    rank = _rank(clips, score)
    pairs = completed(fresh, pairs, rank, settings)
    found = _Best(fresh)
    for part in earlier:
        old = Clips.of(part)
        both = concatenated([fresh, old])
        found.add(both, part, _pairs(both, np.arange(len(both)) < len(fresh), settings, across=len(fresh)))
    return _table(fresh, pairs, rank, found)


def _pairs(clips: Clips, fresh: npt.NDArray[np.bool_], settings: Settings, *, across: int = 0) -> Pairs:
    """Copies among the clips; with `across`, only between the clips before that index and those from it on."""
    if len(clips) < 2:
        return none()
    a, b, shift = candidates(clips, fresh)
    if across:
        wanted = (a < across) & (b >= across)
        a, b, shift = a[wanted], b[wanted], shift[wanted]
    return copies(clips, a, b, shift, settings=settings) if len(a) else none()


def _rank(clips: pa.Table, score: Sequence[str]) -> Ints:
    """(n,): the place of each clip, 0 the best, in the order of clip_id."""
    clips = clips.sort_by("clip_id")
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
            old = str(both.clip_id[pairs.b[number]])
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
    rows = []
    for index, name in enumerate(clips.clip_id):
        row = {"clip_id": name, "duplicate": False, "duplicate_group": name}
        head = int(heads[index])
        if index in found.of:
            bits, label, earlier, exact = found.of[index]
            row |= {"duplicate_of": earlier, "duplicate_group": earlier, "duplicate_in": label}
        elif head != index:
            bits, exact = by_pair[min(index, head), max(index, head)]
            row |= {"duplicate_of": clips.clip_id[head], "duplicate_group": clips.clip_id[head]}
        if "duplicate_of" in row:
            row |= {"duplicate": True, "duplicate_how": "exact" if exact else "near", "duplicate_bits": bits}
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=FOUND)
