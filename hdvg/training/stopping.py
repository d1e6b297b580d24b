"""When a training ends before its length: a signal, numbers that are not finite, a loss that went away for good."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

HALF_LIFE = 50
"""Steps after which a loss counts half in the running mean."""
FAR = 3.0
"""A running mean is far off at so many times the lowest there was."""
LONG = 200
"""Steps on end that it must be far off."""
EXITS = {signal.SIGINT: 130, signal.SIGTERM: 143}


@dataclass
class Divergence:
    """Watches the running mean of the loss; lost is a run whose mean was above `FAR` times its lowest for `LONG` steps."""

    steps: int = 0
    mean: float = 0.0
    lowest: float = math.inf
    above: int = 0

    def see(self, loss: float) -> bool:
        """Whether the run is lost with this step's loss."""
        kept = 0.5 ** (1 / HALF_LIFE)
        self.steps += 1
        self.mean += (1 - kept) / (1 - kept**self.steps) * (loss - self.mean)
        if self.steps >= HALF_LIFE:
            self.lowest = min(self.lowest, self.mean)
        self.above = self.above + 1 if self.mean > FAR * self.lowest else 0
        return self.above >= LONG

    def state(self) -> dict[str, float | int | None]:
        """As JSON takes it, for a checkpoint."""
        lowest = self.lowest if math.isfinite(self.lowest) else None
        return {"steps": self.steps, "mean": self.mean, "lowest": lowest, "above": self.above}

    @classmethod
    def of(cls, state: dict[str, float | int | None]) -> Divergence:
        """Back from what `state` returned."""
        lowest = state["lowest"]
        return cls(
            int(state["steps"] or 0),
            float(state["mean"] or 0),
            math.inf if lowest is None else lowest,
            int(state["above"] or 0),
        )


class Signals:
    """Ctrl-C and SIGTERM, asked for between steps; `code` is what to exit with, once one came."""

    code: int | None = None

    def __call__(self) -> int | None:
        return self.code

    @contextmanager
    def caught(self) -> Iterator[None]:
        """While this lasts a signal is only noted, the second one interrupts; nothing changes outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number: int, _: FrameType | None) -> None:
            if self.code is not None:
                raise KeyboardInterrupt
            self.code = EXITS[signal.Signals(number)]

        before = {number: signal.signal(number, note) for number in EXITS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
