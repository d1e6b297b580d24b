"""The clean area: the rectangle on paper, against a slow search, and in real footage with something planted; the cut to it."""

from __future__ import annotations

import itertools

import av
import numpy as np
import pytest

from hdvg.config.cut import Cut
from hdvg.config.recipe import parse_recipe
from hdvg.config.sections import Measure
from hdvg.errors import UsageError
from hdvg.keyframes import Shot
from hdvg.measures.clean import Clean
from hdvg.measures.rectangles import largest
from hdvg.media.clean_box import clean_box
from hdvg.media.cut import cut
from hdvg.media.geometry import upright
from hdvg.planning import wanted_measures
from tests import planted
from tests.videos import draw_scenes

WHOLE = (0.0, 0.0, 1.0, 1.0)


def test_without_boxes_all_is_clean_and_an_aspect_takes_the_middle():
    assert largest(WHOLE, [], aspect=16 / 9, allowed=()) == WHOLE
    found = largest(WHOLE, [], aspect=16 / 9, allowed=[1.0])
    assert found == pytest.approx((0.5 - 9 / 32, 0, 0.5 + 9 / 32, 1))
    assert largest(WHOLE, [WHOLE], aspect=1, allowed=()) is None


def test_of_allowed_aspects_the_one_that_keeps_most_is_taken():
    band = (0.0, 0.8, 1.0, 0.9)
    assert largest(WHOLE, [band], aspect=1.0, allowed=[1.0, 2.0]) == pytest.approx((0.1, 0, 0.9, 0.8))
    assert largest(WHOLE, [band], aspect=1.0, allowed=[1.25]) == pytest.approx((0, 0, 1, 0.8))


@pytest.mark.parametrize("seed", range(12))
def test_rectangle_is_as_large_as_the_largest_of_all_between_sides(seed):
    random = np.random.default_rng(seed)
    corners = random.integers(0, 20, (int(random.integers(1, 6)), 2)) / 20
    boxes = [(x, y, x + 0.15, y + 0.1) for x, y in corners.tolist()]
    xs, ys = ({0.0, 1.0, *(box[one] for box in boxes for one in pair)} for pair in ((0, 2), (1, 3)))

    def is_free(left, top, right, bottom):
        return all(box[2] <= left or box[0] >= right or box[3] <= top or box[1] >= bottom for box in boxes)

    areas = [
        (right - left) * (bottom - top)
        for left, right in itertools.combinations(sorted(x for x in xs if x <= 1), 2)
        for top, bottom in itertools.combinations(sorted(y for y in ys if y <= 1), 2)
        if is_free(left, top, right, bottom)
    ]
    found = largest(WHOLE, boxes, aspect=1.5, allowed=())
    assert found is not None
    assert is_free(*found)
    assert (found[2] - found[0]) * (found[3] - found[1]) == pytest.approx(max(areas), abs=1e-3)


def test_planted_things_are_cropped_away_and_little_else():
    measure = Clean(Measure())
    likeness, left = [], 0
    for case in planted.cases("held", len(planted.KINDS), seed=3):
        for row in measure.measure(case.shots[:4], case.shots[4:]):
            likeness.append(planted.likeness(planted.sides(row), case))
            left += planted.holds_some(planted.sides(row), case)
    assert np.mean(likeness) >= 0.9
    assert left <= 0.05 * len(likeness)


def test_columns_of_a_clip_without_keyframes_are_null():
    (row,) = Clean(Measure()).measure([Shot("a", {}, {})], [])
    assert row.keys() == set(Clean.columns)
    assert row["clean_area"] is None


def test_an_aspect_that_is_none_is_refused():
    with pytest.raises(UsageError, match=r"clean_aspects: '16x9' is no aspect.*such as 16:9"):
        parse_recipe({"name": "a", "measure": {"clean_aspects": ["16x9"]}})


# the cut

SHAPE = {
    "coded_width": 200,
    "coded_height": 100,
    "width": 200,
    "height": 100,
    "rotation": 0,
    "mirrored": False,
    "odd_turn": None,
    "sar": "1/1",
}


def span(left: float, top: float, wide: float, tall: float) -> dict:
    return {"clean_left": left, "clean_top": top, "clean_width": wide, "clean_height": tall}


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_box_in_the_coded_picture_is_the_rectangle_as_it_is_shown(rotation, mirrored):
    shape = {**SHAPE, "rotation": rotation, "mirrored": mirrored}
    x, y, wide, tall = clean_box(shape, span(0.1, 0.2, 0.5, 0.6))
    coded = np.zeros((100, 200), np.uint8)
    coded[y : y + tall, x : x + wide] = 1
    shown = upright(coded, shape)
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    height, width = shown.shape
    assert (columns[0] / width, rows[0] / height) == pytest.approx((0.1, 0.2))
    assert (len(columns) / width, len(rows) / height) == pytest.approx((0.5, 0.6))


def test_box_is_even_and_inside_and_the_whole_picture_is_none():
    assert clean_box(SHAPE, span(0.103, 0.111, 0.5, 0.5)) == (22, 12, 98, 48)
    assert clean_box(SHAPE, span(0, 0, 1, 1)) is None
    assert clean_box(SHAPE, span(0, 0, 0, 0)) is None
    assert clean_box(SHAPE, dict.fromkeys(span(0, 0, 0, 0))) is None


def test_clip_is_cut_to_its_rectangle_and_one_without_is_left_whole(tmp_path):
    draw_scenes(tmp_path / "a.mp4", scene_frames=(40,), size=(192, 108))
    base = {"n_frames": 20} | dict.fromkeys(("first_look", "last_look"))
    spans = [
        {"clip_id": "a" * 32, "start_pts": 0, "end_pts": 20 * 512, **base, **span(0.25, 0, 0.5, 0.8)},
        {"clip_id": "b" * 32, "start_pts": 20 * 512, "end_pts": 40 * 512, **base, **span(0, 0, 1, 1)},
    ]
    first, second = cut(str(tmp_path / "a.mp4"), str(tmp_path), spans, Cut(crop="clean").model_dump(), 36_000_000)
    assert (first["width"], first["height"], first["cut_mode"]) == (96, 86, "encode")
    assert (second["width"], second["height"]) == (192, 108)
    with av.open(str(tmp_path / "a.mp4")) as source, av.open(str(tmp_path / first["file"])) as clip:
        whole, part = (next(one.decode(video=0)).to_ndarray(format="gray") for one in (source, clip))
    assert np.abs(whole[:86, 48:144].astype(int) - part).mean() < 4


def test_clean_crop_takes_its_measure_and_enters_no_fingerprint_elsewhere():
    assert "clean" not in wanted_measures(parse_recipe({"name": "a"}))
    assert "clean" in wanted_measures(parse_recipe({"name": "a", "cut": {"crop": "clean"}}))
    before = {"mode": "smart", "codec": "h264", "crf": 18, "preset": "veryfast", "threads": 2, "max_height_px": None, "crop_black": False,
              "audio": "drop", "hdr": "tonemap", "verify_share": 1.0}  # fmt: skip
    assert Cut().shaping() == before
    assert Cut(crop="black").shaping() == before | {"crop_black": True}
    assert Cut(crop="clean").shaping() == before | {"crop": "clean"}


def test_crop_black_is_still_read():
    assert parse_recipe({"name": "a", "cut": {"crop_black": True}}).cut.crop == "black"
    assert parse_recipe({"name": "a", "cut": {"crop_black": False, "crop": "clean"}}).cut.crop == "clean"
    with pytest.raises(UsageError, match=r'write cut.crop = "black"'):
        parse_recipe({"name": "a", "cut": {"crop_black": "yes"}})
