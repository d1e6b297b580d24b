"""A picture is shown as every player shows it: its orientation, the stream it comes from, and a check that reads both anew."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import zlib
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from hdvg.config.cut import Cut
from hdvg.config.sections import Split
from hdvg.errors import ItemError
from hdvg.media.clip_frames import write_frames
from hdvg.media.cut import cut
from hdvg.media.decode import Decoder, open_video
from hdvg.media.geometry import Orientation, orientation, upright
from hdvg.media.probe import probe
from hdvg.media.scan import scan
from hdvg.media.second_reading import difference, placed
from hdvg.sources.folder import VIDEO_SUFFIXES
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
    raw = path.with_suffix(".grey.nut")
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


def coded(path: Path, source: Path, *how: str) -> Path:
    ffmpeg("-v", "error", "-i", str(source), *how, str(path))
    return path


CONTAINERS = {
    "a.mxf": ("-c:v", "mpeg2video", "-q:v", "2", "-bf", "2"),
    "a.ivf": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "2M"),
    "a.gif": (),
    "a.apng": ("-plays", "0"),
    "a.y4m": ("-pix_fmt", "yuv420p"),
    "a.rm": ("-s", "352x288", "-c:v", "rv20", "-q:v", "2"),
    "a.nut": ("-c:v", "ffv1"),
    "a.dv": ("-s", "720x576", "-pix_fmt", "yuv420p", "-c:v", "dvvideo"),
    "a.264": ("-c:v", "libx264", "-preset", "veryfast"),
    "a.265": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"),
    "a.vob": ("-c:v", "mpeg2video", "-q:v", "2", "-bf", "2"),
    "a.m2v": ("-c:v", "mpeg2video", "-q:v", "2", "-bf", "2"),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_from_ordinary_tools_give_the_frames_that_ffmpeg_gives(upright_mp4, tmp_path, name):
    path = coded(tmp_path / name, upright_mp4, *CONTAINERS[name])
    wanted = shown_by_ffmpeg(path)
    found, clips = cut_all(path, tmp_path / "out")
    assert not any("reason" in clip for clip in clips), clips
    assert found["video"]["n_frames"] == len(wanted) == 30
    assert path.suffix in VIDEO_SUFFIXES
    got = []
    for clip in clips:
        with av.open(str(tmp_path / "out" / clip["file"])) as container:
            got += [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    for one, want in zip(got, wanted, strict=True):
        assert difference(cv2.resize(one, want.shape[::-1]), want) < 12, "GIF has 256 colours"


def test_every_suffix_that_is_taken_is_of_a_container_that_is_opened(upright_mp4, tmp_path):
    how = {".webm": CONTAINERS["a.ivf"], ".ogv": ("-c:v", "libtheora"), ".ogm": ("-c:v", "libtheora", "-f", "ogg")}
    how |= {f".{name}": ("-c:v", "mpeg2video", "-f", "vob") for name in ("mpg", "mpeg", "mpe", "m2p")}
    how |= {f".{name}": ("-c:v", "mpeg1video", "-f", "mpeg1video") for name in ("m1v",)} | {".qt": ("-f", "mov")}
    how |= {f".{name}": ("-c:v", "wmv2") for name in ("wmv", "asf")} | {".3gp": ("-c:v", "h263", "-s", "352x288")}
    how |= {f".{name}": ("-f", "mpegts") for name in ("mts", "m2ts", "tod")} | {
        ".f4v": ("-f", "flv"),
        ".3g2": how[".3gp"],
    }
    how |= {Path(name).suffix: options for name, options in CONTAINERS.items()}
    how |= {".divx": ("-c:v", "mpeg4", "-f", "avi"), ".h265": how[".265"]}
    how |= {".rmvb": (*how[".rm"], "-f", "rm"), ".hevc": how[".265"], ".h264": how[".264"]}
    for suffix in sorted(VIDEO_SUFFIXES):
        path = coded(tmp_path / f"a{suffix}", upright_mp4, *how.get(suffix, ()))
        assert probe(str(path), PIXELS)["codec"], suffix


@pytest.mark.parametrize(
    ("name", "reason"),
    [("a.wtv", "unsupported"), ("a.gxf", "unsupported"), ("a.webp", "unsupported"), ("a.wav", "no_video"), ("a.srt", "not_media"), ("a.m3u8", "not_media")],
)  # fmt: skip
def test_what_is_not_opened_is_called_by_its_name(upright_mp4, tmp_path, name, reason):
    path = tmp_path / name
    if name == "a.srt":
        path.write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n\n" * 9)
    elif name == "a.m3u8":
        path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\na.mp4\n#EXT-X-ENDLIST\n")
    elif name == "a.wav":
        ffmpeg("-v", "error", "-f", "lavfi", "-i", "sine=d=0.2", str(path))
    else:
        coded(path, upright_mp4, *(("-s", "720x576", "-c:v", "mpeg2video") if name != "a.webp" else ()))
    with pytest.raises(ItemError) as failed:
        probe(str(path), PIXELS)
    assert failed.value.reason == reason
    assert {"a.srt": "srt", "a.m3u8": "hls", "a.webp": "webp"}.get(name, name[2:]) in failed.value.detail
    assert str(tmp_path) not in str(failed.value)
    assert "Invalid argument" not in str(failed.value)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_bomb(path: Path, side: int) -> Path:
    """A PNG of 16 bits a channel, black, in a few kB."""
    squeezed = zlib.compressobj(1)
    row = bytes(1 + 8 * side)
    data = b"".join(squeezed.compress(row) for _ in range(side)) + squeezed.flush()
    header = struct.pack(">IIBBBBB", side, side, 16, 6, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


def smaller_in_header(path: Path) -> Path:
    """A copy of a MOV of PNG whose sample entry says 320 x 180."""
    data = bytearray(path.read_bytes())
    at = data.index(b"png ", data.index(b"stsd")) + 28
    data[at : at + 4] = struct.pack(">HH", 320, 180)
    lying = path.with_name(f"lying-{path.name}")
    lying.write_bytes(data)
    return lying


PEAK = r"""
import re, sys
from pathlib import Path
from hdvg.errors import ItemError
from hdvg.media.probe import probe
def peak_mb():
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024
before = peak_mb()
for path in sys.argv[1:]:
    try:
        probe(path, 1_000_000)
        print("none", path)
    except ItemError as error:
        print(error.reason, path)
print("mb", peak_mb() - before)
"""


def test_a_picture_bomb_is_refused_before_it_is_decoded(tmp_path):
    """16 megapixels against an allowed one: decoded, the PNG would take 128 MB and the others 24 MB and more each."""
    png = png_bomb(tmp_path / "bomb.png", 4000)
    big = ("-v", "error", "-f", "lavfi", "-i", "color=s=4000x4000:d=0.08:r=25")
    ffmpeg("-v", "error", "-i", str(png), "-c", "copy", str(tmp_path / "bomb.mov"))
    smaller_in_header(tmp_path / "bomb.mov")
    codecs = {
        "bomb.gif": (), "bomb.apng": (), "bomb.ivf": ("-c:v", "libsvtav1", "-preset", "12"), "bomb.vob": ("-c:v", "mpeg2video"),
        "bomb.flv": ("-c:v", "flv1"), "bomb.ts": ("-c:v", "libx264", "-preset", "ultrafast"), "bomb.mkv": ("-c:v", "mjpeg"),
        "bomb.y4m": ("-pix_fmt", "yuv420p"),
    }  # fmt: skip
    for name, how in codecs.items():
        ffmpeg(*big, *how, str(tmp_path / name))
    png.unlink()
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    ran = subprocess.run([sys.executable, "-c", PEAK, *paths], check=True, capture_output=True, text=True)
    lines = ran.stdout.split("\n")
    assert [line.split(" ")[0] for line in lines[: len(paths)]] == ["too_large"] * len(paths), ran.stdout
    assert int(lines[len(paths)].split(" ")[1]) < 90, ran.stdout
    assert probe(paths[0], PIXELS)["width"] == 4000


def test_a_picture_just_below_the_limit_decodes(tmp_path):
    ffmpeg("-v", "error", "-f", "lavfi", "-i", "color=s=999x998:d=0.08:r=25", "-c:v", "mjpeg", str(tmp_path / "a.mkv"))
    assert probe(str(tmp_path / "a.mkv"), 1_000_000)["height"] == 998
    with pytest.raises(ItemError, match="too_large"):
        probe(str(tmp_path / "a.mkv"), 999 * 998 - 1)


def interlaced(path: Path, *, fields: tuple[int, int]) -> Path:
    """Two shots of so many fields, woven two to a frame, top field first."""
    first, second = (count / 50 for count in fields)
    graph = (
        f"testsrc2=s=320x180:r=50:d={first},format=yuv420p[a];mandelbrot=s=320x180:r=50,trim=duration={second},format=yuv420p[b];"
        "[a][b]concat,tinterlace=interleave_top,fieldorder=tff"
    )
    ffmpeg(
        "-v", "error", "-filter_complex", graph, "-c:v", "libx264", "-preset", "veryfast", "-flags", "+ilme+ildct",
        "-x264-params", "tff=1", str(path),
    )  # fmt: skip
    return path


@pytest.mark.parametrize(("fields", "bounds"), [((75, 75), [(0, 37), (38, 75)]), ((74, 76), [(0, 37), (37, 75)])])
def test_a_frame_woven_of_two_shots_belongs_to_neither(tmp_path, fields, bounds):
    found, clips = cut_all(interlaced(tmp_path / "a.ts", fields=fields), tmp_path / "out")
    assert found["video"]["interlaced"]
    assert [(clip["start_frame"], clip["end_frame"]) for clip in found["clips"]] == bounds
    assert [clip.get("detail") for clip in clips] == [None, None]


@pytest.mark.parametrize("bounds", [(0, 38, 75), (0, 37, 75)], ids=["last frame", "first frame"])
def test_a_given_scene_that_ends_or_begins_with_a_woven_frame_is_cut(tmp_path, bounds):
    """Its frames are as its set says; of the woven one a progressive clip shows one field, so it is not compared."""
    path, out = interlaced(tmp_path / "a.ts", fields=(75, 75)), tmp_path / "out"
    out.mkdir()
    nothing = dict.fromkeys(("parent", "parent_start_ms", "parent_end_ms", "start_frame", "end_frame"))
    scenes = [nothing | {"start_ms": one * 40, "end_ms": two * 40} for one, two in pairwise(bounds)]
    found = scan(str(path), str(out), Split(given="exact").model_dump() | {"scenes": scenes}, 1, PIXELS)
    assert [(clip["start_frame"], clip["end_frame"]) for clip in found["clips"]] == list(pairwise(bounds))
    spans = [clip | {"clip_id": f"c{number}"} for number, clip in enumerate(found["clips"])]
    assert [clip.get("detail") for clip in cut(str(path), str(out), spans, settings(), PIXELS)] == [None, None]


def test_colours_beyond_red_green_and_blue_are_no_fault_of_a_clip(tmp_path):
    """Levels that no RGB picture has: grey made of clipped RGB is far from the luminance plane."""
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.options = (
            320,
            180,
            "yuv420p",
            {"preset": "veryfast", "g": "10"},
        )
        for number in range(40):
            planes = np.full((270, 320), 60, np.uint8)
            planes[180:225], planes[225:] = 250, 235
            planes[20:60, number * 4 : number * 4 + 60] = 30
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for mode in ("smart", "encode"):
        found, (clip,) = cut_all(tmp_path / "a.mp4", tmp_path / "out", mode=mode)
        assert "reason" not in clip, clip
    with av.open(str(tmp_path / "a.mp4")) as container:
        luma = next(container.decode(video=0)).to_ndarray(format="gray")
    seen = np.frombuffer(bytes.fromhex(found["clips"][0]["first_look"]), np.uint8)
    assert abs(float(luma.mean()) - float(seen.mean())) > 10, "else this tests nothing"


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_clips_of_a_variable_rate_are_right_wherever_they_end(tmp_path, name, codec):
    draw = np.random.default_rng(len(name) + len(codec))
    times = [0, *np.cumsum(draw.choice([1, 1, 1, 2, 3, 9], 79)).tolist()]
    keys = "keyint=20:bframes=3:log-level=none" + (":pools=none" if codec == "libx265" else "")
    how = {"preset": "ultrafast", f"{codec[3:]}-params": keys}
    draw_scenes(
        tmp_path / name,
        scene_frames=(80,),
        times=times,
        time_base=Fraction(1, 90),
        size=(128, 96),
        codec=codec,
        options=how,
    )
    with open_video(str(tmp_path / name), max_pixels=PIXELS) as (container, stream):
        decoder = Decoder(container, stream)
        pts = [frame.pts for frame in decoder]
        pts.append(decoder.end_pts)
    assert len(pts) == 81
    bounds = [sorted(draw.choice(81, 2, replace=False).tolist()) for _ in range(12)]
    for mode in ("smart", "encode", "copy"):
        spans = [
            {"clip_id": f"c{number}", "start_pts": pts[one], "end_pts": pts[two], "n_frames": two - one}
            for number, (one, two) in enumerate(bounds)
        ]
        clips = cut(str(tmp_path / name), str(tmp_path), spans, settings(mode=mode), PIXELS)
        assert {clip.get("reason") for clip in clips} <= {None, "no_keyframe"}, clips
        for clip in clips:
            if "reason" not in clip:
                numbers = read_numbers(tmp_path / clip["file"])
                assert numbers == list(range(pts.index(clip["cut_start_pts"]), pts.index(clip["cut_end_pts"])))


def test_too_many_frames_are_not_decoded(upright_mp4, tmp_path):
    split = Split().model_dump()
    for limits in ({"max_frames": 29}, {"max_decoded_gb": 29 * 192 * 108 * 1.5 / 1e9}):
        with pytest.raises(ItemError, match="too_many_frames"):
            scan(str(upright_mp4), str(tmp_path), {**split, **limits}, 1, PIXELS)
    for limits in ({"max_frames": 30}, {"max_decoded_gb": 30 * 192 * 108 * 1.5 / 1e9}):
        assert scan(str(upright_mp4), str(tmp_path), {**split, **limits}, 1, PIXELS)["video"]["n_frames"] == 30


def test_a_bomb_of_frames_ends_at_its_cap_and_a_long_film_does_not(tmp_path, monkeypatch):
    """300,000 small frames in a second to a thousand are refused after 100,000; as many of an ordinary rate are a film."""
    monkeypatch.setattr("hdvg.media.budget.FAST_FRAMES", 400)
    split = Split().model_dump() | {"max_frames": 4_000_000}
    for rate, is_bomb in ((1000, True), (60, False)):
        path = tmp_path / f"{rate}.mp4"
        ffmpeg(
            "-f",
            "lavfi",
            "-i",
            f"testsrc=s=32x32:r={rate}",
            "-frames:v",
            "900",
            "-g",
            "999",
            "-preset",
            "ultrafast",
            str(path),
        )
        if is_bomb:
            with pytest.raises(ItemError, match="too_many_frames: over 400 frames, and more than 300 of them a second"):
                scan(str(path), str(tmp_path), split, 1, PIXELS)
        else:
            assert scan(str(path), str(tmp_path), split, 1, PIXELS)["video"]["n_frames"] == 900


CASES = Path(__file__).parents[3] / "shared" / "cases"


@pytest.mark.parametrize(
    ("name", "frames", "clips"),
    [("hflip_matrix.mp4", 150, 2), ("cover_plain_first.mkv", 150, 2), ("interlaced264.ts", 75, 2), ("illegal_chroma.mp4", 75, 1)],
)  # fmt: skip
def test_the_cases_give_their_right_values(tmp_path, name, frames, clips):
    if not CASES.exists():
        pytest.skip("needs ../shared/cases")
    found, made = cut_all(CASES / name, tmp_path / "out")
    assert (found["video"]["n_frames"], len(made)) == (frames, clips)
    assert [clip.get("detail") for clip in made] == [None] * clips
    wanted = shown_by_ffmpeg(
        shutil.copy(CASES / name, tmp_path / name), "-map", "0:v:1" if "cover" in name else "0:v:0"
    )
    for clip, made_clip in zip(found["clips"], made, strict=True):
        with av.open(str(tmp_path / "out" / made_clip["file"])) as container:
            pictures = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
        for number, picture in enumerate(pictures):
            assert difference(picture, wanted[clip["start_frame"] + number]) < 12, number
