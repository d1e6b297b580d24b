"""Copies of clips that the explorer makes for the browser: files below cache/, as many as 2 GB hold, the least used go first."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from hdvg.dataset.layout import CACHE

PROXIES = f"{CACHE}/proxies"
"""Below the dataset's folder; a purge takes it away with all of cache/."""
MOST_BYTES = 2 * 2**30


class Copies:
    """The copies of one dataset; for many threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._making: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._spare: tempfile.TemporaryDirectory[str] | None = None

    def find(self, name: str) -> Path | None:
        """The file of that name, which then counts as used."""
        path = self.folder / name
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)
            return path
        return None

    def made(self, name: str, make: Callable[[Path], None]) -> Path:
        """The file of that name; `make` writes it to the path it gets if it is not there."""
        with self._lock:
            mine = self._making.setdefault(name, threading.Lock())
        try:
            with mine:
                return self.find(name) or self._make(name, make)
        finally:
            with self._lock:
                self._making.pop(name, None)

    def held(self) -> list[str]:
        """Of which clips copies are kept, by hash or id."""
        return sorted({_clip_of(path) for path in self.folder.glob("*.mp4")})

    def prune(self, known: set[str]) -> None:
        """Remove the copies of all but these."""
        for path in self.folder.glob("*.mp4"):
            if _clip_of(path) not in known:
                path.unlink(missing_ok=True)

    @functools.cached_property
    def folder(self) -> Path:
        """In the dataset's folder; where that takes no files, a temporary one of this process alone."""
        if os.access(self._root, os.W_OK):
            return self._root / PROXIES
        self._spare = tempfile.TemporaryDirectory(prefix="hdvg-proxies-")
        return Path(self._spare.name)

    def _make(self, name: str, make: Callable[[Path], None]) -> Path:
        path = self.folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
        try:
            make(part)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        self._shrink(path)
        return path

    def _shrink(self, newest: Path) -> None:
        held = sorted(self.folder.glob("*.mp4"), key=lambda path: path.stat().st_mtime)
        size = sum(path.stat().st_size for path in held)
        for path in held:
            if size <= MOST_BYTES or path == newest:
                return
            size -= path.stat().st_size
            path.unlink(missing_ok=True)


def _clip_of(path: Path) -> str:
    return path.name.removesuffix(".mp4").removesuffix("-h264")
