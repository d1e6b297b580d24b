"""What people say of clips, as the explorer shows and writes it: the newest word of every author, durable before it is answered."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.dataset.annotations import SAID, annotate
from hdvg.dataset.compaction import compact_some
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import files
from hdvg.dataset.marks import NAME
from hdvg.dataset.snapshot import SOURCE, with_marks
from hdvg.dataset.tables import TABLES, newest, reread
from hdvg.errors import HdvgError, UsageError
from hdvg.explore.masks import Asking, Mask, asked, is_marked
from hdvg.explore.selection import Condition
from hdvg.explore.texts import Texts
from schemas.annotations import MARKS

ROWS = 500
Row = dict[str, Any]


class Marks:
    """The annotations of one dataset; for many threads."""

    def __init__(self, dataset: Dataset, connection: duckdb.DuckDBPyConnection, texts: Texts, *, rows: int) -> None:
        self._dataset, self._connection, self._texts, self._rows = dataset, connection, texts, rows
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._read: tuple[str, ...] | None = None
        self._of_clip: dict[str, list[Row]] = {}

    def of(self, clip_id: str) -> list[Row]:
        """What is said of a clip, one row an author, newest first."""
        return self.all().get(clip_id, [])

    def all(self) -> Mapping[str, list[Row]]:
        """By clip, as `of`."""
        return reread(self._all)

    def _all(self) -> Mapping[str, list[Row]]:
        held = files(self._dataset.root, "tables", of=NAME)
        names = tuple(path.name for path in held)
        with self._lock:
            if names != self._read:
                with self._connection.cursor() as cursor:
                    with_marks(self._dataset, cursor, newest(TABLES[NAME], self._dataset.root))
                self._of_clip, self._read = _newest(held), names
            return self._of_clip

    @property
    def state(self) -> tuple[str, ...]:
        """Changes whenever something is written."""
        self.all()
        return self._read or ()

    def write(self, given: Any, *, author: str) -> int:
        """Store what a page sends; durable when this returns. Raises UsageError for what is no annotation, or of no clip here."""
        rows = [_checked(one) for one in given] if isinstance(given, list) and 0 < len(given) <= ROWS else []
        if not rows:
            raise UsageError(f"annotations: rows is a list of 1 to {ROWS}")
        videos = self._videos([row["clip_id"] for row in rows])
        if missing := [row["clip_id"] for row in rows if row["clip_id"] not in videos]:
            raise UsageError(f"annotations: no clip {missing[0][:80]!r} in the dataset")
        with self._writing:
            annotate(self._dataset, [row | {"author": author, "video_id": videos[row["clip_id"]]} for row in rows])
            with contextlib.suppress(HdvgError, OSError):  # what was said is written; the next word tries again
                compact_some(self._dataset.store, NAME)
        return len(rows)

    def mask(self, condition: Condition, asking: Asking) -> Mask:
        """[rows]: clips whose newest mark is one of those that are asked for."""
        rest = is_marked(condition.values, None)
        odd = [clip for clip, rows in self.all().items() if is_marked(condition.values, rows[0]["mark"]) is not rest]
        return np.asarray(self._places(odd, asking) ^ rest)

    def texts(self, condition: Condition, asking: Asking) -> Mask:
        """[rows]: clips in whose caption, title or notes all of the words are."""
        words = condition.values
        found = self._texts.holding(words, self._connection, asking)
        said = {clip: " ".join(row[name] or "" for row in rows for name in ("caption", "note")).casefold() for clip, rows in self.all().items()}  # fmt: skip
        noted = [clip for clip, text in said.items() if all(word in text for word in words)]
        return found | self._places(noted, asking)

    def with_marks(self, table: pa.Table) -> pa.Table:
        """Rows of clips, with what people say of them as rules name it."""
        said = [{row["mark"] for row in self.of(clip)} for clip in table["clip_id"].to_pylist()]
        for mark in MARKS:
            table = table.append_column(f"marked_{mark}", pa.array([mark in marks for marks in said], pa.bool_()))
        return table

    def _places(self, clips: Sequence[str], asking: Asking) -> Mask:
        with self._connection.cursor() as cursor:
            return asked(cursor, "clip_id in (select unnest(?::varchar[]))", self._rows, asking, [list(clips)])

    def _videos(self, clips: Sequence[str]) -> dict[str, str]:
        with self._connection.cursor() as cursor:
            sql = f"select clip_id, video_id from {SOURCE} where clip_id in (select unnest(?::varchar[]))"
            return dict(cursor.execute(sql, [list(clips)]).fetchall())


def _newest(paths: Sequence[Any]) -> dict[str, list[Row]]:
    """Of every clip the newest row of each author, newest first."""
    if not paths:
        return {}
    schema = TABLES[NAME].stored
    last: dict[tuple[str, str], Row] = {}
    for path in paths:
        for row in pq.read_table(path, schema=schema).to_pylist():
            key = row["clip_id"], row["author"]
            if key not in last or last[key]["written_at"] < row["written_at"]:
                last[key] = row
    found: dict[str, list[Row]] = {}
    for row in sorted(last.values(), key=lambda row: row["written_at"], reverse=True):
        found.setdefault(row["clip_id"], []).append(row)
    return found


def _checked(given: Any) -> Row:
    if not isinstance(given, dict) or not isinstance(given.get("clip_id"), str) or given.keys() - {"clip_id", *SAID}:
        raise UsageError(f"annotations: a row has clip_id, {', '.join(SAID)}, and nothing else")
    if odd := [name for name in SAID if not isinstance(given.get(name), str | None)]:
        raise UsageError(f"annotations: {odd[0]} is a text or null")
    return given
