"""What the camera does: rates on paper, in pictures that are turned, and over real footage that is moved by known rates."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from hdvg.captioners.camera_words import camera_words
from hdvg.config.sections import Split
from hdvg.measures.affine import GRID, dominant, rates_of, sway
from hdvg.measures.camera import Camera, described
from hdvg.media.measure_calls import ALL
from hdvg.media.remeasure import remeasure
from tests.footage import Footage
from tests.moves import MOVES, Scenery, Shot, footage, write

UPRIGHT = {
    "coded_width": 256,
    "coded_height": 144,
    "width": 256,
    "height": 144,
    "rotation": 0,
    "mirrored": False,
    "sar": "1/1",
}
TURNED = {**UPRIGHT, "width": 144, "height": 256, "rotation": 90}
MIRRORED = {**UPRIGHT, "mirrored": True}
ANAMORPHIC = {**UPRIGHT, "width": 512, "sar": "2/1"}


def flow(across: float = 0.0, down: float = 0.0, *, grows: float = 0.0, turns: float = 0.0) -> np.ndarray:
    """A flow field (1, places, 2), px at 256 px width: a shift, a growth and a clockwise turn of what is seen."""
    x, y = np.meshgrid(
        128 * (1 - 1 / GRID[0]) * np.linspace(-1, 1, GRID[0]), 72 * (1 - 1 / GRID[1]) * np.linspace(-1, 1, GRID[1])
    )
    u, v = across + grows * x - turns * y, down + grows * y + turns * x
    return np.stack([u.ravel(), v.ravel()], axis=1)[None]


def rates(field: np.ndarray, shape: dict = UPRIGHT) -> list[float]:
    return rates_of(dominant(field)[0], shape)[0].tolist()


@pytest.mark.parametrize(
    ("field", "shape", "expected"),
    [
        (flow(-2.56), UPRIGHT, [1, 0, 0, 0]),  # what is seen goes left: the camera pans right
        (flow(0, 1.44), UPRIGHT, [0, 1, 0, 0]),
        (flow(grows=0.01), UPRIGHT, [0, 0, 1, 0]),
        (flow(turns=-0.01), UPRIGHT, [0, 0, 0, 0.573]),
        (flow(-2.56), TURNED, [0, -1, 0, 0]),  # left in the coded picture is up as it is shown
        (flow(0, 1.44), TURNED, [1, 0, 0, 0]),
        (flow(-2.56), MIRRORED, [-1, 0, 0, 0]),
        (flow(turns=-0.01), MIRRORED, [0, 0, 0, -0.573]),
        (flow(-2.56), ANAMORPHIC, [1, 0, 0, 0]),
        (flow(grows=0.01), ANAMORPHIC, [0, 0, 1, 0]),
    ],
)
def test_rates_are_those_of_the_camera_in_the_picture_as_it_is_shown(field, shape, expected):
    assert rates(field, shape) == pytest.approx(expected, abs=0.03)


def test_motion_of_a_third_of_the_picture_is_not_the_cameras():
    field = flow()
    field[0, : field.shape[1] // 3] = 4.0, -2.0
    assert rates(field) == pytest.approx([0, 0, 0, 0], abs=0.05)


def test_what_passes_faster_below_is_no_zoom():
    field = flow(0, 3.0)
    field[0, :, 1] += np.repeat(np.linspace(-0.7, 0.7, GRID[1]), GRID[0])
    assert rates(field)[2] == 0


PANS = np.array([[10.0, 0.0, 0.0, 0.0]] * 4)


def test_a_move_counts_if_most_of_the_clip_has_it_and_not_if_it_is_lost_beside_another():
    assert described(PANS, 0.0)["camera_moves"] == "pan right"
    assert described(PANS * [[1], [0], [0], [0]], 0.0)["camera_moves"] == "static"
    assert described(PANS * [[1], [1], [1], [0]], 0.0) | {"pan_pct_s": 10.0} == described(
        PANS * [[1], [1], [1], [0]], 0.0
    )
    assert described(np.add(PANS, [0, -8, 0, 0]), 0.0)["camera_moves"] == "pan right, tilt down"
    assert described(np.add(PANS, [0, 0, 1.5, 0]), 0.0)["camera_moves"] == "pan right"
    assert described(PANS * [[1], [1], [-1], [-1]], 0.0)["camera"] == "mixed", "it does not stand"
    found = described(PANS * [[-1], [-1], [-1], [0]], None)
    assert (found["camera"], found["pan_pct_s"], found["pan_share"], found["camera_static_share"]) == (
        "pan left",
        -10,
        0.75,
        0.25,
    )


def test_a_hand_is_told_by_its_unrest_and_a_move_is_told_beside_it_only_if_it_is_larger():
    assert described(PANS * 0.1, 8.0)["camera_moves"] == "handheld"
    assert described(PANS * 2, 8.0)["camera_moves"] == "pan right, handheld"
    assert described(PANS * 10, 8.0)["camera_moves"] == "pan right", "a fast pan is never quite even"
    assert described(PANS * 0, 200.0)["camera_moves"] == "static", "no hand throws a camera so fast"


def test_sway_is_what_most_places_share_beyond_an_even_move():
    even = np.repeat(flow(-2.0, grows=0.02), 5, axis=0)
    assert sway(even) == pytest.approx(np.zeros((5, 2)), abs=1e-6)
    shifts = np.array([[1.0, 0], [-1, 0], [0, 0], [0, 2], [0, -2]])
    swayed = even + shifts[:, None]
    swayed[:, ::3] = np.nan
    swayed[:, 1::3] += (
        np.array([[5.0, 5], [-7, 3], [0, 0], [9, -9], [2, 2]])[:, None] * (np.arange(20) < 10)[None, :, None]
    )
    assert sway(swayed) == pytest.approx(shifts, abs=1e-6)


@cache
def held() -> Footage:
    return footage("held")


def moved(
    tmp_path,
    labels: tuple[str, ...],
    rates: tuple[float, float, float, float],
    *,
    kind: str = "still",
    hand: float = 0.0,
    seed: int = 0,
) -> dict:
    shot = Shot(kind, labels, rates, hand, 25, 4.0, 23)
    return told(tmp_path, Scenery(held(), shot, np.random.default_rng(seed)), shot)


def told(tmp_path, pictures, shot: Shot) -> dict:
    write(tmp_path / "a.mp4", pictures, shot)
    asked = {"camera": {"made_by": "hdvg.measures.camera:Camera", "options": {}}}
    span = {"start_pts": 0, "end_pts": ALL}
    (found,) = remeasure(str(tmp_path / "a.mp4"), [span], asked, Split().model_dump(), 1, 36_000_000)
    return found["camera"]


@pytest.mark.parametrize("label", list(MOVES))
def test_a_window_that_moves_over_real_footage_is_told_with_its_rate(tmp_path, label):
    rate = tuple(12.0 * one for one in MOVES[label])
    found = moved(tmp_path, (label,), rate)
    assert found["camera_moves"] == label
    axis = next(number for number, one in enumerate(rate) if one)
    name = ("pan_pct_s", "tilt_pct_s", "zoom_pct_s", "roll_deg_s")[axis]
    assert found[name] == pytest.approx(rate[axis], rel=0.3)


@pytest.mark.parametrize("kind", ["still", "live", "plain", "coarse", "twos", "subject"])
def test_a_camera_that_stands_is_static(tmp_path, kind):
    found = moved(tmp_path, ("static",), (0, 0, 0, 0), kind=kind, seed=5)
    assert (found["camera"], found["camera_moves"]) == ("static", "static")


@pytest.mark.parametrize(("kind", "hand"), [("still", 1.4), ("still", 0.8), ("twos", 1.0)])
def test_a_hand_is_told(tmp_path, kind, hand):
    found = moved(tmp_path, ("handheld",), (0, 0, 0, 0), kind=kind, hand=hand)
    assert found["camera_moves"] == "handheld"
    assert found["handheld_pct_s"] == pytest.approx(7.5 * hand, rel=0.4)


def test_what_passes_before_a_ground_that_shows_nothing_is_not_the_camera(tmp_path):
    random = np.random.default_rng(0)
    body = np.asarray(held().frame(held().spans[0], 0)[:120, :80])
    pictures = []
    for number in range(75):
        picture = random.normal(90, 6, (216, 384, 3)).clip(0, 255).astype(np.uint8)
        top = round(-120 + 336 * abs((number / 12) % 2 - 1))
        low, high = max(top, 0), min(top + 120, 216)
        picture[low:high, 150:230] = body[low - top : high - top]
        pictures.append(picture)
    assert (
        told(tmp_path, pictures, Shot("live", ("static",), (0, 0, 0, 0), 0.0, 25, 3.0, 23))["camera_moves"] == "static"
    )


def test_two_moves_are_both_told(tmp_path):
    found = moved(tmp_path, ("pan left", "zoom in"), (-12, 0, 12, 0))
    assert set(found["camera_moves"].split(", ")) == {"pan left", "zoom in"}


def test_words_of_moves():
    assert camera_words(None) == ""
    assert camera_words("static") == "the camera stands still"
    assert camera_words("pan left") == "the camera pans left"
    assert camera_words("pan left, zoom in") == "the camera pans left and zooms in"
    assert camera_words("handheld") == "the camera is held in a hand"
    assert camera_words("tilt up, handheld") == "the camera, held in a hand, tilts up"
    assert (
        camera_words("roll counterclockwise, tilt up, zoom out")
        == "the camera rolls counterclockwise, tilts up and zooms out"
    )


def test_every_column_has_a_value():
    assert set(described(PANS, 1.0)) == set(Camera.columns)
