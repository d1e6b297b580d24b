"""What a file that is given as links is, by its first bytes: a video, a table, lines, or none of these."""

from __future__ import annotations

import re
import tempfile
from io import TextIOWrapper
from pathlib import Path
from shutil import copyfileobj
from typing import IO

HEAD_BYTES = 1 << 16
CHUNK = 1 << 20
MARKS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"\xef\xbb\xbf": "utf-8-sig",
}
MEDIA = re.compile(
    rb".{4}(?:ftyp|moov|mdat|free|skip|wide|pnot)|\x1aE\xdf\xa3|RIFF.{4}(?:AVI |WEBP|CDXA)|OggS|FLV\x01|\x30\x26\xb2\x75|\x00\x00\x01|"
    rb"\x00\x00\x00\x01|\x06\x0e\x2b\x34|DKIF|GIF8|\.RMF|nut/multimedia|YUV4MPEG2 |\x89PNG|\xb7\xd8\x00\x20|\x1f\x07\x00",
    re.DOTALL,
)
"""How containers and bare streams of video begin."""

PACKED = {
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"\x1f\x8b": "packed by gzip",
    b"BZh": "packed by bzip2",
    b"\xfd7zXZ\x00": "packed by xz",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"%PDF": "a PDF",
    b"SQLite format 3": "a SQLite database",
    b"ARROW1": "an Arrow file",
}
CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b")) + b"\x7f"
CONTROLS_MOST = 0.05
"""Of a text's first bytes, at most so many are control characters; of noise 10 % are."""

FFCONCAT = re.compile(r"(?:\s|#[^\n]*\n)*(?:ffconcat version |file\s+\S)", re.IGNORECASE)


def head_of(path: str | Path) -> bytes:
    """The first bytes of a regular file."""
    with open(path, "rb") as file:
        return file.read(HEAD_BYTES)


def packed(head: bytes) -> str:
    """What such a file is, if a list may be in it but cannot be read from it; "" if not."""
    return next((what for start, what in PACKED.items() if head.startswith(start)), "")


def is_media(head: bytes) -> bool:
    """Whether so no text begins: a video, or bytes that only a decoder can tell."""
    if encoding(head) is not None:
        return False
    strange = len(head) - len(head.translate(None, CONTROLS))
    return MEDIA.match(head) is not None or strange > CONTROLS_MOST * len(head)


def encoding(head: bytes) -> str | None:
    """The encoding of a text that says so or whose bytes show it; None: take it for UTF-8, without a mark."""
    for mark, name in MARKS.items():
        if head.startswith(mark):
            return name
    even, odd = head[::2], head[1::2]
    if len(odd) < 4 or MEDIA.match(head):
        return None
    zeros = even.count(0) / len(even), odd.count(0) / len(odd)
    if max(zeros) > 0.4 and min(zeros) < 0.05:
        return "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"
    return None


def text_of(head: bytes) -> str:
    """The first characters of a text, without a mark, each line ended by a line feed."""
    text = head.decode(encoding(head) or "utf-8", errors="replace")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def open_text(source: str) -> IO[bytes]:
    """The list as UTF-8 lines that line feeds end, from its start; it may be a pipe.

    What is written otherwise (UTF-16, carriage returns alone) is rewritten into a passing file.
    """
    file: IO[bytes] = open(source, "rb")  # noqa: SIM115 - the caller closes what is returned
    if not file.seekable():
        file = _spooled(file)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    name = encoding(head)
    if name in (None, "utf-8-sig") and not (b"\r" in head and b"\n" not in head):
        return file
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - as above
    errors = "surrogateescape" if name in (None, "utf-8-sig") else "replace"
    with TextIOWrapper(file, encoding=name or "utf-8", errors=errors, newline=None) as lines:
        while text := lines.read(CHUNK):
            spool.write(text.removeprefix("\ufeff").encode("utf-8", errors))
    spool.seek(0)
    return spool


def _spooled(pipe: IO[bytes]) -> IO[bytes]:
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - as above
    with pipe:
        copyfileobj(pipe, spool, CHUNK)
    spool.seek(0)
    return spool
