"""The ruler itself: scores on paper, and that the truth suite's videos hold what it says of them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.footage import Picture, Span
from tests.truth import KINDS, SMALL, Boundary, Edit, Sequence, f1, pairs, precision, recall, score

CUT = Boundary("cut", 100, 100)
DISSOLVE = Boundary("dissolve", 200, 220)


@pytest.mark.parametrize(
    ("found", "tolerance", "outcome"),
    [
        ([(100, 100)], 0, (1, 0, 1)),
        ([(101, 101)], 0, (0, 1, 2)),
        ([(101, 101)], 1, (1, 0, 1)),
        ([(98, 98)], 2, (1, 0, 1)),
        ([(97, 97)], 2, (0, 1, 2)),
        ([(99, 101)], 0, (1, 0, 1)),  # a transition with the cut inside
        ([(210, 210)], 0, (1, 0, 1)),  # a cut inside the dissolve
        ([(190, 199)], 0, (0, 1, 2)),
        ([(190, 199)], 1, (1, 0, 1)),
        ([(222, 230)], 2, (1, 0, 1)),
        ([(100, 100), (200, 220)], 0, (2, 0, 0)),
        ([(100, 100), (101, 101)], 2, (1, 1, 1)),  # one cut is found once
        ([(205, 205), (215, 215)], 2, (1, 1, 1)),
        ([], 2, (0, 0, 2)),
        ([(50, 50)], 2, (0, 1, 2)),
    ],
)
def test_score_on_paper(found: list[tuple[int, int]], tolerance: int, outcome: tuple[int, int, int]) -> None:
    assert score(found, [CUT, DISSOLVE], tolerance) == outcome


def test_matching_is_the_largest_not_the_first() -> None:
    near = [Boundary("cut", 10, 10), Boundary("cut", 12, 12)]
    assert pairs([(11, 11), (9, 9)], near, 1) == [(0, 1), (1, 0)]


def test_ratios_on_paper() -> None:
    counts = (6, 2, 3)
    assert precision(*counts) == 6 / 8
    assert recall(*counts) == 6 / 9
    assert f1(*counts) == pytest.approx(2 * 0.75 * (2 / 3) / (0.75 + 2 / 3))
    assert f1(0, 0, 0) == precision(0, 0, 0) == recall(0, 0, 0) == 1.0
    assert f1(0, 1, 0) == f1(0, 0, 1) == 0.0


COLOURS = {"birds": (200, 40, 40), "pad": (40, 200, 40), "bunny": (40, 40, 200)}


class Paint:
    """Footage of plain colours, so that every frame tells which shots are in it."""

    spans = tuple(Span(look, 0, 40, look) for look in COLOURS)

    def length(self, span: Span) -> int:
        return 40

    def frame(self, span: Span, at: int) -> Picture:
        return np.full((72, 128, 3), COLOURS[span.look], dtype=np.uint8)


@pytest.mark.parametrize("kind", ["cut", "dissolve", "fade_black", "fade_white", "wipe"])
def test_frames_of_a_transition_are_blended_and_no_other(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "only", (kind,) * 4)
    edit = Edit(Paint(), "only", size=(64, 36), random=np.random.default_rng(5))  # type: ignore[arg-type]
    pure = [picture.tolist() if _is_pure(picture) else None for picture in edit]
    inside = {at for one in edit.boundaries for at in range(one.start, one.end)}
    assert [at for at, picture in enumerate(pure) if picture is None] == sorted(inside)
    assert len(edit.boundaries) == 4
    for one in edit.boundaries:
        assert pure[one.start - 1] != pure[one.end]
        assert (one.start == one.end) == (kind == "cut")
        assert pure[one.start - 1] == pure[one.start - 5]
        assert pure[one.end] == pure[one.end + 5]


def test_distractors_are_told_and_stand_inside_shots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "only", ("flash", "strobe", "cut", "occlusion", "pan", "zoom", "shake"))
    edit = Edit(Paint(), "only", size=(64, 36), random=np.random.default_rng(2))  # type: ignore[arg-type]
    pictures = list(edit)
    disturbed = [at for at, picture in enumerate(pictures) if not _is_pure(picture)]
    told = {at for one in edit.distractors for at in range(one.start, one.end)}
    assert [one.kind for one in edit.distractors] == ["flash", "strobe", "occlusion", "pan", "zoom", "shake"]
    assert disturbed
    assert set(disturbed) <= told
    assert all(
        one.start + 8 <= edit.boundaries[0].start or one.start >= edit.boundaries[0].end + 8 for one in edit.distractors
    )


def _is_pure(picture: Picture) -> bool:
    return any(bool((picture == colour).all()) for colour in COLOURS.values())


def test_small_suite_has_enough_boundaries_of_every_sort(suite: list[Sequence]) -> None:
    boundaries = [one.kind for sequence in suite for one in sequence.boundaries]
    assert 30 <= len(boundaries) <= 40
    assert set(boundaries) == {"cut", "dissolve", "fade_black", "fade_white", "wipe"}
    assert len(suite) == len(SMALL)
    assert len({sequence.path.name.split("_")[2] for sequence in suite}) >= 5  # codecs


def test_written_frames_are_those_promised_at_their_times(suite: list[Sequence]) -> None:
    for sequence in suite:
        times = [pts for pts, _ in _decoded(sequence.path)]
        assert times == [tick * sequence.time_base for tick in sequence.ticks], sequence.name


def test_picture_changes_at_every_hard_cut_and_not_beside_it(suite: list[Sequence]) -> None:
    for sequence in suite:
        small = [picture for _, picture in _decoded(sequence.path)]
        for cut in (one.start for one in sequence.boundaries if one.kind == "cut"):
            across = _difference(small[cut - 1], small[cut])
            beside = max(_difference(small[cut - 2], small[cut - 1]), _difference(small[cut], small[cut + 1]))
            assert across > 8, (sequence.name, cut)
            assert across > 2 * beside, (sequence.name, cut)


def test_dissolves_lie_between_their_shots(suite: list[Sequence]) -> None:
    for sequence in suite:
        small = [picture for _, picture in _decoded(sequence.path)]
        for one in (one for one in sequence.boundaries if one.kind == "dissolve"):
            old, middle, new = (small[at] for at in (one.start - 1, (one.start + one.end) // 2, one.end))
            apart = _difference(old, new)
            assert _difference(old, middle) < apart > _difference(middle, new), (sequence.name, one)


def test_same_seed_gives_the_same_edit_and_another_does_not() -> None:
    def edit(seed: int) -> tuple[list[Boundary], list[bytes]]:
        made = Edit(Paint(), "mixed", size=(64, 36), random=np.random.default_rng(seed))  # type: ignore[arg-type]
        pictures = [picture.tobytes() for picture in made]
        return made.boundaries, pictures

    assert edit(1) == edit(1)
    assert edit(1) != edit(2)


def _decoded(path: Path) -> Iterator[tuple[Fraction, Picture]]:
    """Time and thumbnail of every frame."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            small = frame.reformat(width=32, height=18, format="bgr24", interpolation="AREA")
            yield frame.pts * Fraction(frame.time_base), small.to_ndarray()


def _difference(one: Picture, other: Picture) -> float:
    return float(cv2.absdiff(one, other).mean())
