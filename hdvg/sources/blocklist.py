"""The block-list: hashes of files and of pictures that must not be stored."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from hdvg.config.fetch import Fetch
from hdvg.errors import ItemError, UsageError
from hdvg.ids import file_sha256
from hdvg.media.blocked import FLAT, Pictures

WOULD_DO = "64 hex digits (sha256 of a whole source file) or 16 (perceptual hash of a picture) would be fine, and # begins a comment"


@dataclass(frozen=True)
class BlockList:
    """What a list holds: sha256 of files, and pictures."""

    files: frozenset[str]
    pictures: Pictures

    def refuse(self, path: Path) -> None:
        """Raise ItemError("blocked_content") for a listed file."""
        if self.files and file_sha256(path) in self.files:
            raise ItemError("blocked_content", "the file is listed")


def block_list(settings: Fetch) -> BlockList:
    """The list that the settings name, empty if they name none; read again when the file has changed.

    Raises UsageError if it cannot be read or a line is neither hash nor comment.
    """
    if settings.block_list is None:
        return BlockList(frozenset(), Pictures())
    path = Path(settings.block_list)
    try:
        stat = path.stat()
        return _read(path, settings.block_distance, (stat.st_mtime_ns, stat.st_size))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"fetch.block_list: {path} cannot be read: {error}; name a text file, or no list") from error


@functools.lru_cache(maxsize=4)
def _read(path: Path, distance: int, _version: tuple[int, int]) -> BlockList:
    files: list[str] = []
    pictures: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        where = f"{path}, line {number}: {text[:80]!r}"
        if not re.fullmatch(r"[0-9a-fA-F]{64}|[0-9a-fA-F]{16}", text):
            raise UsageError(f"{where} is no hash: {WOULD_DO}")
        if len(text) == 16 and any((int(text, 16) ^ flat).bit_count() <= distance for flat in FLAT):
            raise UsageError(
                f"{where} is the hash of a picture without content, which would block every black frame: leave it out, or "
                f"make fetch.block_distance less than {distance}"
            )
        (files if len(text) == 64 else pictures).append(text.lower())
    return BlockList(frozenset(files), Pictures(tuple(sorted(set(pictures))), distance))
