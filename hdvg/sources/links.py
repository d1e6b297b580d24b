"""Read links from lists, tables, folders or the command line, and bring each to its one canonical spelling."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hdvg.config.fetch import Fetch
from hdvg.errors import HdvgError, ItemError, TransientError, UsageError
from hdvg.sources.buckets.environment import require_obstore
from hdvg.sources.buckets.spelling import is_bucket, is_folder, place_of
from hdvg.sources.buckets.store import Bucket, listed
from hdvg.sources.canonical import MAX_CHARS, canonical, local_path, masked
from hdvg.sources.columns import Columns, Entry
from hdvg.sources.egress import Ways, way_out
from hdvg.sources.folder import VIDEO_SUFFIXES, passed_over, taken_files, why_not
from hdvg.sources.list_lines import read_concat, read_json, read_jsonl, read_text
from hdvg.sources.list_tables import is_table, read_parquet, read_table
from hdvg.sources.sniff import FFCONCAT, head_of, is_media, packed, text_of

__all__ = ["SOURCES", "Columns", "Link", "canonical", "local_path", "read_links"]

WOULD_DO = (
    "give a list of links (text, CSV, JSON, JSON lines or Parquet), a folder with videos, one video file, "
    "one http(s) link, or an object or folder of a bucket (s3://, gs://, az://)"
)


@dataclass(frozen=True)
class Link:
    """One entry of a list: the text as given, its line or row (1-based), and its canonical form or what is wrong."""

    raw: str
    line: int
    source: str | None = None
    error: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Folders:
    """How folders are read: every file of them, or those that end as videos do, hidden ones never. Files that are not taken
    are counted by reason in `passed`. Buckets are reached as `ways` say, None as it comes."""

    all_files: bool = False
    ways: Ways | None = None
    passed: Counter[str] = field(default_factory=Counter)


Reader = Callable[..., Iterator[Entry]]
"""Of a source, `Columns`, and the folder that paths are taken from; one of folders also gets `folders`."""


def read_links(
    source: str,
    *,
    columns: Columns = Columns(),  # noqa: B008 - frozen
    folders: Folders | None = None,
) -> Iterator[Link]:
    """Yield the links of a list (see `WOULD_DO`) in its order; a bad line is a Link with an error, the rest goes on.

    A list may also hold paths of video files, absolute or relative to the list, and folders of buckets. What the files of a
    folder hold is found when they are probed.
    Raises UsageError, before the first link, for a missing or unreadable source, for one that holds no link, and for a table
    in which no column is known, or not the one asked for; and wherever a bucket cannot be reached from this machine.
    """
    kind, folders = kind_of(source), folders or Folders()
    if kind == "link" and is_bucket(source) and not Path(source).suffix and _has_below(source, folders):
        raise UsageError(
            f"{source}: that is a folder; with a slash at its end all videos below it are taken: {source}/"
        )
    base = Path(source).absolute().parent if kind not in {"link", "bucket"} else None
    read = partial(SOURCES[kind], folders=folders) if kind in FOLDERS else SOURCES[kind]
    entries = read(source, columns, base or Path())
    try:
        first = next(entries, None)
    except OSError as error:
        raise UsageError(f"{source}: {error.strerror or error}; {WOULD_DO}") from error
    if first is None:
        found = "no link in it"
        if kind in FOLDERS:
            found = "no video file in this folder; " + (passed_over(folders.passed) or "it is empty")
        raise UsageError(f"{source}: {found}; {WOULD_DO}")
    return _links(itertools.chain([first], entries), base, folders)


def _links(entries: Iterator[Entry], base: Path | None, folders: Folders) -> Iterator[Link]:
    is_ready = False
    for entry in entries:
        if entry.error is None and entry.held is None and is_folder(entry.link):
            yield from _links_below(entry, folders)
            continue
        link = _link(entry, base)
        if link.source and not is_ready and is_bucket(link.source):
            require_obstore()
            is_ready = True
        yield link


def _links_below(entry: Entry, folders: Folders) -> Iterator[Link]:
    """Those of a folder of a bucket that stands in a list."""
    found = False
    try:
        for one in _objects(entry.link, folders):
            found = True
            yield _link(one._replace(line=entry.line), None)
    except TransientError as error:
        raise _unlisted(entry.link, error) from None
    except ItemError as error:
        yield _link(entry._replace(error=error.detail), None)
        return
    if not found:
        yield _link(entry._replace(error="no video file in this folder"), None)


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
    if is_bucket(source):
        return "bucket" if is_folder(source) else "link"
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


def _read_folder(source: str, columns: Columns, base: Path, *, folders: Folders) -> Iterator[Entry]:
    for number, path in enumerate(taken_files(source, folders.passed, all_files=folders.all_files), start=1):
        yield Entry(number, path)


def _read_bucket(source: str, columns: Columns, base: Path, *, folders: Folders) -> Iterator[Entry]:
    try:
        yield from _objects(source, folders)
    except ItemError as error:
        raise _unlisted(source, error) from None


def _has_below(source: str, folders: Folders) -> bool:
    """Whether no object of a bucket has that name, and some lie below it: a folder that is written without its slash."""
    try:
        place, way = place_of(source), way_out(folders.ways or Fetch()).as_settings()
        below = next(Bucket(place._replace(key=f"{place.key}/"), way).objects(), None)
        return below is not None and Bucket(place._replace(key=""), way).version(place.key) is None
    except HdvgError:  # the fetch says what is wrong
        return False


def _unlisted(source: str, error: ItemError) -> UsageError:
    later = "run again later" if isinstance(error, TransientError) else WOULD_DO
    return UsageError(f"{masked(source)}: cannot be listed: {error.detail}; {later}")


def _objects(source: str, folders: Folders) -> Iterator[Entry]:
    """The objects below a folder of a bucket. Raises ItemError, UsageError."""
    place = place_of(source)
    number = 0
    for link, name in listed(place, way_out(folders.ways or Fetch()).as_settings()):
        if why := why_not(name, all_files=folders.all_files):
            folders.passed[why] += 1
            continue
        number += 1
        yield Entry(number, link)


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
    "bucket": _read_bucket,
    "file": _read_file,
    "link": _read_one,
}
"""Kind of source -> its reader. A new kind is a function here, a name in `kind_of`, and this line."""

FOLDERS = frozenset({"folder", "bucket"})
"""Kinds of sources that are folders."""
