"""Numbers tested against truths on paper."""

import numpy as np
import pytest

from hdvg.config import Split
from hdvg.measures import phash
from hdvg.media.scan import scan
from tests.videos import draw_frames


def measure(tmp_path, pictures) -> dict:
    draw_frames(tmp_path / "a.mp4", pictures)
    (clip,) = scan(str(tmp_path / "a.mp4"), str(tmp_path), Split(min_scene_frames=1000).model_dump(), 1, 36_000_000)[
        "clips"
    ]
    return clip


def blobs(width: int, height: int) -> np.ndarray:
    """A smooth texture that flow can follow."""
    y, x = np.mgrid[:height, :width]
    grey = 128 + 50 * np.sin(x / 9.0) * np.cos(y / 7.0) + 40 * np.sin((x + 2 * y) / 23.0)
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("width", [256, 512])
def test_texture_that_moves_3_px_a_frame_has_motion_75_px_a_second(tmp_path, width):
    texture = blobs(width + 200, 144)
    step = 3 * width // 256
    clip = measure(tmp_path, [texture[:, step * at : step * at + width] for at in range(25)])
    assert clip["motion_px_s"] == pytest.approx(75, rel=0.1)
    assert clip["static_share"] == 0.0


def test_still_picture_has_no_motion(tmp_path):
    clip = measure(tmp_path, [blobs(256, 144)] * 10)
    assert clip["motion_px_s"] == pytest.approx(0, abs=0.5)
    assert clip["static_share"] == 1.0


@pytest.mark.parametrize("level", [0, 60, 200])
def test_grey_picture_has_its_level(tmp_path, level):
    clip = measure(tmp_path, [np.full((144, 256, 3), level, np.uint8)] * 5)
    assert clip["luma_mean"] == pytest.approx(level, abs=3)
    assert clip["luma_std"] == pytest.approx(0, abs=1)
    assert clip["black_share"] == (1.0 if level == 0 else 0.0)


def test_black_share_counts_black_frames(tmp_path):
    black, grey = np.zeros((144, 256, 3), np.uint8), np.full((144, 256, 3), 120, np.uint8)
    assert measure(tmp_path, [black] * 3 + [grey] * 9)["black_share"] == pytest.approx(0.25)


def test_blur_lowers_sharpness(tmp_path):
    sharp = np.repeat((np.indices((144, 256)).sum(0) // 8 % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    soft = (sharp.astype(float) + np.roll(sharp, 1, 0) + np.roll(sharp, 1, 1) + np.roll(sharp, (1, 1), (0, 1))) / 4
    values = [
        measure(tmp_path, [picture] * 2)["sharpness"]
        for picture in (sharp, soft.astype(np.uint8), np.full_like(sharp, 128))
    ]
    assert values[0] > 1.5 * values[1] > values[2]
    assert values[2] == pytest.approx(0, abs=1)


def test_near_pictures_have_near_hashes():
    grey = blobs(256, 144)[..., 0]
    brighter = np.clip(grey.astype(int) + 10, 0, 255).astype(np.uint8)
    other = np.random.default_rng(0).integers(0, 255, (144, 256), np.uint8)
    distances = [
        bin(int(phash(grey), 16) ^ int(phash(picture), 16)).count("1")
        for picture in (grey, brighter, grey[2:-2, 2:-2], other)
    ]
    assert distances[0] == 0
    assert max(distances[1:3]) <= 8
    assert distances[3] >= 16
    assert len(phash(grey)) == 16
