"""Proxies while they are made: players get the first seconds while the rest is encoded; one that nobody waits for is given up."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hdvg.errors import HdvgError

AT_ONCE = 2
"""Proxies that are made at a time; others wait for their turn."""
PIECE = 2**18


class Growing:
    """What of one proxy is written so far, for many readers."""

    def __init__(self) -> None:
        self.began, self.ended = threading.Event(), threading.Event()
        """`began`: there are bytes to read, or it has ended without any."""
        self.error: HdvgError | None = None
        self.readers = 0
        self._handle: int | None = None

    def opened(self, path: Path) -> Path:
        """Make the file that the child fills. Only this file is read, whatever the child does to its name."""
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        weakref.finalize(self, os.close, self._handle)
        return path

    def read(self, at: int) -> bytes:
        """Bytes from `at` on, none where none are written yet."""
        return b"" if self._handle is None else os.pread(self._handle, PIECE, at)

    def end(self, error: HdvgError | None = None) -> None:
        """Nothing more will be written."""
        self.error = error
        self.ended.set()
        self.began.set()


Make = Callable[[Growing, Callable[[Any], bool]], None]
"""Writes a proxy; calls the function after each fragment, and ends early where it returns False. May raise HdvgError."""


class ProxyJobs:
    """The proxies that are being made, each by a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._by_name: dict[str, Growing] = {}

    def join(self, name: str, make: Make) -> Growing:
        """The proxy of that name, begun now where it is not; until `leave` its maker knows that someone waits."""
        with self._lock:
            growing = self._by_name.get(name)
            if growing is None:
                growing = self._by_name[name] = Growing()
                threading.Thread(target=self._work, args=(name, growing, make), daemon=True, name="proxy").start()
            growing.readers += 1
            return growing

    def leave(self, growing: Growing) -> None:
        """One reader less."""
        with self._lock:
            growing.readers -= 1

    def _work(self, name: str, growing: Growing, make: Make) -> None:
        def goes_on(fragment: Any) -> bool:
            growing.began.set()
            return self._is_wanted(name, growing)

        error = None
        with self._turns:
            try:
                if self._is_wanted(name, growing):
                    make(growing, goes_on)
            except HdvgError as raised:
                error = raised
            finally:
                self._drop(name, growing)
                growing.end(error)

    def _is_wanted(self, name: str, growing: Growing) -> bool:
        """Whether anyone waits; if not, who comes now begins anew."""
        with self._lock:
            if growing.readers == 0 and self._by_name.get(name) is growing:
                del self._by_name[name]
            return growing.readers > 0

    def _drop(self, name: str, growing: Growing) -> None:
        with self._lock:
            if self._by_name.get(name) is growing:
                del self._by_name[name]
