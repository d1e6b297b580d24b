"""Reading ahead: the next steps' samples are read in threads while a step is computed."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Self

import torch

from hdvg.training.samples import Feed, Samples, Seat


class Ahead:
    """The steps of a feed from one on, in order, as many read ahead as there are threads and one more; a context manager.

    Leaving it stops the reading; steps that are being read are waited for. Where CUDA is, tensors lie in pinned memory.
    """

    def __init__(self, feed: Feed, seat: Seat, *, first: int, threads: int) -> None:
        self._feed, self._seat, self._next = feed, seat, first
        self._pins = torch.cuda.is_available()
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
        self._coming.append(self._pool.submit(self._read, self._next))
        self._next += 1

    def _read(self, step: int) -> list[Samples]:
        pieces = self._feed.step(step, seat=self._seat)
        return [pinned(piece) for piece in pieces] if self._pins else pieces

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)


def pinned(piece: Samples) -> Samples:
    """The same samples in pinned memory, from which a GPU copies while the CPU goes on."""
    return replace(
        piece,
        latents_BCTHW=piece.latents_BCTHW.pin_memory(),
        noise_BCTHW=piece.noise_BCTHW.pin_memory(),
        time_B=piece.time_B.pin_memory(),
        text_BLX=piece.text_BLX.pin_memory(),
    )
