"""A picture is shown as every player shows it: its orientation, the stream it comes from, and a check that reads both anew."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from hdvg.config.sections import Cut, Split
from hdvg.media.clip_frames import write_frames
from hdvg.media.cut import cut
from hdvg.media.geometry import Orientation, orientation, upright
from hdvg.media.probe import probe
from hdvg.media.scan import scan
from hdvg.media.second_reading import difference, placed
from tests.bench.machine import ffmpeg
from tests.videos import draw_scenes, read_numbers

PIXELS = 36_000_000
ONE = 1 << 16
RIGHT_ANGLES = {
    "as coded": (ONE, 0, 0, ONE),
    "turned 90": (0, ONE, -ONE, 0),
    "turned 180": (-ONE, 0, 0, -ONE),
    "turned 270": (0, -ONE, ONE, 0),
    "left and right swapped": (-ONE, 0, 0, ONE),
    "top and bottom swapped": (ONE, 0, 0, -ONE),
    "transposed": (0, ONE, ONE, 0),
    "transposed over the other diagonal": (0, -ONE, -ONE, 0),
}


def with_matrix(path: Path, out: Path, across: tuple[int, int, int, int]) -> Path:
    """A copy of an mp4 whose video track has another display matrix: (a, b, c, d) of ISO/IEC 14496-12."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = across
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    out.write_bytes(data)
    return out


def shown_by_ffmpeg(path: Path, *how: str) -> list[np.ndarray]:
    """What ffmpeg's command line shows of a file, grey, with its automatic rotation."""
    raw = path.with_suffix(".nut")
    ffmpeg(
        "-v",
        "error",
        "-i",
        str(path),
        *how,
        "-fps_mode",
        "passthrough",
        "-pix_fmt",
        "gray",
        "-c:v",
        "rawvideo",
        str(raw),
    )
    with av.open(str(raw)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


def settings(**changes) -> dict:
    return Cut(**({"preset": "ultrafast"} | changes)).model_dump()


def scanned(path: Path, out: Path) -> dict:
    out.mkdir(exist_ok=True)
    return scan(str(path), str(out), Split().model_dump(), 1, PIXELS)


def cut_all(path: Path, out: Path, **changes) -> tuple[dict, list[dict]]:
    found = scanned(path, out)
    spans = [clip | {"clip_id": f"c{number}"} for number, clip in enumerate(found["clips"])]
    return found, cut(str(path), str(out), spans, settings(**changes), PIXELS)


def same(one: np.ndarray, two: np.ndarray) -> bool:
    return one.shape == two.shape and difference(one, two) < 6


@pytest.fixture(scope="module")
def upright_mp4(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "a.mp4"
    draw_scenes(path, scene_frames=(30,), size=(192, 108))
    return path


@pytest.mark.parametrize("name", RIGHT_ANGLES)
def test_all_eight_orientations_are_shown_as_ffmpeg_shows_them(upright_mp4, tmp_path, name):
    path = with_matrix(upright_mp4, tmp_path / "a.mp4", RIGHT_ANGLES[name])
    wanted = shown_by_ffmpeg(path)
    found, (clip,) = cut_all(path, tmp_path / "out")
    assert "reason" not in clip, clip
    assert (found["video"]["height"], found["video"]["width"]) == wanted[0].shape
    keyframe = found["clips"][0]["keyframes"][0]
    picture = cv2.imread(str(tmp_path / "out" / keyframe["file"]), cv2.IMREAD_GRAYSCALE)
    assert same(picture, wanted[keyframe["frame"]])
    with av.open(str(tmp_path / "out" / clip["file"])) as container:
        pictures = list(container.decode(video=0))
    assert len(pictures) == len(wanted) == 30
    assert all(not picture.rotation for picture in pictures)
    assert all(same(picture.to_ndarray(format="gray"), want) for picture, want in zip(pictures, wanted, strict=True))
    raw = tmp_path / "raw"
    asked = {"fps": None, "height": None, "length_s": "2", "n_frames": 30, "max_pixels": PIXELS}
    count, height, width = write_frames(str(path), str(raw), asked)
    frames = np.fromfile(raw, np.uint8).reshape(count, height, width, 3)
    assert same(cv2.cvtColor(frames[0], cv2.COLOR_RGB2GRAY), wanted[0])


@pytest.mark.parametrize("name", RIGHT_ANGLES)
def test_a_copied_clip_keeps_its_orientation(upright_mp4, tmp_path, name):
    path = with_matrix(upright_mp4, tmp_path / "a.mp4", RIGHT_ANGLES[name])
    _, (clip,) = cut_all(path, tmp_path / "out", mode="copy")
    assert "reason" not in clip, clip
    wanted = shown_by_ffmpeg(path)[0]
    assert same(shown_by_ffmpeg(tmp_path / "out" / clip["file"])[0], wanted)


def test_a_turn_that_is_no_right_angle_is_noted_and_not_applied(upright_mp4, tmp_path):
    path = with_matrix(upright_mp4, tmp_path / "a.mp4", (49461, 42995, -42995, 49461))  # 41 degrees
    found, (clip,) = cut_all(path, tmp_path / "out")
    assert (found["video"]["odd_turn"], found["video"]["rotation"], found["video"]["mirrored"]) == (41, 0, False)
    with av.open(str(tmp_path / "out" / clip["file"])) as container:
        frame = next(container.decode(video=0))
    assert not frame.rotation
    assert same(frame.to_ndarray(format="gray"), shown_by_ffmpeg(upright_mp4)[0])


@pytest.mark.parametrize("low", [-(2**31), 2**31 - 1, 0, 1, -1])
def test_hostile_matrices_are_read_without_harm(upright_mp4, tmp_path, low):
    for number, matrix in enumerate(((low, low, low, low), (low, 0, 0, low), (0, low, low, 0), (low, 0, 0, 0))):
        path = with_matrix(upright_mp4, tmp_path / f"{number}.mp4", matrix)
        assert probe(str(path), PIXELS)["rotation"] in (0, 90, 180, 270)
        a, b, c, d = matrix
        assert isinstance(orientation((a, b, 0, c, d, 0, 0, 0, 1 << 30)), Orientation)


def test_the_check_places_pictures_by_another_rule_and_finds_the_same(upright_mp4, tmp_path):
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    for name, matrix in RIGHT_ANGLES.items():
        with av.open(str(with_matrix(upright_mp4, tmp_path / "a.mp4", matrix))) as container:
            frame = next(container.decode(video=0))
        a, b, c, d = matrix
        shown = orientation((a, b, 0, c, d, 0, 0, 0, 1 << 30))
        shape = {"rotation": shown.rotation, "mirrored": shown.mirrored}
        assert np.array_equal(placed(frame, picture), upright(picture, shape)), name


@pytest.mark.parametrize("name", [name for name in RIGHT_ANGLES if name != "as coded"])
def test_a_wrong_orientation_is_found_by_the_check(upright_mp4, tmp_path, monkeypatch, name):
    path = with_matrix(upright_mp4, tmp_path / "a.mp4", RIGHT_ANGLES[name])
    spans = [clip | {"clip_id": "c"} for clip in scanned(path, tmp_path / "out")["clips"]]
    spans[0] |= {"first_look": None, "last_look": None}  # these were made by the first reading
    a, b, c, d = RIGHT_ANGLES[name]
    right = orientation((a, b, 0, c, d, 0, 0, 0, 1 << 30))
    for wrong in {Orientation(turn, flip) for turn in (0, 90, 180, 270) for flip in (False, True)} - {right}:
        monkeypatch.setattr("hdvg.media.geometry.orientation", lambda matrix, wrong=wrong: wrong)
        (clip,) = cut(str(path), str(tmp_path), spans, settings(), PIXELS)
        assert clip.get("reason") == "cut_mismatch", wrong
        assert "grey levels" in clip["detail"] or "display matrix" in clip["detail"]


def joined(out: Path, *inputs: Path, flags: tuple[str, ...] = ()) -> Path:
    sources = [word for path in inputs for word in ("-i", str(path))]
    maps = [word for number in range(len(inputs)) for word in ("-map", str(number))]
    ffmpeg("-v", "error", *sources, *maps, "-c", "copy", *flags, str(out))
    return out


@pytest.fixture(scope="module")
def tracks(tmp_path_factory) -> dict[str, Path]:
    """A film, a cover of the same size, a smaller stream, and a larger cover."""
    room = tmp_path_factory.mktemp("tracks")
    draw_scenes(room / "film.mp4", scene_frames=(50,), size=(192, 108))
    draw_scenes(room / "small.mp4", scene_frames=(50,), size=(64, 36), seed=3)
    for name, size in (("cover", "192x108"), ("poster", "640x360")):
        ffmpeg(
            "-v", "error", "-f", "lavfi", "-i", f"testsrc=s={size}:r=25:d=0.04", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p",
            str(room / f"{name}.mkv"),
        )  # fmt: skip
    return {path.stem: path for path in room.iterdir()}


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov", "a.nut"])
@pytest.mark.parametrize("before", ["cover", "poster", "small"])
def test_the_film_is_found_behind_another_stream(tracks, tmp_path, name, before):
    flags = ("-disposition:v:0", "0", "-disposition:v:1", "default")
    path = joined(tmp_path / name, tracks[before], tracks["film"], flags=flags)
    found, (clip,) = cut_all(path, tmp_path / "out")
    assert found["video"]["n_frames"] == 50
    assert (found["video"]["width"], found["video"]["height"]) == (192, 108)
    assert read_numbers(tmp_path / "out" / clip["file"]) == list(range(50))


def test_of_two_films_the_default_one_is_taken_and_then_the_larger_one(tracks, tmp_path):
    both = tracks["film"], tracks["small"]
    first = joined(tmp_path / "a.mkv", *both, flags=("-disposition:v:0", "0", "-disposition:v:1", "default"))
    assert probe(str(first), PIXELS)["width"] == 64
    for order in (both, both[::-1]):
        for default in ("default", "0"):
            flags = ("-disposition:v:0", default, "-disposition:v:1", default)
            path = joined(tmp_path / "b.mkv", *order, flags=flags)
            assert probe(str(path), PIXELS)["width"] == 192


def test_a_file_of_nothing_but_a_picture_is_that_picture(tracks, tmp_path):
    assert probe(str(tracks["poster"]), PIXELS)["width"] == 640


def test_the_sound_is_the_one_that_players_take(tmp_path, tracks):
    tones = ("-f", "lavfi", "-i", "sine=f=300:d=2", "-f", "lavfi", "-i", "sine=f=2000:d=2")
    flags = ("-disposition:a:0", "comment", "-disposition:a:1", "default")
    path = tmp_path / "a.mkv"
    ffmpeg(
        "-v", "error", "-i", str(tracks["film"]), *tones, "-map", "0", "-map", "1", "-map", "2", "-c:v", "copy",
        "-c:a", "aac", *flags, str(path),
    )  # fmt: skip
    _, (clip,) = cut_all(path, tmp_path / "out", audio="keep")
    with av.open(str(tmp_path / "out" / clip["file"])) as container:
        pieces = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    spectrum = np.abs(np.fft.rfft(np.concatenate(pieces)))
    assert abs(spectrum.argmax() * 44100 / (2 * len(spectrum)) - 2000) < 50


def test_a_picture_taken_for_the_film_is_found_by_the_check(tracks, tmp_path, monkeypatch):
    path = joined(
        tmp_path / "a.mkv",
        tracks["cover"],
        tracks["film"],
        flags=("-disposition:v:0", "0", "-disposition:v:1", "default"),
    )
    monkeypatch.setattr("hdvg.media.decode.find_film", lambda container, again: container.streams.video[0])
    _, (clip,) = cut_all(path, tmp_path / "out")
    assert "FFmpeg takes stream 1" in clip["detail"]
