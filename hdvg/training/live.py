"""A training run as it goes: a bar with an ETA on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hdvg.training.settings import Length
from hdvg.training.validation import FEW

LINE_EVERY_S = 10.0
Values = Mapping[str, float | None]


class View:
    """Shows the newest numbers of a run."""

    def __init__(self, console: Console, length: Length) -> None:
        self._console, self._length = console, length
        self._seen: dict[str, float] = {}
        self._last = -LINE_EVERY_S
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._bar = self._bars.add_task("step 0", total=1.0, said="", left="")
        self._bars.start()

    def show(self, step: int, values: Values, *, aloud: bool = False) -> None:
        """Numbers of a step; elsewhere than on a terminal they get a line if `aloud`, or if the last one is old."""
        self._seen |= {name: value for name, value in values.items() if value is not None}
        left_s = self._left_s(step)
        left = "" if left_s is None else f"ETA {clock(left_s)}"
        self._bars.update(
            self._bar, description=f"step {step}", completed=self._done(step), said=said(self._seen), left=left
        )
        if not self._console.is_terminal and (aloud or time.monotonic() - self._last >= LINE_EVERY_S):
            self._last = time.monotonic()
            self._console.print(f"step {step}  {said(self._seen)}  {left}".rstrip(), highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the terminal as it is."""
        self._bars.stop()

    def _done(self, step: int) -> float:
        """Which share of the run is over, by whichever bound is nearer."""
        steps = step / self._length.steps if self._length.steps else 0.0
        minutes = self._seen.get("minutes", 0.0) / self._length.minutes if self._length.minutes else 0.0
        return min(max(steps, minutes), 1.0)

    def _left_s(self, step: int) -> float | None:
        """Seconds to the nearer bound; None while the pace is not known."""
        bounds = []
        if self._length.steps and self._seen.get("steps_s"):
            bounds.append((self._length.steps - step) / self._seen["steps_s"])
        if self._length.minutes and "minutes" in self._seen:
            bounds.append((self._length.minutes - self._seen["minutes"]) * 60)
        return max(min(bounds), 0.0) if bounds else None


def said(values: Mapping[str, float]) -> str:
    """The numbers in words; those that are not there are left out."""
    words = []
    if "loss" in values:
        words.append(f"loss {values['loss']:.4g}")
    if "validation" in values:
        words.append(f"validation {values['validation']:.4g}")
    if "validation_change" in values:
        low, high = values.get("validation_change_low"), values.get("validation_change_high")
        bounds = "" if low is None or high is None else f" [{low:+.4f}, {high:+.4f}]"
        few = values.get("validation_clips", FEW) < FEW
        over = (
            " over {validation_windows:.0f} windows of {validation_clips:.0f} clips".format_map(values) if few else ""
        )
        words.append(f"change {values['validation_change']:+.4f}{bounds}{over if bounds else ''}")
    for name, text in (
        ("samples_s", "{:.3g} samples/s"),
        ("data_stall", "stall {:.1%}"),
        ("of_floor", "{:.0%} of floor"),
    ):
        if name in values:
            words.append(text.format(values[name]))
    return " · ".join(words)


def clock(seconds: float) -> str:
    """1:02:03, or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
