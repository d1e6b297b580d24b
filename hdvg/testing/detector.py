"""What every shot detector keeps: transitions in order, nothing said too late, and no dependence on how frames come in chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np

from hdvg.config.child_settings import SplitSettings
from hdvg.config.sections import Split
from hdvg.shots import looks_of
from hdvg.shots.chunk import Chunk
from hdvg.shots.detectors import make_detector
from hdvg.shots.transition import Transition

FRAMES = 240
SHOT_FRAMES = 60


def check_detector(name: str, **settings: Any) -> None:
    """Check the detector of that name, with these settings of `split`, on drawn shots."""
    split = cast("SplitSettings", Split.model_validate({"detector": name, **settings}).model_dump())
    looks_of(name)
    whole = _found(split, [FRAMES])
    for sizes in ([1], [7, 100], [13]):
        parts = _found(split, sizes)
        assert parts == whole, f"transitions depend on the chunks: {parts} by {sizes} frames, {whole} at once"
    assert whole == _found(split, [FRAMES]), "the same frames give other transitions the second time"


def _found(split: SplitSettings, sizes: Sequence[int]) -> list[Transition]:
    detector = make_detector(split)
    found: list[Transition] = []
    for chunk in _chunks(sizes):
        settled = max(detector.settled, 0)
        fresh = detector.feed(chunk)
        late = [one for one in fresh if one.end < settled]
        assert not late, f"{late[:1]} ends a shot before frame {settled}, which `settled` had promised to be sure"
        assert max(detector.settled, 0) >= settled, "`settled` never goes back"
        found += fresh
    found += detector.finish()
    for one in found:
        assert isinstance(one, Transition), f"{one!r} is no hdvg.shots.detectors.Transition"
        assert 0 < one.end <= one.start <= FRAMES, f"{one} lies outside of the {FRAMES} frames, or is turned around"
    for before, after in pairwise(found):
        assert before.start <= after.end, f"{after} begins before {before} is over: they come in order"
    return found


def _chunks(sizes: Sequence[int]) -> Iterator[Chunk]:
    """Drawn shots of flat pictures with noise, in chunks of these sizes, of which the last repeats."""
    numbers = np.random.default_rng(0)
    levels = np.repeat(np.linspace(20, 220, FRAMES // SHOT_FRAMES), SHOT_FRAMES)
    thumbs = (levels[:, None, None, None] + numbers.integers(0, 20, (FRAMES, 27, 48, 3))).astype(np.uint8)
    cut = np.arange(FRAMES) % SHOT_FRAMES == 0
    scores = {"content": 2 + 40.0 * cut, "histogram": 1 - 0.8 * cut, "hash": 0.02 + 0.6 * cut}
    start, left = 0, list(sizes)
    while start < FRAMES:
        size = left.pop(0) if len(left) > 1 else left[0]
        part = slice(start, min(start + size, FRAMES))
        yield Chunk(
            np.arange(part.start, part.stop),
            np.repeat(levels[part, None], 64, axis=1).astype(np.uint8),
            thumbs[part],
            np.zeros((0, 3), np.uint64),
            {name: values[part] for name, values in scores.items()},
            {},
        )
        start = part.stop
