"""Numbers tested against truths on paper, or on real footage to which something known was done."""

from fractions import Fraction
from functools import cache

import av
import cv2
import numpy as np
import pytest

from hdvg.config.sections import Split
from hdvg.measures import pass_measures
from hdvg.measures.blockiness import blockiness
from hdvg.measures.detail import detail_share
from hdvg.measures.interlace import combed_share
from hdvg.measures.noise import noise
from hdvg.measures.phash import phash
from hdvg.media.scan import scan
from schemas.pass_measures import MEASURED
from tests.footage import find
from tests.videos import draw_frames, draw_scenes


def measure(tmp_path, pictures) -> dict:
    draw_frames(tmp_path / "a.mp4", pictures)
    return measure_file(tmp_path / "a.mp4", tmp_path)


def measure_file(path, out) -> dict:
    (clip,) = scan(str(path), str(out), Split(min_scene_frames=1000).model_dump(), 1, 36_000_000)["clips"]
    return clip


@cache
def footage(file: str, start: int, count: int = 12) -> list[np.ndarray]:
    """Frames of a bundled video in full size, RGB."""
    with av.open(str(find(file))) as container:
        pictures = zip(range(start + count), container.decode(video=0), strict=False)
        return [picture.to_ndarray(format="rgb24") for at, picture in pictures if at >= start]


def lumas(file: str, start: int, count: int = 12) -> list[np.ndarray]:
    return [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in footage(file, start, count)]


def encode(path, pictures, *, crf: str) -> None:
    """As H.264 at a usual quality."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": crf})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


REAL_720P = [("bigbuckbunny_720p.mp4", 10), ("bigbuckbunny_720p.mp4", 100), ("birds_720p.mp4", 4), ("cockatoo.mp4", 20)]


def test_every_measured_column_comes_from_one_measure():
    columns = [name for one in pass_measures().values() for name in one.columns]
    others = ["width", "height", "aspect", "fps", "duration_s", "phash", "phashes", "phashes_inner"]
    assert sorted(columns + others) == sorted(field.name for field in MEASURED)


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


def test_pan_is_the_cameras_and_has_no_shake(tmp_path):
    texture = blobs(456, 144)
    clip = measure(tmp_path, [texture[:, 3 * at : 3 * at + 256] for at in range(50)])
    assert clip["camera_px_s"] == pytest.approx(75, rel=0.1)
    assert clip["local_px_s"] < 7.5
    assert clip["shake_px_s"] < 7.5


def test_object_on_a_still_ground_is_local(tmp_path):
    pictures = [blobs(256, 144) for _ in range(40)]
    square = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    for at, picture in enumerate(pictures):
        picture[40:104, 20 + 3 * at : 84 + 3 * at] = square
    clip = measure(tmp_path, pictures)
    share = 64 * 64 / (256 * 144)
    assert clip["camera_px_s"] < 2
    assert 0.9 * 75 * share <= clip["local_px_s"] <= 2 * 75 * share, "flow reaches over an object's edges"


def test_zoom_is_the_cameras(tmp_path):
    real = cv2.resize(footage("birds_720p.mp4", 4)[0], (512, 288), interpolation=cv2.INTER_AREA)
    turns = [cv2.getRotationMatrix2D((256, 144), 0, 1.01**at) for at in range(30)]
    clip = measure(tmp_path, [cv2.warpAffine(real, turn, (512, 288), flags=cv2.INTER_CUBIC) for turn in turns])
    y, x = np.mgrid[-72:72, -128:128]
    assert clip["camera_px_s"] == pytest.approx(0.01 * 25 * np.hypot(x, y).mean(), rel=0.25)
    assert clip["local_px_s"] < 0.3 * clip["camera_px_s"]


@pytest.mark.parametrize("throw", [1, 2])
def test_camera_thrown_to_and_fro_shakes_by_twice_its_speed(tmp_path, throw):
    texture = blobs(300, 144)
    clip = measure(tmp_path, [texture[:, 10 + throw * (at % 2) :][:, :256] for at in range(50)])
    assert clip["shake_px_s"] == pytest.approx(2 * throw * 25, rel=0.15)


def test_motion_score_of_svd_is_px_of_the_small_picture_in_half_a_second(tmp_path):
    y, x = np.mgrid[:144, :456]
    slow = (128 + 60 * np.sin(x / 25.0) * np.cos(y / 21.0) + 40 * np.sin((x + 2 * y) / 40.0)).clip(0, 255)
    texture = slow.astype(np.uint8)[..., None].repeat(3, 2)
    clip = measure(tmp_path, [texture[:, at : at + 256] for at in range(100)])
    assert clip["svd_flow_px"] == pytest.approx(12.5 * 16 / 144, rel=0.25)


def test_slideshow_is_no_freeze_and_a_still_no_slideshow(tmp_path):
    texture = blobs(456, 144)
    slides = [np.roll(255 - texture if at % 2 else texture, 40 * at, axis=1)[:, :256] for at in range(5)]
    shown = measure(tmp_path, [picture for picture in slides for _ in range(20)])
    assert shown["slideshow_share"] == pytest.approx(95 / 99)
    assert shown["freeze_share"] == pytest.approx(19 / 99)
    still = measure(tmp_path, slides[:1] * 30)
    assert (still["slideshow_share"], still["freeze_share"], still["static_share"]) == (0, 1, 1)
    moving = measure(tmp_path, [texture[:, 3 * at : 3 * at + 256] for at in range(30)])
    assert (moving["slideshow_share"], moving["freeze_share"]) == (0, 0)


def test_freeze_is_the_longest_run_of_equal_frames(tmp_path):
    texture = blobs(456, 144)
    moves = [min(at, 20) if at < 40 else at - 20 for at in range(61)]
    clip = measure(tmp_path, [texture[:, 3 * at : 3 * at + 256] for at in moves])
    assert clip["freeze_share"] == pytest.approx(20 / 60)


@pytest.mark.parametrize("period", [2, 4])
def test_light_that_goes_on_and_off_flickers_by_half_its_step(tmp_path, period):
    grey = [np.full((144, 256, 3), 120 + 30 * (at % period >= period // 2), np.uint8) for at in range(50)]
    assert measure(tmp_path, grey)["flicker_levels"] == pytest.approx(15, rel=0.2)
    fade = [np.full((144, 256, 3), 60 + 2 * at, np.uint8) for at in range(50)]
    assert measure(tmp_path, fade)["flicker_levels"] < 1, "what rounding to 16-235 makes of it"


def test_missed_cut_is_a_jump_and_motion_on_twos_is_none(tmp_path):
    one, other = footage("birds_720p.mp4", 0, 20), footage("bigbuckbunny_720p.mp4", 10, 20)
    small = [
        [cv2.resize(picture, (256, 144), interpolation=cv2.INTER_AREA) for picture in some] for some in (one, other)
    ]
    step = np.abs(small[1][0].mean(axis=2) - small[0][-1].mean(axis=2)).mean()
    joined = measure(tmp_path, small[0] + small[1])
    assert joined["jump_levels"] == pytest.approx(step, rel=0.25)
    assert max(measure(tmp_path, some)["jump_levels"] for some in small) < step / 8
    texture = blobs(656, 144)
    twos = measure(tmp_path, [texture[:, at // 2 * 8 :][:, :256] for at in range(50)])
    assert twos["jump_levels"] < 2


def test_colourfulness_is_hasler_and_suesstrunks(tmp_path):
    assert measure(tmp_path, [np.full((144, 256, 3), 90, np.uint8)] * 5)["colourfulness"] == pytest.approx(0, abs=0.5)
    red = np.zeros((144, 256, 3), np.uint8) + np.array([200, 40, 40], np.uint8)
    assert measure(tmp_path, [red] * 5)["colourfulness"] == pytest.approx(0.3 * np.hypot(160, 80), rel=0.03)
    halves = red.copy()
    halves[:, 128:] = (40, 200, 40)
    truth = np.hypot(160, 0) + 0.3 * np.hypot(0, 80)
    assert measure(tmp_path, [halves] * 5)["colourfulness"] == pytest.approx(truth, rel=0.05)


def test_exposed_shares_are_of_the_area(tmp_path):
    picture = np.full((144, 256, 3), 120, np.uint8)
    picture[:36], picture[36:54] = 0, 255
    clip = measure(tmp_path, [picture] * 5)
    assert (clip["under_share"], clip["over_share"]) == (pytest.approx(0.25, abs=0.01), pytest.approx(0.125, abs=0.01))


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (30, 60, 140)], ids=["black", "white", "blue"])
def test_bars_of_any_flat_colour_leave_the_active_picture(tmp_path, colour):
    pictures = [np.full((360, 640, 3), colour, np.uint8) for _ in range(12)]
    for barred, real in zip(pictures, footage("bigbuckbunny_720p.mp4", 100), strict=True):
        barred[45:315, 80:560] = cv2.resize(real, (480, 270), interpolation=cv2.INTER_AREA)
    clip = measure(tmp_path, pictures)
    assert (clip["active_width"], clip["active_height"]) == (pytest.approx(480, abs=4), pytest.approx(270, abs=3))
    assert clip["active_aspect"] == pytest.approx(16 / 9, rel=0.02)
    assert clip["active_share"] == pytest.approx(480 * 270 / (640 * 360), rel=0.02)


def test_dark_frames_and_skies_have_no_bars(tmp_path):
    real = [cv2.resize(picture, (640, 360), interpolation=cv2.INTER_AREA) for picture in footage("cockatoo.mp4", 20)]
    dark = [(picture * 0.04).astype(np.uint8) for picture in real]
    assert measure(tmp_path, dark[:6] + real[:30])["active_share"] == 1
    y, x = np.mgrid[:360, :640]
    hills = np.where((y > 150 + 60 * np.sin(x / 60.0))[..., None], blobs(640, 360), np.uint8(250))
    assert measure(tmp_path, [hills] * 10)["active_share"] == 1


def test_flat_clip_has_no_known_active_picture(tmp_path):
    assert measure(tmp_path, [np.full((144, 256, 3), 10, np.uint8)] * 5)["active_share"] is None


def test_active_picture_is_upright_and_of_square_pixels(tmp_path):
    draw_scenes(tmp_path / "turned.mp4", scene_frames=(60,), rotation=90)
    draw_scenes(tmp_path / "wide.mp4", scene_frames=(60,), sar=Fraction(4, 3))
    turned, wide = (measure_file(tmp_path / name, tmp_path) for name in ("turned.mp4", "wide.mp4"))
    assert (turned["active_width"], turned["active_height"]) == (108, 192)
    assert (wide["active_width"], wide["active_height"]) == (256, 108)


@pytest.mark.parametrize(("file", "start"), REAL_720P)
@pytest.mark.parametrize(
    "way", [cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4], ids=["linear", "cubic", "lanczos"]
)
@pytest.mark.parametrize("crf", [None, "20"], ids=["raw", "crf20"])
def test_detail_of_a_picture_scaled_up_from_360_lines_ends_far_below_720(tmp_path, file, start, way, crf):
    native = footage(file, start)
    small = [cv2.resize(picture, (640, 360), interpolation=cv2.INTER_AREA) for picture in native]
    scaled = [cv2.resize(picture, (1280, 720), interpolation=way) for picture in small]
    ends = []
    for name, pictures in (("native", native), ("scaled", scaled)):
        if crf:
            encode(tmp_path / f"{name}.mp4", pictures, crf=crf)
            with av.open(str(tmp_path / f"{name}.mp4")) as container:
                grey = next(container.decode(video=0)).to_ndarray(format="gray")
        else:
            grey = cv2.cvtColor(pictures[0], cv2.COLOR_RGB2GRAY)
        ends.append(720 * detail_share(grey))
    assert ends[1] <= 400
    assert ends[0] >= (1.1 if crf else 1.2) * ends[1]


def test_detail_of_a_plain_picture_is_not_known(tmp_path):
    assert detail_share(np.full((720, 1280), 100, np.uint8)) is None


@pytest.mark.parametrize("shift", [4, 10])
def test_fields_of_two_moments_are_combs(tmp_path, shift):
    for file, start in REAL_720P:
        real = lumas(file, start)[0]
        now, later = real[:, :-shift], real[:, shift:]
        woven = now.copy()
        woven[1::2] = later[1::2]
        assert combed_share(woven) >= 0.01 > combed_share(now), (file, start)


def test_interlace_share_is_of_frames(tmp_path):
    frames = footage("cockatoo.mp4", 20, 13)
    woven = [now.copy() for now in frames[:-1]]
    for picture, later in zip(woven, frames[1:], strict=True):
        picture[1::2] = later[1::2]
    assert measure(tmp_path, woven)["interlace_share"] == 1
    assert measure(tmp_path, frames[:-1])["interlace_share"] == 0


@pytest.mark.parametrize("sigma", [3, 6, 12])
@pytest.mark.parametrize(("file", "start"), REAL_720P)
def test_noise_added_to_real_footage_is_recovered(file, start, sigma):
    """Variances add up; within 20 %."""
    clean = lumas(file, start)[0]
    random = np.random.default_rng(0)
    noisy = np.clip(clean + random.normal(0, sigma, clean.shape), 0, 255).round().astype(np.uint8)
    assert noise(noisy) == pytest.approx(np.hypot(noise(clean), sigma), rel=0.2)


@pytest.mark.parametrize(("file", "start"), REAL_720P)
def test_blockiness_grows_as_jpeg_quality_falls(file, start):
    picture = lumas(file, start)[0]
    found = [blockiness(picture)]
    for quality in (80, 40, 20, 8):
        packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        found.append(blockiness(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE)))
    assert found == sorted(found)
    assert found[0] < 1.25 < 1.5 < found[-1]
