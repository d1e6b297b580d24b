"""Read links from lists, tables, folders or the command line, and bring each to its one canonical spelling."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdvg.errors import ItemError, UsageError
from hdvg.sources.canonical import MAX_CHARS, canonical, local_path

__all__ = ["SOURCES", "Link", "canonical", "local_path", "read_links"]

COLUMNS = ("url", "link", "source", "href", "video_url")
VIDEO_NAMES = """
    mp4 m4v mov mkv webm avi mpg mpeg m2v ts mts m2ts flv f4v wmv asf ogv ogm 3gp 3g2 y4m
"""
VIDEO_SUFFIXES = frozenset(f".{name}" for name in VIDEO_NAMES.split())
MAX_ROW_BYTES = 2**20
WOULD_DO = (
    "give a list of links (.txt, .csv, .tsv, .jsonl or .parquet), a folder with videos, one video file, "
    "or one http(s) link"
)


@dataclass(frozen=True)
class Link:
    """One entry of a list: the text as given, its line or row (1-based), and its canonical form or what is wrong."""

    raw: str
    line: int
    source: str | None = None
    error: str | None = None


Entry = tuple[int, str, str | None]  # line, text, what is wrong with the line
Reader = Callable[[str], Iterator[Entry]]


def read_links(source: str) -> Iterator[Link]:
    """Yield the links of a list (see `WOULD_DO`) in its order; a bad line is a Link with an error, the rest goes on.

    A list may also hold paths of video files, absolute or relative to the list.
    Raises UsageError, before the first link, for a missing or unreadable source, and for one that holds no link.
    """
    kind = kind_of(source)
    base = Path(source).absolute().parent if kind != "link" else None
    entries = SOURCES[kind](source)
    try:
        first = next(entries, None)
    except OSError as error:
        raise UsageError(f"{source}: {error.strerror or error}; {WOULD_DO}") from error
    if first is None:
        found = "no video file in this folder" if kind == "folder" else "no link in it"
        raise UsageError(f"{source}: {found}; {WOULD_DO}")
    return (_link(entry, base) for entry in itertools.chain([first], entries))


def _link(entry: Entry, base: Path | None) -> Link:
    line, raw, error = entry
    shown = raw.encode("utf-8", "replace").decode()  # a file name may hold bytes that are no text
    if error is None:
        try:
            return Link(shown, line, canonical(raw, base=base))
        except ItemError as bad:
            error = bad.detail
    return Link(shown[:MAX_CHARS], line, None, f"line {line}: {error}")


def kind_of(source: str) -> str:
    """The key of `SOURCES` that reads this source."""
    if re.match(r"https?://", source, re.IGNORECASE):
        return "link"
    path = Path(source)
    try:
        if path.is_dir():
            return "folder"
        exists = path.exists()
    except (OSError, ValueError):
        exists = False
    if not exists:
        raise UsageError(f"{source[:200]!r}: there is no such file or folder; {WOULD_DO}")
    suffix = path.suffix.lower()
    return "file" if suffix in VIDEO_SUFFIXES else SUFFIXES.get(suffix, "text")


def _read_one(source: str) -> Iterator[Entry]:
    yield 1, source, None


def _read_file(source: str) -> Iterator[Entry]:
    yield 1, str(Path(source).absolute()), None


def _read_folder(source: str) -> Iterator[Entry]:
    """Every video file below the folder, by suffix, in the order of their paths."""
    found = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(os.path.abspath(source))
        for name in names
        if os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES
    ]
    for number, path in enumerate(sorted(found, key=os.fsencode), start=1):
        yield number, path, None


def _read_text(source: str) -> Iterator[Entry]:
    for number, text, error in _lines(source, MAX_CHARS):
        text = text.strip()
        if error or (text and not text.startswith("#")):
            yield number, text, error


def _read_table(source: str) -> Iterator[Entry]:
    """Rows of CSV or TSV: the column named in `COLUMNS`, else the first; a first row without such a name is data."""
    bad: list[Entry] = []
    at = 0

    def good() -> Iterator[str]:
        nonlocal at
        for number, text, error in _lines(source, MAX_ROW_BYTES):
            at = number
            if error:
                bad.append((number, "", error))
            else:
                yield text + "\n"

    rows = csv.reader(good(), delimiter="\t" if source.lower().endswith(".tsv") else ",")
    column: int | None = None
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            row = []
            bad.append((at, "", str(error)))
        yield from bad
        bad.clear()
        if row is None:
            return
        names = [cell.strip().lower() for cell in row]
        if column is None and names:
            known = [names.index(name) for name in COLUMNS if name in names]
            column = known[0] if known else 0
            if known:
                continue
        if any(names):
            yield _cell(row, column or 0, at)


def _cell(row: list[str], column: int, at: int) -> Entry:
    swallowed = any("\n" in cell and "://" in cell.partition("\n")[2] for cell in row)
    if swallowed:
        return at, row[0], "a quote before this line is not closed; the lines in it are lost"
    if column >= len(row) or not row[column].strip():
        return at, "", "the row has no link"
    return at, row[column].strip(), None


def _read_jsonl(source: str) -> Iterator[Entry]:
    for number, text, error in _lines(source, MAX_ROW_BYTES):
        if error or not text.strip():
            if error:
                yield number, text, error
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as bad:
            yield number, text, f"no JSON: {bad}"
            continue
        if isinstance(value, dict):
            value = next((value[name] for name in COLUMNS if name in value), None)
        yield _value(number, value, f"no text, and no object with {', '.join(COLUMNS)}")


def _read_parquet(source: str) -> Iterator[Entry]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(source) as file:
            names = file.schema_arrow.names
            name = next((name for name in COLUMNS if name in names), names[0] if names else "")
            rows = (value for batch in file.iter_batches(1024, columns=[name]) for value in batch[0].to_pylist())
            for number, value in enumerate(rows, start=1):
                yield _value(number, value, f"column `{name}` holds no text here")
    except pyarrow.ArrowException as error:
        raise UsageError(f"{source}: no readable Parquet ({error}); {WOULD_DO}") from error


def _value(number: int, value: Any, otherwise: str) -> Entry:
    if isinstance(value, str):
        return number, value.strip(), None
    return number, "", otherwise


def _lines(source: str, most: int) -> Iterator[Entry]:
    """The lines of a UTF-8 file without line ends and BOM; one that is no text or over `most` bytes has an error."""
    with open(source, "rb") as file:
        for number in itertools.count(1):
            line = file.readline(most + 3)
            if not line:
                return
            long = len(line.rstrip(b"\r\n")) > most
            end = line
            while not end.endswith(b"\n") and end:
                end = file.readline(2**16)  # the rest of a longer line
            yield _decode(number, line.rstrip(b"\r\n"), long, most)


def _decode(number: int, line: bytes, long: bool, most: int) -> Entry:
    text = line.decode("utf-8-sig" if number == 1 else "utf-8", errors="replace")
    if long:
        return number, text, f"longer than {most} bytes"
    if "\ufffd" in text and b"\xef\xbf\xbd" not in line:
        return number, text, "not UTF-8"
    return number, text.replace("\0", "\ufffd"), "holds a NUL" if "\0" in text else None


SUFFIXES = {
    ".csv": "table", ".tsv": "table", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"
}  # fmt: skip

SOURCES: dict[str, Reader] = {
    "text": _read_text,
    "table": _read_table,
    "jsonl": _read_jsonl,
    "parquet": _read_parquet,
    "folder": _read_folder,
    "file": _read_file,
    "link": _read_one,
}
"""Kind of source -> its reader. A new kind is a function here, a name in `kind_of`, and this line."""
