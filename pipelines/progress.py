"""Show a run as it goes: bars with an ETA on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hdvg.dataset.run_log import LOGGER
from hdvg.sources.runtime import INSTALL
from pipelines.perform import Done

LINE_EVERY_S = 5.0
HINTS = {
    "runtime": f"some links are of a site that needs a JavaScript runtime and a solver: {INSTALL}; then run again "
    "(`hdvg doctor` says what is there)",
    "solver": f"the installed yt-dlp cannot read some links' site any more: {INSTALL}; then run again",
}
"""What to do about failures that lie in this machine; said once a run."""


@dataclass
class Use:
    """How well a stage's model was used, over its jobs so far."""

    units: int = 0
    busy_s: float = 0.0
    spent_s: float = 0.0
    ahead: list[float] = field(default_factory=list)

    def add(self, done: Done) -> None:
        """One job more."""
        self.units += 1
        self.busy_s += done.busy_s
        self.spent_s += done.seconds
        self.ahead += [] if done.ahead is None else [done.ahead]

    @property
    def busy_share(self) -> float | None:
        """The share of its jobs' time that the model worked; None for a stage whose model does not measure it."""
        return self.busy_s / self.spent_s if self.busy_s else None

    @property
    def batches_ahead(self) -> float | None:
        """How many batches stood ready when the model took one, on average."""
        return fmean(self.ahead) if self.ahead else None

    @property
    def summary(self) -> str:
        """Both in words; "" if neither is known."""
        if self.busy_share is None or self.batches_ahead is None:
            return ""
        return f"model busy {self.busy_share:.0%}, {self.batches_ahead:.1f} batches ahead"


def _log(done: Done) -> None:
    """A line in the run's log: a warning if items failed."""
    counts = (
        ", ".join(f"{count} {word}" for word, count in {**done.statuses, **done.reasons}.items()) or "nothing to do"
    )
    level = logging.WARNING if done.reasons else logging.DEBUG
    LOGGER.log(level, "%s, unit %s: %s in %.1f s", done.stage, done.unit, counts, done.seconds)


class Reporter:
    """Counts the jobs of each stage; a context manager."""

    def __init__(self, totals: dict[str, int], console: Console) -> None:
        self.statuses: dict[str, Counter[str]] = {stage: Counter() for stage in totals}
        self.reasons: Counter[str] = Counter()
        self._use: dict[str, Use] = {stage: Use() for stage in totals}
        self._totals = totals
        self._console = console
        self._start = self._last = time.monotonic()
        self._unsaid = False
        self._bars = Progress(
            TextColumn("{task.description:>9}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("units  {task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks = {stage: self._bars.add_task(stage, total=total, note="") for stage, total in totals.items()}

    def __enter__(self) -> Reporter:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
        if self._unsaid:
            self._say()

    def report(self) -> dict[str, Any]:
        """What each stage did so far, ready for JSON."""
        return {
            stage: {"units": use.units, **self.statuses[stage], "spent_s": round(use.spent_s, 3)}
            | {"model_busy_share": use.busy_share, "batches_ahead": use.batches_ahead}
            for stage, use in self._use.items()
            if use.units
        }

    def __call__(self, done: Done) -> None:
        """One job is over."""
        self.statuses[done.stage].update(done.statuses)
        _log(done)
        for reason in HINTS.keys() & done.reasons.keys() - self.reasons.keys():
            self._console.print(HINTS[reason], highlight=False)
        self.reasons.update(done.reasons)
        note = ", ".join(
            f"{count} {status}" for status, count in sorted(self.statuses[done.stage].items(), reverse=True)
        )
        use = self._use[done.stage]
        use.add(done)
        self._bars.update(self._tasks[done.stage], advance=1, note=", ".join(filter(None, (note, use.summary))))
        self._unsaid = not self._console.is_terminal
        if self._unsaid and time.monotonic() - self._last > LINE_EVERY_S:
            self._say()

    def _say(self) -> None:
        self._last, self._unsaid = time.monotonic(), False
        spent = time.monotonic() - self._start
        share = sum(use.units for use in self._use.values()) / max(sum(self._totals.values()), 1)
        left = f"ETA {spent / share - spent:.0f} s" if 0 < share < 1 else "done"
        counts = " · ".join(
            f"{stage} {self._use[stage].units}/{total}{summary and f' ({summary})'}"
            for stage, total in self._totals.items()
            for summary in [self._use[stage].summary]
        )
        self._console.print(f"{spent:6.1f} s  {counts} units  {left}", highlight=False)
