"""Read links from lists, tables, folders or the command line, and bring each to its one canonical spelling."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hdvg.errors import ItemError, UsageError
from hdvg.sources.canonical import MAX_CHARS, canonical, local_path, masked
from hdvg.sources.columns import Columns, Entry
from hdvg.sources.folder import VIDEO_SUFFIXES, passed_over, taken_files
from hdvg.sources.list_lines import read_concat, read_json, read_jsonl, read_text
from hdvg.sources.list_tables import is_table, read_parquet, read_table
from hdvg.sources.sniff import FFCONCAT, head_of, is_media, packed, text_of

__all__ = ["SOURCES", "Columns", "Link", "canonical", "local_path", "read_links"]

WOULD_DO = (
    "give a list of links (text, CSV, JSON, JSON lines or Parquet), a folder with videos, one video file, "
    "or one http(s) link"
)


@dataclass(frozen=True)
class Link:
    """One entry of a list: the text as given, its line or row (1-based), and its canonical form or what is wrong."""

    raw: str
    line: int
    source: str | None = None
    error: str | None = None
    text: str | None = None


Reader = Callable[[str, Columns, Path], Iterator[Entry]]


def read_links(source: str, *, all_files: bool = False, columns: Columns = Columns()) -> Iterator[Link]:  # noqa: B008 - frozen
    """Yield the links of a list (see `WOULD_DO`) in its order; a bad line is a Link with an error, the rest goes on.

    A list may also hold paths of video files, absolute or relative to the list. Of a folder the files are taken that end as
    videos do, or with `all_files` every file, hidden ones never: what it holds is found when it is probed.
    Raises UsageError, before the first link, for a missing or unreadable source, for one that holds no link, and for a table
    in which no column is known, or not the one asked for.
    """
    kind = kind_of(source)
    base = Path(source).absolute().parent if kind != "link" else None
    read = partial(_read_folder, all_files=all_files) if kind == "folder" else SOURCES[kind]
    entries = read(source, columns, base or Path())
    try:
        first = next(entries, None)
    except OSError as error:
        raise UsageError(f"{source}: {error.strerror or error}; {WOULD_DO}") from error
    if first is None:
        found = "no link in it"
        if kind == "folder":
            found = "no video file in this folder; " + (passed_over(source, all_files=all_files) or "it is empty")
        raise UsageError(f"{source}: {found}; {WOULD_DO}")
    return (_link(entry, base) for entry in itertools.chain([first], entries))


def _link(entry: Entry, base: Path | None) -> Link:
    shown = masked(entry.link.encode("utf-8", "replace").decode())  # a file name may hold bytes that are no text
    error = entry.error
    if error is None:
        try:
            return Link(shown, entry.line, entry.held or canonical(entry.link, base=base), text=entry.text)
        except ItemError as bad:
            error = bad.detail
    return Link(shown[:MAX_CHARS], entry.line, None, f"line {entry.line}: {error}")


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
    by_name = "file" if suffix in VIDEO_SUFFIXES else SUFFIXES.get(suffix, "text")
    return by_name if by_name == "file" or not path.is_file() else _by_content(path, by_name)


def _by_content(path: Path, by_name: str) -> str:
    """As `kind_of`, of a regular file, by its first bytes. Raises UsageError for an archive or a document."""
    try:
        head = head_of(path)
    except OSError:
        return by_name  # the reader says why
    if head.startswith(b"PAR1"):
        return "parquet"
    if what := packed(head):
        raise UsageError(f"{path}: {what}: unpack it, or save it as CSV, first; {WOULD_DO}")
    if by_name == "parquet" or not head:
        return by_name
    if is_media(head):
        return "file"
    text = text_of(head)
    if FFCONCAT.match(text):
        return "concat"
    start = text.lstrip()[:1]
    if by_name == "jsonl" and start == "[":
        return "json"
    if by_name == "text":
        return {"[": "json", "{": "jsonl"}.get(start) or ("table" if is_table(text) else "text")
    return by_name


def _read_one(source: str, columns: Columns, base: Path) -> Iterator[Entry]:
    yield Entry(1, source)


def _read_file(source: str, columns: Columns, base: Path) -> Iterator[Entry]:
    yield Entry(1, str(Path(source).absolute()))


def _read_folder(source: str, columns: Columns, base: Path, *, all_files: bool = False) -> Iterator[Entry]:
    for number, path in enumerate(taken_files(source, all_files=all_files), start=1):
        yield Entry(number, path)


SUFFIXES = {
    ".csv": "table", ".tsv": "table", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json",
    ".parquet": "parquet", ".pq": "parquet", ".ffconcat": "concat",
}  # fmt: skip

SOURCES: dict[str, Reader] = {
    "text": read_text,
    "table": read_table,
    "json": read_json,
    "jsonl": read_jsonl,
    "concat": read_concat,
    "parquet": read_parquet,
    "folder": _read_folder,
    "file": _read_file,
    "link": _read_one,
}
"""Kind of source -> its reader. A new kind is a function here, a name in `kind_of`, and this line."""
