"""Show an export as it goes: a bar with an ETA on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from hdvg.exporting.piece import Piece

LINE_EVERY_S = 5.0


class Progress:
    """Counts the clips of the files that are there; a context manager."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total = console, total
        self._done = self._fresh = 0
        self._start = self._last = time.monotonic()
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("clips"), TimeElapsedColumn(), TextColumn("ETA"))
        self._bars = Bars(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
        self._task = self._bars.add_task("export", total=total)

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def advance(self, piece: Piece, written: bool) -> bool:
        """One file more is there; `written` says, and is returned, whether it was not there before."""
        self._done += piece.clips
        self._fresh += piece.clips * written
        self._bars.update(self._task, completed=self._done)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._last > LINE_EVERY_S:
            self._last, spent = now, now - self._start
            left = (self._total - self._done) * spent / self._fresh if self._fresh else None
            eta = "" if left is None else f", ETA {left:.0f} s"
            self._console.print(f"{spent:6.1f} s  {self._done}/{self._total} clips{eta}", highlight=False)
        return written
