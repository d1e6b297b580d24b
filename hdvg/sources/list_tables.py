"""Lists in columns: tables of text, whatever parts their cells, and Parquet, which may hold the videos themselves."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hdvg.errors import UsageError
from hdvg.sources.columns import Columns, Entry, Found, entry_of, find_columns, is_like_link, refuse_unknown
from hdvg.sources.folder import VIDEO_SUFFIXES
from hdvg.sources.held import BYTES, held_source, video_column
from hdvg.sources.list_lines import MAX_ROW_BYTES, lines
from hdvg.sources.sniff import head_of, text_of

DELIMITERS = ",\t;|"
LOOKED_AT = 20
"""Lines that show what parts the cells of a table."""


def read_table(source: str, columns: Columns, base: Path) -> Iterator[Entry]:
    """Rows of CSV, by commas, tabs, semicolons or bars: the columns named in the first row; without names, the one with links.

    Raises UsageError for a first row that is neither.
    """
    rows = _Rows(source)
    found: Found | None = None
    names: list[str] = []
    for line, row, error in rows:
        if error:
            yield Entry(line, row[0] if row else "", error)
            continue
        if found is None:
            names = [cell.strip() for cell in row]
            found = find_columns(names, columns, source=source)
            if found is not None:
                continue
            place = next((number for number, cell in enumerate(row) if is_like_link(cell, base=base)), None)
            if place is None:
                refuse_unknown(rows.delimiter.join(row), source=source)
            names = [str(number) for number in range(len(row))]
            found = Found((str(place),), None)
        yield entry_of(dict(zip(names, row, strict=False)), line, found, base=base)


class _Rows:
    """The rows of a table with the line that each ends on, and what is wrong with it; empty rows are left out."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._bad: list[tuple[int, list[str], str]] = []
        self.delimiter = delimiter_of(source)

    def __iter__(self) -> Iterator[tuple[int, list[str], str]]:
        rows = csv.reader(self._lines(), delimiter=self.delimiter)
        while True:
            try:
                row = next(rows, None)
            except csv.Error as error:
                row = []
                self._bad.append((self._at, [], str(error)))
            yield from self._bad
            self._bad.clear()
            if row is None:
                return
            if any(cell.strip() for cell in row):
                is_open = any("\n" in cell and "://" in cell.partition("\n")[2] for cell in row)
                why = "a quote before this line is not closed; the lines in it are lost" if is_open else ""
                yield self._at, row, why

    def _lines(self) -> Iterator[str]:
        for number, text, error in lines(self._source, MAX_ROW_BYTES):
            self._at = number
            if error:
                self._bad.append((number, [], error))
            else:
                yield text + "\n"


def delimiter_of(source: str) -> str:
    """What parts the cells: that which gives the first row a known name, else the same count of cells in each first line."""
    try:
        head = text_of(head_of(source)) if Path(source).is_file() else ""
    except OSError:
        head = ""
    usual = "\t" if source.lower().endswith((".tsv", ".tab")) else ","
    return parting(head, usual) or usual


def parting(head: str, usual: str = "") -> str:
    """The character that parts the cells of a table that begins so; "" if none does."""
    some = [line for line in head.splitlines()[:LOOKED_AT] if line.strip()]
    if len(head) >= 1 << 15 and len(some) > 1:
        some = some[:-1]
    marks = [*usual, *(mark for mark in DELIMITERS if mark != usual)]
    counts = {mark: [len(row) for row in _split(some, mark)] for mark in marks}
    named = [mark for mark in marks if _has_names(some[:1], mark) and counts[mark][0] > 1]
    even = [mark for mark in marks if counts[mark] and min(counts[mark]) > 1 and len(set(counts[mark])) == 1]
    return next(iter([*named, *even]), "")


def is_table(head: str) -> bool:
    """Whether a text that no name calls a table is one: its first row has a known name, or its lines begin with a link, or a
    video file's path, and go on in as many cells each."""
    mark = parting(head)
    if not mark:
        return False
    first = next(iter(_split([line for line in head.splitlines() if line.strip()][:1], mark)), [""])
    ends = first[0].strip().lower().rpartition(".")
    return _has_names([mark.join(first)], mark) or mark == "\t" or f".{ends[2]}" in VIDEO_SUFFIXES


def _split(some: Sequence[str], mark: str) -> list[list[str]]:
    try:
        return list(csv.reader(some, delimiter=mark))
    except csv.Error:
        return []


def _has_names(first: Sequence[str], mark: str) -> bool:
    rows = _split(first, mark)
    return bool(rows) and find_columns([cell.strip() for cell in rows[0]], Columns(), source="") is not None


def read_parquet(source: str, columns: Columns, base: Path) -> Iterator[Entry]:
    """Rows of Parquet: the column of links, or of videos in its cells (bytes, or bytes and path as `datasets` writes them)."""
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(source) as file:
            schema = file.schema_arrow
            found = find_columns(schema.names, columns, source=source) or _unnamed(file, source, base)
            held = video_column(schema, found.links)
            link_names = [held] if held else list(found.links)
            wanted = [*link_names, *([found.text] if found.text else [])]
            number = 0
            for batch in file.iter_batches(1 if held else 1024, columns=list(dict.fromkeys(wanted))):
                for row in _rows(batch):
                    number += 1
                    entry = entry_of(row, number, found, base=base)
                    yield _held(entry, row[held], source, held) if held else entry
    except pyarrow.ArrowException as error:
        raise UsageError(f"{source}: no readable Parquet ({error}); give a list of links that is whole") from error


def _rows(batch: Any) -> list[dict[str, Any]]:
    """A batch's rows; bytes that are no UTF-8 in a column of texts cost their own cell, as in a list of lines."""
    import pyarrow as pa

    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
        return rows
    except UnicodeDecodeError:
        texts = [field.name for field in batch.schema if field.type in (pa.string(), pa.large_string())]
        raw = [field.with_type(pa.large_binary()) if field.name in texts else field for field in batch.schema]
        rows = batch.cast(pa.schema(raw)).to_pylist()
        return [row | {name: _text(row[name]) for name in texts} for row in rows]


def _text(cell: bytes | None) -> str | None:
    return None if cell is None else cell.decode(errors="replace")


def _held(entry: Entry, cell: Any, source: str, column: str) -> Entry:
    """The entry of a cell that holds a video, or the path of one."""
    content = cell.get(BYTES) if isinstance(cell, dict) else cell
    if isinstance(content, bytes):
        held = held_source(Path(source), column, entry.line)
        return entry._replace(link=f"{Path(source).name}#{held.partition('#')[2]}", held=held, error=None)
    path = cell.get("path") if isinstance(cell, dict) else None
    return entry._replace(link=path or "", error=None if path else "the row has no link")


def _unnamed(file: Any, source: str, base: Path) -> Found:
    """The columns of a table without a known name: that of the first row's cell that is a link. Raises UsageError."""
    import pyarrow.types as types

    texts = [
        field.name for field in file.schema_arrow if types.is_string(field.type) or types.is_large_string(field.type)
    ]
    first: dict[str, object] = next((row for batch in file.iter_batches(1, columns=texts) for row in _rows(batch)), {})
    place = next(
        (name for name, cell in first.items() if isinstance(cell, str) and is_like_link(cell, base=base)), None
    )
    if place is None:
        refuse_unknown(first or f"columns {', '.join(file.schema_arrow.names)}", source=source)
    return Found((place,), None)
