"""Reading ahead: the next steps' samples are read in threads while a step is computed."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from hdvg.training.samples import Feed, Samples, Seat


class Ahead:
    """The steps of a feed from one on, in order, as many read ahead as there are threads and one more; a context manager."""

    def __init__(self, feed: Feed, seat: Seat, *, first: int, threads: int) -> None:
        self._feed, self._seat, self._next = feed, seat, first
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ahead")
        self._coming: deque[Future[list[Samples]]] = deque()
        self.waited_s = 0.0
        """How long steps were waited for."""
        for _ in range(threads + 1):
            self._ask()

    def take(self) -> list[Samples]:
        """The next step's pieces. Raises what reading them raised."""
        began = time.perf_counter()
        pieces = self._coming.popleft().result()
        self.waited_s += time.perf_counter() - began
        self._ask()
        return pieces

    def _ask(self) -> None:
        self._coming.append(self._pool.submit(self._feed.step, self._next, seat=self._seat))
        self._next += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
