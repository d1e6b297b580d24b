"""Time is integer and cuts are exact, whatever the timing, turn or shape of the source."""

from __future__ import annotations

import json
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from hdvg.config.cut import Cut
from hdvg.config.sections import Split
from hdvg.errors import ItemError
from hdvg.media.cut import cut
from hdvg.media.probe import probe
from hdvg.media.scan import scan
from tests.videos import cut_short, draw_frames, draw_scenes, index_first, read_number, read_numbers

PIXELS = 36_000_000
SPLIT = Split().model_dump()
VFR = [tick for tick in range(0, 4000, 40) if tick % 280 != 80][:45]

SOURCES = {
    "cfr h264 with B-frames": ("a.mp4", {}),
    "ntsc": ("a.mp4", {"time_base": Fraction(1001, 30000)}),
    "vfr": ("a.mp4", {"times": VFR, "time_base": Fraction(1, 1000)}),
    "vfr mkv, late start": ("a.mkv", {"times": [tick + 5000 for tick in VFR], "time_base": Fraction(1, 1000)}),
    "vp9 webm": ("a.webm", {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}}),
    "turned": ("a.mp4", {"rotation": 90}),
    "wide pixels": ("a.mp4", {"sar": Fraction(4, 3)}),
    "odd size, 4:4:4": ("a.mp4", {"size": (193, 107), "pix_fmt": "yuv444p"}),
    "10 bit": ("a.mp4", {"pix_fmt": "yuv420p10le"}),
}


def split_and_cut(path: Path, out: Path, preset: str = "ultrafast") -> tuple[dict, list[dict]]:
    found = scan(str(path), str(out), SPLIT, 1, PIXELS)
    spans = [
        {"clip_id": str(n)} | {k: clip[k] for k in ("start_pts", "end_pts", "n_frames")}
        for n, clip in enumerate(found["clips"])
    ]
    return found, cut(str(path), str(out), spans, Cut(preset=preset).model_dump(), PIXELS)


def upright_numbers(path: Path, rotation: int) -> list[int]:
    """The stamped numbers of a clip whose source was turned on display; the stamp is at the top of the coded picture."""
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    return [read_number(np.rot90(picture, rotation // 90)) for picture in pictures]


@pytest.mark.parametrize(("name", "drawing"), SOURCES.values(), ids=SOURCES)
def test_spans_and_clips_hold_exactly_their_frames(tmp_path, name, drawing):
    path = tmp_path / name
    ticks = draw_scenes(path, scene_frames=(20, 25), **drawing)
    found, clips = split_and_cut(path, tmp_path)
    assert [(clip["start_frame"], clip["end_frame"]) for clip in found["clips"]] == [(0, 20), (20, 45)]
    time_base, drawn = Fraction(found["video"]["time_base"]), drawing.get("time_base", Fraction(1, 25))
    assert (
        found["clips"][1]["start_pts"] * time_base - found["clips"][0]["start_pts"] * time_base
        == (ticks[20] - ticks[0]) * drawn
    )
    assert found["clips"][0]["end_pts"] == found["clips"][1]["start_pts"]
    for clip, numbers in zip(clips, (range(20), range(20, 45)), strict=True):
        assert "reason" not in clip
        assert upright_numbers(tmp_path / clip["file"], drawing.get("rotation", 0)) == list(numbers)
        with av.open(str(tmp_path / clip["file"])) as container:
            stream = container.streams.video[0]
            times = [frame.pts * stream.time_base for frame in container.decode(stream)]
            assert (stream.codec_context.pix_fmt, stream.width % 2, stream.height % 2) == ("yuv420p", 0, 0)
        assert times == [(ticks[number] - ticks[numbers[0]]) * drawn for number in numbers]


def test_display_size_is_after_turn_and_pixel_aspect(tmp_path):
    draw_scenes(tmp_path / "turned.mp4", rotation=90)
    draw_scenes(tmp_path / "wide.mp4", sar=Fraction(4, 3))
    turned, wide = (probe(str(tmp_path / name), PIXELS) for name in ("turned.mp4", "wide.mp4"))
    assert (turned["width"], turned["height"], turned["rotation"]) == (108, 192, 90)
    assert (wide["width"], wide["height"], wide["sar"]) == (256, 108, "4/3")
    found, clips = split_and_cut(tmp_path / "turned.mp4", tmp_path)
    assert (clips[0]["width"], clips[0]["height"]) == (108, 192)
    picture = cv2.imread(str(tmp_path / found["clips"][0]["keyframes"][1]["file"]))
    assert picture.shape[:2] == (192, 108)


def test_frames_that_an_edit_list_hides_are_no_loss(tmp_path):
    whole, trimmed = tmp_path / "whole.mp4", tmp_path / "trimmed.mp4"
    draw_scenes(whole, scene_frames=(60, 40), options={"preset": "ultrafast", "g": "50", "bf": "2"})
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-ss",
        "1.2",
        "-i",
        str(whole),
        "-c",
        "copy",
        str(trimmed),
    ]
    subprocess.run(command, check=True)
    with av.open(str(trimmed)) as container:
        assert container.streams.video[0].frames == 100, "the samples are all there"
    found, clips = split_and_cut(trimmed, tmp_path)
    assert [(clip["start_frame"], clip["end_frame"]) for clip in found["clips"]] == [(0, 30), (30, 70)]
    assert read_numbers(tmp_path / clips[0]["file"]) == list(range(30, 60))


@pytest.mark.parametrize("size", [(1024, 32), (16, 16), (2, 256), (640, 2)])
def test_pictures_of_odd_shapes_are_measured_as_far_as_they_go(tmp_path, size):
    pictures = [np.full((size[1], size[0], 3), 40 + number, np.uint8) for number in range(12)]
    draw_frames(tmp_path / "a.mkv", pictures)
    found = scan(str(tmp_path / "a.mkv"), str(tmp_path), SPLIT, 1, PIXELS)
    json.dumps(found, allow_nan=False)
    assert found["clips"][0]["n_frames"] == 12


def test_video_without_a_cut_is_one_clip(tmp_path):
    draw_scenes(tmp_path / "a.mp4", scene_frames=(30,))
    found, _ = split_and_cut(tmp_path / "a.mp4", tmp_path)
    assert [(clip["start_frame"], clip["end_frame"]) for clip in found["clips"]] == [(0, 30)]


def test_one_frame_is_a_clip_with_three_keyframes(tmp_path):
    draw_scenes(tmp_path / "a.mp4", scene_frames=(1,))
    found, clips = split_and_cut(tmp_path / "a.mp4", tmp_path)
    (clip,) = found["clips"]
    assert (clip["n_frames"], clip["motion_px_s"], len(clip["keyframes"])) == (1, None, 3)
    assert "reason" not in clips[0]


@pytest.mark.parametrize("detector", ["adaptive", "content"])
def test_keyframes_lie_in_their_thirds(tmp_path, detector):
    draw_scenes(tmp_path / "a.mp4", scene_frames=(300, 30, 40), size=(192, 108))
    found = scan(str(tmp_path / "a.mp4"), str(tmp_path), SPLIT | {"detector": detector}, 1, PIXELS)
    assert [clip["n_frames"] for clip in found["clips"]] == [300, 30, 40]
    for clip in found["clips"]:
        for third, picture in enumerate(clip["keyframes"][:3]):
            at = (picture["frame"] - clip["start_frame"]) / clip["n_frames"]
            assert third / 3 <= at <= (third + 1) / 3
            assert read_number(cv2.imread(str(tmp_path / picture["file"]), cv2.IMREAD_GRAYSCALE)) == picture["frame"]


@pytest.mark.parametrize(
    ("scenes", "extras"), [((300,), [9]), ((200, 150), [3, 3]), ((100,) * 3, [1] * 3), ((60,) * 4, [0] * 4)]
)
def test_video_of_few_clips_has_twelve_pictures(tmp_path, scenes, extras):
    draw_scenes(tmp_path / "a.mp4", scene_frames=scenes, size=(192, 108))
    found = scan(str(tmp_path / "a.mp4"), str(tmp_path), SPLIT, 1, PIXELS)
    for clip, count in zip(found["clips"], extras, strict=True):
        names = [picture["position"] for picture in clip["keyframes"]]
        assert names == ["first", "middle", "last", *(f"extra-{number}" for number in range(count))]
        frames = [picture["frame"] for picture in clip["keyframes"]]
        assert len(set(frames)) == len(frames), "no frame is stored twice"
        assert frames[3:] == sorted(frames[3:])
        for picture in clip["keyframes"]:
            assert clip["start_frame"] <= picture["frame"] < clip["end_frame"]
            assert read_number(cv2.imread(str(tmp_path / picture["file"]), cv2.IMREAD_GRAYSCALE)) == picture["frame"]


def test_spans_far_apart_hold_their_frames(tmp_path):
    draw_scenes(tmp_path / "a.mp4", scene_frames=(1200,), size=(96, 54))
    tick = Fraction(1, 25) / Fraction(probe(str(tmp_path / "a.mp4"), PIXELS)["time_base"])
    spans = [
        {"clip_id": str(at), "start_pts": int(at * tick), "end_pts": int((at + 7) * tick), "n_frames": 7}
        for at in (3, 1100, 620)
    ]
    clips = cut(str(tmp_path / "a.mp4"), str(tmp_path), spans, Cut().model_dump(), PIXELS)
    for clip in clips:
        assert read_numbers(tmp_path / clip["file"]) == list(range(int(clip["clip_id"]), int(clip["clip_id"]) + 7))


def test_wrong_span_is_a_mismatch_not_a_clip(tmp_path):
    draw_scenes(tmp_path / "a.mp4")
    spans = [{"clip_id": "x", "start_pts": 0, "end_pts": 10**9, "n_frames": 41}]
    (clip,) = cut(str(tmp_path / "a.mp4"), str(tmp_path), spans, Cut().model_dump(), PIXELS)
    assert clip["reason"] == "cut_mismatch"
    assert "41 frames, 40" in clip["detail"]


def test_same_source_same_bytes(tmp_path):
    draw_scenes(tmp_path / "a.mp4", scene_frames=(30, 20))
    files = []
    for number in range(6):
        out = tmp_path / str(number)
        out.mkdir()
        split_and_cut(tmp_path / "a.mp4", out, preset="veryfast")
        files.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert all(one == files[0] for one in files)
    assert len(files[0]) == 2 * 3 + 2


def make_bad(kind: str, path: Path) -> None:
    whole = path.with_name("whole.mp4")
    draw_scenes(whole)
    if kind == "empty":
        path.touch()
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(100_000))
    elif kind == "html":
        path.write_text("<html><body>Not found</body></html>" * 100)
    elif kind == "playlist":
        path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\nwhole.mp4\n#EXT-X-ENDLIST\n")
    elif kind == "concat":
        path.write_text("ffconcat version 1.0\nfile whole.mp4\n")
    elif kind == "audio":
        with av.open(str(path), "w", format="mp4") as container:
            stream = container.add_stream("aac", rate=8000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.rate = 8000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    elif kind == "end missing":
        cut_short(whole, path, 0.6)
    elif kind == "middle missing":
        index_first(whole, path.with_name("first.mp4"))
        cut_short(path.with_name("first.mp4"), path, 0.6)
    elif kind == "huge":
        draw_frames(path.with_suffix(".mkv"), [np.zeros((480, 640, 3), np.uint8)])
        path.with_suffix(".mkv").rename(path)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("empty", "not_media"), ("noise", "not_media"), ("html", "not_media"), ("playlist", "not_media"), ("concat", "not_media"),
        ("audio", "no_video"), ("end missing", "not_media"), ("middle missing", "truncated"), ("huge", "too_large"),
    ],
)  # fmt: skip
def test_bad_file_ends_with_its_reason(tmp_path, kind, reason):
    path = tmp_path / "bad.mp4"
    make_bad(kind, path)
    with pytest.raises(ItemError) as error:
        scan(str(path), str(tmp_path), SPLIT, 1, 640 * 400 if kind == "huge" else PIXELS)
    assert error.value.reason == reason
