"""Work in batches that shrink when GPU memory runs short, and that grow as long as there is room."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from hdvg.errors import ResourceError
from hdvg.networks.memory import Memory, memory_of

Item = TypeVar("Item")
Result = TypeVar("Result")

CAP = {"cuda": 256, "cpu": 64}
"""Largest batch that is found; beyond it nothing gets faster."""

UNMEASURED = 8
"""The batch where memory cannot be watched."""

FREE_SHARE = {"cuda": 0.8, "cpu": 0.5}
"""Of what is free, how much batches may take; main memory has other users, and a process that takes it all is killed."""

LONGEST_S = 60.0
"""A batch is what a killed worker loses, so it does not grow beyond this."""


def in_batches(
    work: Callable[[Sequence[Item]], list[Result]], *, items: Sequence[Item], size: int, short: str
) -> tuple[list[Result], int]:
    """`work` over `items`, `size` at a time, and the size that fitted: torch's OutOfMemoryError halves it.

    Raises ResourceError if one item alone does not fit; `short` is its text.
    """
    import torch

    results: list[Result] = []
    while len(results) < len(items):
        batch = items[len(results) : len(results) + size]
        try:
            results += work(batch)
            continue
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise ResourceError(short) from error
        torch.cuda.empty_cache()  # outside of `except`, where the traceback still holds the tensors
        size = len(batch) // 2
    return results, size


class Batches:
    """Batches of a fixed size, or of one that is found at work: 1, 2, 4, ... as long as the next one is expected to fit.

    What an item takes is the slope of the peak from one item on, so weights, which are always there, do not count.
    """

    def __init__(
        self,
        *,
        fixed: int,
        device: str,
        memory_gb: float | None,
        short: str,
        memory: Memory | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`fixed`: 0 finds it; `memory_gb`: what batches may take (None: most of what is free); see `in_batches`."""
        self._memory = None if fixed else memory or memory_of(device)
        self._cap, self._share, self._budget_gb = CAP[device], FREE_SHARE[device], memory_gb
        self._short, self._clock = short, clock
        self._peak_of_one = 0
        self._growing = self._memory is not None
        self.size = fixed or (1 if self._growing else UNMEASURED)

    def over(self, items: Sequence[Item], work: Callable[[Sequence[Item]], list[Result]]) -> list[Result]:
        """`work` over `items`. Raises ResourceError if one alone does not fit into memory."""
        results: list[Result] = []
        while len(results) < len(items):
            results += self._one(items[len(results) : len(results) + self.size], work)
        return results

    def _one(self, batch: Sequence[Item], work: Callable[[Sequence[Item]], list[Result]]) -> list[Result]:
        """One batch; afterwards the next one's size stands."""
        if self._memory and self._growing:
            self._memory.reset()
        start = self._clock()
        results, fitted = in_batches(work, items=batch, size=self.size, short=self._short)
        if fitted < self.size:
            self.size, self._growing = fitted, False
        elif self._memory and self._growing and len(batch) == self.size:
            self._grow(self._memory, seconds=self._clock() - start)
        return results

    def _grow(self, memory: Memory, *, seconds: float) -> None:
        """Double the size if that fits, else take what fits and stay there."""
        peak = memory.peak()
        self._peak_of_one = self._peak_of_one or peak
        each = max(peak - self._peak_of_one, 0) / max(self.size - 1, 1)
        room = self._share * memory.free() if self._budget_gb is None else self._budget_gb * 1e9
        most = min(self._cap, int(room / each) if each else self._cap)
        if 2 * seconds > LONGEST_S:
            most = min(most, self.size)
        self._growing = most > 2 * self.size
        self.size = max(min(2 * self.size, most), 1)
