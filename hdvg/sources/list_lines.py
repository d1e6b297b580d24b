"""Lists in lines: of links, of ffmpeg's concat, of JSON."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from hdvg.errors import UsageError
from hdvg.sources.canonical import MAX_CHARS
from hdvg.sources.columns import Columns, Entry, entry_of, find_columns, refuse_unknown
from hdvg.sources.sniff import open_text

MAX_ROW_BYTES = 2**20
MAX_JSON_BYTES = 1 << 30
QUOTES = "\"'"
CONCAT_FILE = re.compile(r"file\s+(.+)", re.IGNORECASE)


def read_text(source: str, columns: Columns, base: Path) -> Iterator[Entry]:
    """A link a line; one may stand in quotes, and what begins with # is a comment."""
    for line, text, error in lines(source, MAX_CHARS):
        text = text.strip()
        if error or (text and not text.startswith("#")):
            is_quoted = len(text) > 2 and text[0] in QUOTES and text[-1] == text[0]
            yield Entry(line, text[1:-1].strip() if is_quoted else text, error)


def read_concat(source: str, columns: Columns, base: Path) -> Iterator[Entry]:
    """The files of an ffconcat script; its other directives say how they are played, and are passed over."""
    for line, text, error in lines(source, MAX_CHARS):
        found = CONCAT_FILE.fullmatch(text.strip())
        if error or found:
            yield Entry(line, _unescaped(found[1]) if found else text, error)


def _unescaped(text: str) -> str:
    """A string as FFmpeg writes it: all in quotes is as it stands, elsewhere a backslash keeps the next character."""
    pieces = re.findall(r"'([^']*)'|\\(.)|([^'\\]+)", text.strip())
    return "".join("".join(piece) for piece in pieces)


def read_jsonl(source: str, columns: Columns, base: Path) -> Iterator[Entry]:
    """Values of JSON, one a line: links, or objects with a column of links."""
    return _entries(_values(source), source, columns, base)


def read_json(source: str, columns: Columns, base: Path) -> Iterator[Entry]:
    """One array of links or of objects; what is none is read line by line. Raises UsageError."""
    with open_text(source) as file:
        text = file.read(MAX_JSON_BYTES + 1)
    if len(text) > MAX_JSON_BYTES:
        raise UsageError(f"{source}: JSON of more than {MAX_JSON_BYTES >> 20} MB; write one object a line (.jsonl)")
    try:
        whole = json.loads(text.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace"))
    except (ValueError, RecursionError) as error:
        whole = error
    if isinstance(whole, list):
        yield from _entries(((number, value, "") for number, value in enumerate(whole, start=1)), source, columns, base)
        return
    if isinstance(whole, Exception) and text.lstrip()[:1] == b"[" and not _is_line_of_json(text):
        raise UsageError(f"{source}: no readable JSON ({whole}); give an array of objects, or one object a line")
    yield from read_jsonl(source, columns, base)


def _is_line_of_json(text: bytes) -> bool:
    try:
        json.loads(text.lstrip().partition(b"\n")[0])
    except (ValueError, RecursionError):
        return False
    return True


Values = Iterator[tuple[int, Any, str]]  # line or number, the value, what is wrong with it


def _values(source: str) -> Values:
    for number, text, error in lines(source, MAX_ROW_BYTES):
        if error:
            yield number, text, error
        elif text.strip():
            try:
                yield number, json.loads(text), ""
            except (ValueError, RecursionError) as bad:
                yield number, text, f"no JSON: {bad}"


def _entries(values: Values, source: str, columns: Columns, base: Path) -> Iterator[Entry]:
    had_link = False
    for number, value, error in values:
        if error:
            yield Entry(number, str(value)[:MAX_CHARS], error)
        elif isinstance(value, str):
            had_link = True
            yield Entry(number, value.strip())
        elif isinstance(value, dict):
            found = find_columns(list(value), columns if not had_link else Columns(), source=source)
            if found is None and not had_link:
                refuse_unknown(value, source=source)
            had_link = True
            yield entry_of(value, number, found, base=base) if found else Entry(number, "", "an object without a link")
        else:
            yield Entry(number, "", "no text, and no object with a link")


def lines(source: str, most: int) -> Iterator[tuple[int, str, str | None]]:
    """Number from 1, text and fault of each line, without line ends and mark; one that is no text or over `most` bytes has one."""
    with open_text(source) as file:
        for number in itertools.count(1):
            line = file.readline(most + 3)
            if not line:
                return
            is_long = len(line.rstrip(b"\r\n")) > most
            _finish(file, line)
            yield _decoded(number, line.rstrip(b"\r\n"), most if is_long else None)


def _finish(file: IO[bytes], line: bytes) -> None:
    """Read the rest of a longer line."""
    while line and not line.endswith(b"\n"):
        line = file.readline(2**16)


def _decoded(number: int, line: bytes, over: int | None) -> tuple[int, str, str | None]:
    text = line.decode("utf-8-sig" if number == 1 else "utf-8", errors="replace")
    if over is not None:
        return number, text, f"longer than {over} bytes"
    if "\ufffd" in text and b"\xef\xbf\xbd" not in line:
        return number, text, "not UTF-8"
    return number, text.replace("\0", "\ufffd"), "holds a NUL" if "\0" in text else None
