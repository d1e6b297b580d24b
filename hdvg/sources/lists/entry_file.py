"""The file of a list's entries, written a line at a time while they come, so that what came outlives whatever ends the list."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from hdvg.errors import ItemError
from hdvg.sources.canonical import canonical_web
from hdvg.sources.lists.entries import ENTRY, MOST_NUMBER, Row, entry_row

FILE = "entries.jsonl"
LINE_BYTES = 2**20
PYTHON: dict[pa.DataType, Any] = {
    **{pa.string(): str, pa.bool_(): bool, pa.int64(): int, pa.float64(): (int, float), pa.date32(): datetime.date}
}
COLUMN_TYPES = {column.name: PYTHON[column.type] for column in ENTRY}
NUMBERS = [column.name for column in ENTRY if column.type in (pa.int64(), pa.float64())]


class Entries:
    """Writes entries to `folder`/entries.jsonl, each link once, and goes on where an earlier process stopped.

    Whatever came is on disk when the process ends. `cursor` is where the next page begins, None at the list's start.
    """

    def __init__(self, folder: Path, most: int) -> None:
        path = folder / FILE
        kept = read_entries(path) if path.exists() else Found()
        self.cursor = kept.cursor
        self._seen = {row["url"] for row in kept.rows}
        self._before = set(self._seen)
        self._most, self._left = most, most - len(kept.rows) - kept.skipped.total()
        self._file = path.open("a", encoding="utf-8")

    @property
    def full(self) -> bool:
        """Whether the most entries are read."""
        return self._left <= 0

    def rewind(self) -> None:
        """The list is read from its start again: what it names again counts again, links that are known stay."""
        self._left, self._before = self._most, set()
        self._write({"rewound": True})

    def add(self, url: str, metadata: Mapping[str, Any]) -> bool:
        """Take an entry, unless its link is known or none; whether it was taken."""
        try:
            link = canonical_web(url)
        except ItemError:
            self.skip("no link")
            return False
        if link in self._before:
            self._before.discard(link)
            return False
        self._left -= 1
        if link in self._seen:
            return False
        self._seen.add(link)
        self._write({"row": entry_row(link, metadata)})
        return True

    def skip(self, why: str) -> None:
        """Count an entry that gives no link."""
        self._left -= 1
        self._write({"skipped": why})

    def turn(self, cursor: Any) -> None:
        """A page is done: the next one begins at `cursor`, JSON. Once full it is not: the rest of it was not taken."""
        if self.full:
            return
        self.cursor = cursor
        self._write({"cursor": cursor})

    def _write(self, line: Row) -> None:
        self._file.write(json.dumps(line, default=str) + "\n")
        self._file.flush()


class Found:
    """What an entries file holds: rows, why entries were skipped, and the last cursor."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.skipped: Counter[str] = Counter()
        self.cursor: Any = None


def read_entries(path: Path) -> Found:
    """Read a file of `Entries`, each link once. It is not trusted: what is no row is passed over."""
    found, seen = Found(), set()
    for line in _lines(path):
        if isinstance(line.get("row"), dict) and (row := _checked(line["row"])) and row["url"] not in seen:
            seen.add(row["url"])
            found.rows.append(row)
        elif isinstance(line.get("skipped"), str):
            found.skipped[line["skipped"][:40]] += 1
        elif "rewound" in line:
            found.skipped.clear()
        elif "cursor" in line:
            found.cursor = line["cursor"]
    return found


def _lines(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        while line := file.readline(LINE_BYTES):
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):  # a line that was being written when the process ended
                continue
            if isinstance(value, dict):
                yield value


def _checked(row: Row) -> Row | None:
    """The row with its date as a date, if it has the columns and types of `ENTRY` and an http(s) link."""
    try:
        date = row["upload_date"]
        row = row | {"upload_date": date and datetime.date.fromisoformat(date)}
        row["url"] = canonical_web(row["url"])
    except (ItemError, KeyError, TypeError, ValueError, AttributeError):
        return None
    fits = row.keys() == COLUMN_TYPES.keys() and all(
        row[name] is None or isinstance(row[name], COLUMN_TYPES[name]) for name in COLUMN_TYPES
    )
    return row if fits and all(row[name] is None or abs(row[name]) <= MOST_NUMBER for name in NUMBERS) else None
