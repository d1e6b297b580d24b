"""A part of a source: the bytes that were fetched, in one file that reads as if it were the whole source."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

MAGIC = b"hdvg excerpt 1\n"
HEAD_MOST = 64 * 2**20
"""Bytes of an excerpt's second line: a million ranges."""
EXTENSION = "excerpt"
BLOCK = 1 << 20
OPENING = 1 << 14
"""Bytes at the start that name a source."""

Piece = tuple[int, int, int]
"""[start, end) of the source, and where these bytes stand in the file that holds them."""

Filler = Literal["zeros", "free", "void", "none"]
"""What stands in a hole, so that a demuxer goes over it: `free` a box of MP4, `void` an element of Matroska; `none` where
there are no holes, for pieces are segments that stand one behind the other."""


@dataclass(frozen=True)
class Layout:
    """Where the bytes of an excerpt belong: `pieces` are sorted and apart; of segments, `numbers` are theirs in the playlist.

    `opening` is the hash of the source's own first bytes, which fillers may hide; of segments it is empty: nothing is hidden.
    """

    size: int
    filler: Filler
    pieces: tuple[tuple[int, int], ...]
    numbers: tuple[int, ...] = ()
    opening: str = ""


def merged(ranges: Iterable[Sequence[int]], *, gap: int = 0) -> list[tuple[int, int]]:
    """The ranges sorted, with those put together that overlap, touch, or leave at most `gap` bytes between them."""
    found: list[tuple[int, int]] = []
    for start, end in sorted((one[0], one[1]) for one in ranges if one[0] < one[1]):
        if found and start <= found[-1][1] + gap:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def missing(ranges: Iterable[Sequence[int]], held: Iterable[Sequence[int]]) -> list[tuple[int, int]]:
    """What of `ranges` is not in `held`."""
    have, lost = merged(held), []
    for start, end in merged(ranges):
        for one, two in have:
            if one < end and start < two:
                if start < one:
                    lost.append((start, one))
                start = max(start, two)
        if start < end:
            lost.append((start, end))
    return lost


def without(pieces: Iterable[Piece], hidden: Sequence[tuple[int, int]]) -> list[Piece]:
    """The pieces, less what is hidden of them."""
    return [(one, two, at + one - start) for start, end, at in pieces for one, two in missing([(start, end)], hidden)]


class HoleError(OSError):
    """A byte was read that has not been fetched."""


class Excerpt(io.RawIOBase):
    """The whole source as a file to read, of which only pieces are there.

    If `strict`, the file seems to end at a hole, and `missed` says where; else holes hold what `filler` says. `failed` holds
    the machine's error, if a read failed.
    """

    def __init__(
        self, file: BinaryIO, pieces: Sequence[Piece], *, size: int, filler: Filler, strict: bool = False
    ) -> None:
        self._file = file
        self._pieces = sorted(pieces)
        self._starts = [piece[0] for piece in self._pieces]
        self._held = merged(self._pieces)
        self._held_starts = [start for start, _ in self._held]
        self._at = 0
        self.size = size
        self.filler: Filler = filler
        self.strict = strict
        self.missed: list[int] = []
        self.failed: OSError | None = None
        self.reach = 0
        """The end of what was read in one go from the start."""
        self.name = "source"

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Up to so many bytes, fewer where a piece or a hole ends."""
        left = self.size - self._at if size < 0 else min(size, self.size - self._at)
        if left <= 0:
            return b""
        number = bisect_right(self._starts, self._at) - 1
        start, end, at = self._pieces[number] if number >= 0 else (0, 0, 0)
        data = self._there(at + self._at - start, min(left, end - self._at)) if self._at < end else self._hole(left)
        if self._at <= self.reach:
            self.reach = max(self.reach, self._at + len(data))
        self._at += len(data)
        return data

    def close(self) -> None:
        self._file.close()
        super().close()

    def holds(self, start: int, end: int) -> bool:
        """Whether all these bytes are there."""
        number = bisect_right(self._held_starts, start) - 1
        return number >= 0 and end <= self._held[number][1]

    def _there(self, at: int, size: int) -> bytes:
        try:
            self._file.seek(at)
            return self._file.read(size)
        except OSError as error:
            self.failed = error
            raise

    def _hole(self, left: int) -> bytes:
        if self.strict:
            self.missed.append(self._at)
            return b""
        number = bisect_right(self._held_starts, self._at)
        start = self._held[number - 1][1] if number else 0
        end = self._held[number][0] if number < len(self._held) else self.size
        head = _head(self.filler, end - start)[self._at - start :]
        return (head + bytes(max(min(left, end - self._at) - len(head), 0)))[:left]


def _head(filler: Filler, length: int) -> bytes:
    """How a box or element of that length begins whose content is nothing."""
    if filler == "free" and length >= 8:
        return struct.pack(">I4s", length, b"free") if length < 2**32 else struct.pack(">I4sQ", 1, b"free", length)
    if filler == "void" and length >= 9:
        return b"\xec\x01" + (length - 9).to_bytes(7)
    if filler == "void" and length >= 2:
        return bytes([0xEC, 0x80 | (length - 2)])
    return b""


def opening_sha256(path: Path) -> str:
    """Hash of a source's first 16 KiB, whether it was fetched in part or whole: what its clips are named by."""
    if not is_excerpt(path):
        with path.open("rb") as source:
            return _opening(source)
    with open_excerpt(path) as excerpt:
        return read_layout(path).opening or _opening(excerpt)


def held_opening(held: Path, pieces: Sequence[Piece], size: int) -> str:
    """The same of what has come of a source, before any of it is hidden."""
    with Excerpt(held.open("rb"), pieces, size=size, filler="zeros", strict=True) as source:
        return _opening(source)


def _opening(source: BinaryIO | Excerpt) -> str:
    head = b""
    while len(head) < OPENING and (data := source.read(OPENING - len(head))):
        head += data
    return hashlib.sha256(head).hexdigest()


def is_excerpt(path: str | Path) -> bool:
    """Whether a file is an excerpt."""
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_layout(path: str | Path) -> Layout:
    """The layout of an excerpt. Raises ValueError if it is none."""
    with open(path, "rb") as file:
        return _layout(file)


def open_excerpt(path: str | Path) -> Excerpt:
    """An excerpt, to read. Raises ValueError if it is none, or breaks off."""
    file = open(path, "rb")  # noqa: SIM115  # the excerpt closes it
    layout = _layout(file)
    at, pieces = file.tell(), []
    for start, end in layout.pieces:
        pieces.append((start, end, at))
        at += end - start
    if at != os.fstat(file.fileno()).st_size:
        raise ValueError("an excerpt breaks off")
    return Excerpt(file, pieces, size=layout.size, filler=layout.filler)


def excerpt_of(container: Any) -> Excerpt | None:
    """The excerpt that an opened container reads, None if it reads a whole file."""
    file = container.file.file if container.file is not None else None
    return file if isinstance(file, Excerpt) else None


def write_excerpt(path: Path, held: Path, pieces: Sequence[Piece], layout: Layout) -> None:
    """Write an excerpt of the bytes that stand in `held`; the same layout and bytes give the same file."""
    whole = Excerpt(held.open("rb"), pieces, size=layout.size, filler=layout.filler, strict=True)
    with whole, path.open("xb") as target:
        target.write(MAGIC + json.dumps(asdict(layout), separators=(",", ":")).encode() + b"\n")
        for start, end in layout.pieces:
            whole.seek(start)
            while start < end:
                data = whole.read(min(BLOCK, end - start))
                if not data:
                    raise HoleError(f"byte {start} has not been fetched")
                target.write(data)
                start += len(data)


def _layout(file: BinaryIO) -> Layout:
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError("no excerpt")
    layout = json.loads(file.readline(HEAD_MOST))
    pieces = tuple((int(start), int(end)) for start, end in layout["pieces"])
    return Layout(
        int(layout["size"]), layout["filler"], pieces, tuple(map(int, layout["numbers"])), str(layout["opening"])
    )
