"""The watermark measure finds what was laid over real footage, says so of no clean footage, and null where nothing can be told."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hdvg.config.sections import Split
from hdvg.keyframes import Shot
from hdvg.measures.watermark import Watermark
from hdvg.measures.watermark_marks import look
from hdvg.measures.watermark_pairs import coincidences
from hdvg.media.scan import scan
from schemas.measures import WATERMARK
from tests.footage import BUNDLED_SPANS, Footage
from tests.overlays import Mark, box, draw
from tests.reels import Reels, clean_cases, marked_case, over, shared, shots
from tests.videos import draw_frames

WHITE = (255, 255, 255)


@pytest.fixture(scope="module")
def bundled(bundled_footage: Footage) -> Footage:
    return bundled_footage


def values(made: list[Shot]) -> list[float | None]:
    return [row["watermark"] for row in Watermark().measure(made)]


def noise(count: int, mark: bool, *, size: tuple[int, int] = (360, 640)) -> list[Shot]:
    """Clips of one picture each, of smooth noise that never comes back, with or without a white square."""
    random = np.random.default_rng(5)
    made = []
    for number in range(count):
        picture = cv2.GaussianBlur(random.integers(0, 256, (*size, 3)).astype(np.float32), (0, 0), 4)
        picture = np.clip((picture - 127) * 5 + 110, 0, 255).astype(np.uint8)
        if mark:
            picture[40:72, 560:608] = 255
        made.append(Shot(f"{number:02}", {"middle": cv2.imencode(".png", picture)[1].tobytes()}, {}))
    return made


def test_square_over_noise_is_found_where_it_was_drawn():
    for row in Watermark().measure(noise(6, True)):
        assert row["watermark"] > 0.95
        told = [float(share) for share in row["watermark_box"].split(",")]
        assert shared(told, (560 / 640, 40 / 360, 48 / 640, 32 / 360)) > 0.6
        assert 2 * (48 + 32) / (640 * 360) < row["watermark_area"] < 1.5 * 48 * 32 / (640 * 360), "outline, square"


def test_noise_without_a_mark_has_none():
    for row in Watermark().measure(noise(6, False)):
        assert (row["watermark"], row["watermark_area"], row["watermark_box"]) == (0.0, 0.0, None)
        assert row["watermark_model"] == Watermark.model


def test_nothing_is_told_from_too_little():
    same = noise(1, True)[0].keyframes["middle"]
    still = [Shot(f"{number}", {"first": same, "middle": same, "last": same}, {}) for number in range(4)]
    assert values(still) == [None] * 4, "a mark on a scene that never changes has no evidence"
    assert values(noise(1, True)) == [None]
    assert values(noise(2, False)) == [None] * 2, "two scenes may show a mark, but not that there is none"
    broken = [Shot("a", {}, {}), Shot("b", {"middle": b""}, {}), Shot("c", {"middle": b"no jpeg"}, {})]
    assert values(broken) == [None] * 3
    assert values([*broken, *noise(6, True)])[:3] == [None] * 3, (
        "a clip without a picture has no value beside good ones"
    )


@pytest.mark.parametrize("count", [2, 3])
def test_square_over_two_or_three_scenes_is_found_where_it_was_drawn(count: int):
    for row in Watermark().measure(noise(count, True)):
        assert row["watermark"] > 0.95
        told = [float(share) for share in row["watermark_box"].split(",")]
        assert shared(told, (560 / 640, 40 / 360, 48 / 640, 32 / 360)) > 0.5


@pytest.mark.parametrize("mark", [False, True])
def test_straight_lines_are_no_mark_in_two_scenes_and_hide_none(mark: bool):
    made = []
    for shot in noise(2, mark):
        picture = cv2.imdecode(np.frombuffer(shot.keyframes["middle"], np.uint8), cv2.IMREAD_COLOR)
        picture[100:102], picture[-50:-48] = 255, 255
        made.append(Shot(shot.clip_id, {"middle": cv2.imencode(".png", picture)[1].tobytes()}, {}))
    views = [look(shot.keyframes["middle"]) for shot in made]
    ratios = [ratio for _, ratio in coincidences([[0], [1]], [view for view in views if view])]
    assert (max(ratios) > 1.5) == mark
    assert all(value > 0.95 for value in values(made)) if mark else values(made) == [None] * 2


@pytest.mark.parametrize("count", [8, pytest.param(16, marks=pytest.mark.slow)])
def test_still_scenes_in_turn_are_judged_by_what_they_share(bundled, count):
    """Two standing cameras, as in an interview: a mark over both is found, at most one of the clean ones is accused."""
    random = np.random.default_rng(3)
    reels = Reels(bundled, random)
    found = accused = 0
    for number in range(count):
        reel = reels.make("talk")
        mark = Mark("logo", ("shield", "bars", "badge", "chevrons")[number % 4], 0.08, 0.7, "top left", WHITE)
        found += all((value or 0) >= 0.5 for value in values(shots(over(reel, mark))))
        accused += any((value or 0) >= 0.5 for value in values(shots(reel)))
    assert found >= 7 / 8 * count
    assert accused <= 1


def test_rows_do_not_depend_on_how_clips_are_split_into_calls(bundled):
    reel = Reels(bundled, np.random.default_rng(1)).make("multi")
    made = shots(over(reel, Mark("logo", "shield", 0.08, 0.7, "top right", WHITE)))
    whole = Watermark().measure(made)
    apart = [row for at in (0, 1) for row in Watermark().measure(made[at::2], made[1 - at :: 2])]
    assert apart == whole[0::2] + whole[1::2]
    assert all(row["watermark"] > 0.5 for row in whole)


def test_mark_in_half_of_the_clips_is_told_of_these(bundled):
    random = np.random.default_rng(2)
    reels = Reels(bundled, random)
    right = 0
    for place in ("bottom right", "top left", "top"):
        reel = [reels.shot(bundled.spans[at], (768, 432)) for at in random.permutation(12)]
        mark = Mark("text", "demo.test", 0.12, 0.7, place, WHITE)
        told = values(shots(over(reel, mark, clips=range(6))))
        right += sum((value or 0) >= 0.5 for value in told[:6]) + sum((value or 0) < 0.5 for value in told[6:])
    assert right >= 33, "of 36 clips"


@pytest.mark.parametrize("cases", [16, pytest.param(32, marks=pytest.mark.slow)])
def test_strong_marks_are_found_and_clean_footage_is_not_accused(bundled, cases):
    """The gate of the bench in small: opacity 0.5-0.9, 3-12 % of the width, marks that nothing was tuned on."""
    random = np.random.default_rng(7)
    reels = Reels(bundled, random)
    sizes, opacities = (0.03, 0.05, 0.08, 0.12), (0.5, 0.7, 0.9)
    found = 0
    for number in range(cases):
        asked = Mark(("logo", "text")[number % 2], "", sizes[number % 4], opacities[number % 3], "", WHITE)
        told = values(marked_case(reels, random, asked, part="held", number=number).shots)
        found += float(np.median([value or 0.0 for value in told])) >= 0.5
    accused = sum(any((value or 0.0) >= 0.5 for value in values(case.shots)) for case in clean_cases(reels, cases - 4))
    assert found / cases >= 0.95, "a null is a miss"
    assert found / (found + accused) >= 0.95


@pytest.mark.parametrize("is_single", [True, False])
def test_mark_in_a_file_is_found_by_the_true_path(tmp_path: Path, bundled: Footage, is_single: bool):
    mark = Mark("logo", "chevrons", 0.06, 0.6, "bottom left", WHITE)
    spans = [BUNDLED_SPANS[0]] if is_single else [BUNDLED_SPANS[at] for at in (0, 4, 7, 10, 2)]
    frames = [bundled.frame(span, at) for span in spans for at in range(58 if is_single else 30)]
    for name, is_marked in (("clean.mp4", False), ("marked.mp4", True)):
        pictures = [draw(one, mark) if is_marked else one for one in frames]
        draw_frames(tmp_path / name, [one[:, :, ::-1] for one in pictures], fps=8 if is_single else 25, lossless=False)
        clips = scan(str(tmp_path / name), str(tmp_path), Split().model_dump(), 1, 10**7)["clips"]
        assert (len(clips) == 1) == is_single
        made = [
            Shot(
                str(number),
                {one["position"]: (tmp_path / one["file"]).read_bytes() for one in clip["keyframes"]},
                {"start_pts": clip["start_pts"]},
            )
            for number, clip in enumerate(clips)
        ]
        rows = Watermark().measure(made)
        assert [row["watermark"] >= 0.5 for row in rows] == [is_marked] * len(rows)
        for row in rows if is_marked else []:
            told = [float(share) for share in row["watermark_box"].split(",")]
            assert shared(told, box(mark, 640, 360)) > 0.5


def test_columns_are_those_of_the_schema():
    assert tuple(field.name for field in WATERMARK) == Watermark.columns
    assert all(row.keys() == set(Watermark.columns) for row in Watermark().measure(noise(4, True)))
    assert len(Watermark.fingerprint()) == 16
