"""Read metadata that is a table: CSV, JSON lines or Parquet, row by row, each with its place, and go on behind bad rows."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from hdvg.errors import UsageError
from hdvg.published.entries import UNREADABLE, Bad, Entry, Scene, Source, said

MOST_BYTES = 64 << 20
"""Longest line, and largest cell."""
BATCH_ROWS = 8192

Row = dict[str, Any]
Rows = Iterator[tuple[int, Row | Bad]]
Read = Callable[[Row], tuple[str, list[Scene | Bad]]]
"""What a set makes of a row: the link, and its scenes. May raise `UNREADABLE`."""


def read(source: Source, row_read: Read, *, name: str) -> Iterator[Entry]:
    """The entries of a table, one a row. `name` is the column by which a row that cannot be read is called."""
    for number, (at, row) in enumerate(rows(source), start=1):
        if isinstance(row, Bad):
            yield Entry(None, number, at, [row], row.why)
            continue
        called = row.get(name)
        called = called if isinstance(called, str) else None
        try:
            link, scenes = row_read(row)
            yield Entry(link, number, at, scenes or [Bad(called, "no scenes")])
        except (*UNREADABLE, SyntaxError, MemoryError) as error:
            yield Entry(None, number, at, [Bad(called, said(error))], said(error))


def rows(source: Source) -> Rows:
    """Place and row of each line or row, by the suffix of the file; columns are called in small letters, with `_` for blanks."""
    suffix = source.path.suffix.lower()
    if suffix not in READERS:
        raise UsageError(f"{source.path}: this set is read from {', '.join(READERS)}")
    return READERS[suffix](source)


def plain(name: str) -> str:
    """A column's name as rows call it: `Start Time`, `start_time` and `Start_Time` are one."""
    return re.sub(r"[\s_]+", "_", name.strip()).lower()


def rest(row: Row, *taken: str) -> str | None:
    """The other columns of a row as JSON; None if nothing is in them."""
    left = {name: value for name, value in row.items() if name not in taken and value not in (None, "")}
    return json.dumps(left, ensure_ascii=False, default=str) if left else None


def text(row: Row, *names: str) -> str | None:
    """The first of these columns that holds text; None if none does."""
    return next((row[name] for name in names if row.get(name)), None)


def _csv(source: Source) -> Rows:
    csv.field_size_limit(MOST_BYTES)
    delimiter = "\t" if source.path.suffix.lower() == ".tsv" else ","
    held: list[str] = []  # the lines of the row that is being read
    lines = (_text(line) for line in source.lines(MOST_BYTES))

    def fed() -> Iterator[str]:
        for line in lines:
            held.append(line)
            yield line

    found = csv.reader(fed(), delimiter=delimiter, strict=True)
    try:
        header = [plain(cell.removeprefix("\ufeff")) for cell in next(found, [])]
    except csv.Error as error:
        raise UsageError(
            f"{source.path}: its first row, with the names of the columns, cannot be read: {error}"
        ) from error
    at = 1 + len(held)
    while True:
        held.clear()
        try:
            cells = next(found, None)
        except csv.Error as error:
            cells = [str(error)] * (len(header) + 1)
        if cells is None:
            return
        if len(cells) == len(header):
            yield at, dict(zip(header, cells, strict=True))
        elif cells or len(held) > 1:
            yield from _one_by_one(held, at, header, delimiter)
        at += len(held)


def _one_by_one(lines: list[str], at: int, header: list[str], delimiter: str) -> Rows:
    """Each of the lines as a row of its own: a quote that is not closed makes one row of many."""
    for number, line in enumerate(lines, start=at):
        try:
            cells = next(csv.reader([line], delimiter=delimiter, strict=True), [])
            why = f"{len(cells)} cells, where the header has {len(header)}"
        except csv.Error as error:
            cells, why = [], f"broken CSV: {error}"
        if len(cells) == len(header):
            yield number, dict(zip(header, cells, strict=True))
        elif line.strip():
            yield number, Bad(line.partition(delimiter)[0][:100], why)


def _jsonl(source: Source) -> Rows:
    for number, line in enumerate(source.lines(MOST_BYTES), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(_text(line.strip()).removeprefix("\ufeff"))
            yield number, {plain(name): value for name, value in row.items()}
        except json.JSONDecodeError as error:
            yield number, Bad(None, f"broken JSON: {error.msg} (character {error.pos} of the line)")
        except (AttributeError, RecursionError) as error:
            yield number, Bad(None, "no JSON object" if isinstance(error, AttributeError) else "broken JSON: too deep")


def _parquet(source: Source) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(source.path) as file:
            fields = [field for field in file.schema_arrow if not pa.types.is_struct(field.type)]  # pictures
            names = [field.name for field in fields if not pa.types.is_binary(field.type)]
            number, size = 0, source.path.stat().st_size
            for batch in file.iter_batches(BATCH_ROWS, columns=names):
                columns = [_values(column) for column in batch.columns]
                for cells in zip(*columns, strict=True):
                    number += 1
                    yield number, dict(zip(map(plain, names), cells, strict=True))
                source.say(size * number // max(file.metadata.num_rows, 1))
    except pa.ArrowException as error:
        raise UsageError(f"{source.path}: no readable Parquet ({error})") from error


def _values(column: Any) -> list[Any]:
    import pyarrow as pa

    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        values = [value and _text(value) for value in column.cast(pa.binary()).to_pylist()]
    return values


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


READERS: dict[str, Callable[[Source], Rows]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
    ".pq": _parquet,
}
