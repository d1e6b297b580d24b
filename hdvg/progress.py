"""Show an encoding as it goes: bars with an ETA on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from rich.console import Console

    from hdvg.latents.jobs import Done

LINE_EVERY_S = 5.0


class Bars:
    """A `Watch` on the terminal; a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description:>6}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._done = {"clips": 0, "texts": 0, "failed": 0}
        self._totals = {"clips": 0, "texts": 0}
        self._start = self._last = time.monotonic()

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, clips: int, texts: int) -> None:
        """So much is to be made."""
        self._start = self._last = time.monotonic()
        self._totals = {"clips": clips, "texts": texts}
        self._tasks = {name: self._bars.add_task(name, total=total, note="") for name, total in self._totals.items()}

    def __call__(self, done: Done) -> None:
        """One job is over."""
        failed = sum(done.failed.values())
        self._done["failed"] += failed
        for name, count in (("clips", done.clips), ("texts", done.texts)):
            self._done[name] += count
            gone = count + (failed if name == "clips" else 0)
            note = f"{self._done['failed']} failed" if name == "clips" and self._done["failed"] else ""
            self._bars.update(self._tasks[name], advance=gone, note=note)
        if not self._console.is_terminal and time.monotonic() - self._last > LINE_EVERY_S:
            self._say()

    def _say(self) -> None:
        self._last = time.monotonic()
        spent = self._last - self._start
        clips = self._done["clips"] + self._done["failed"]
        share = clips / self._totals["clips"] if self._totals["clips"] else 1.0
        left = f"ETA {spent / share - spent:.0f} s" if 0 < share < 1 else "texts next"
        counts = " · ".join(f"{self._done[name]}/{total} {name}" for name, total in self._totals.items())
        self._console.print(f"{spent:6.1f} s  {counts}  {self._done['failed']} failed  {left}", highlight=False)
