"""Frames counted in a stream-copied parent are the source's frames that the published command and OpenCV deliver."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from hdvg.config.sections import Split
from hdvg.media.decode import open_video
from hdvg.media.scan import scan
from hdvg.media.scene_timeline import Timeline
from hdvg.media.scenes import place_scenes
from tests.videos import draw_scenes, read_number

PIXELS = 36_000_000
FRAMES, MS = 150, 40
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
OPEN = "open-gop=1:keyint=24:min-keyint=8:bframes=3:scenecut=0"
CLOSED = "open-gop=0:keyint=24:min-keyint=24:bframes=2:scenecut=0"
VFR = np.cumsum(np.random.default_rng(3).integers(20, 60, FRAMES)).tolist()


def x264(params: str) -> dict[str, str]:
    return {"preset": "veryfast", "crf": "18", "x264-params": params}


SOURCES: dict[str, tuple[str, dict[str, Any]]] = {
    "h264, closed GOP, B-frames": ("a.mp4", {"options": x264(CLOSED)}),
    "h264, open GOP, B-frames": ("a.mp4", {"options": x264(OPEN)}),
    "h264, no B-frames": ("a.mp4", {"options": x264("keyint=24:bframes=0:scenecut=0")}),
    "h264, open GOP, Matroska": ("a.mkv", {"options": x264(OPEN)}),
    "h264, late start, uneven steps": (
        "a.mp4",
        {"options": x264(OPEN), "times": [tick + 7000 for tick in VFR], "time_base": Fraction(1, 1000)},
    ),
    "hevc, open GOP": (
        "a.mp4",
        {"codec": "libx265", "options": {"preset": "ultrafast", "x265-params": "keyint=25:open-gop=1:log-level=none"}},
    ),
    "vp9": ("a.webm", {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8", "g": "25"}}),
}
PARENTS = [
    (0, 1000), (40, 1000), (960, 2000), (1000, 2040), (1880, 3000), (1900, 3000), (1920, 3000), (2500, 9000),
    (4700, 4790), (5940, 6500), (5999, 6040),
]  # fmt: skip
"""On key frames (960 and 1920 of most), beside them, at the start, over the end."""


def hhmmss(ms: int) -> str:
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"


def published(source: Path, parent: Path, start_ms: int, end_ms: int) -> list[int]:
    """The numbers of the frames that OpenCV reads from what the published command writes (HD-VILA-100M, cut_videos.py)."""
    parent.unlink(missing_ok=True)
    command = [
        FFMPEG,
        "-ss",
        hhmmss(start_ms),
        "-t",
        str((end_ms - start_ms) / 1000),
        "-accurate_seek",
        "-i",
        str(source),
    ]
    command += ["-c", "copy", "-avoid_negative_ts", "1", "-reset_timestamps", "1", "-y", "-hide_banner"]
    subprocess.run([*command, "-loglevel", "panic", "-map", "0", str(parent)], check=False)
    return list(opencv(parent)) if parent.exists() else []


def opencv(path: Path) -> Iterator[int]:
    capture = cv2.VideoCapture(str(path))
    while (read := capture.read())[0]:
        yield read_number(read[1])


def add_sound(video: Path, path: Path) -> None:
    sound = ["-f", "lavfi", "-i", "sine=frequency=440:duration=6"]
    subprocess.run(
        [FFMPEG, "-loglevel", "error", "-i", str(video), *sound, "-c:v", "copy", "-c:a", "aac", str(path)], check=True
    )


def check(source: Path, folder: Path) -> int:
    """Compare every parent; how many frames at parents' ends stand behind a gap."""
    numbers, behind = list(opencv(source)), 0
    with open_video(str(source), max_pixels=PIXELS) as (container, stream):
        times = Timeline(container, stream)
        assert len(times.shown) == len(numbers)
        for start, end in PARENTS:
            truth = published(source, folder / "parent.mp4", start, end)
            mine = [numbers[at] for at in times.parent(start, end)]
            assert mine == truth[: len(mine)], (start, end)
            assert bool(mine) == bool(truth)
            rest = truth[len(mine) :]
            assert not rest or rest[0] > mine[-1] + 1, (start, end)
            behind = max(behind, len(rest))
    return behind


@pytest.mark.parametrize(("name", "drawing"), SOURCES.values(), ids=SOURCES)
def test_parent_is_what_the_command_and_opencv_deliver(tmp_path, name, drawing):
    source = tmp_path / name
    draw_scenes(source, scene_frames=(FRAMES,), **drawing)
    assert check(source, tmp_path) <= 3


def test_sound_and_hidden_first_frames_change_no_parent(tmp_path):
    drawn, sounding, again = tmp_path / "drawn.mp4", tmp_path / "sounding.mp4", tmp_path / "again.mp4"
    draw_scenes(drawn, scene_frames=(FRAMES,), options=x264(OPEN))
    add_sound(drawn, sounding)
    check(sounding, tmp_path)
    assert published(drawn, again, 1900, 5800)[0] == 48  # an edit list hides the leading pictures
    check(again, tmp_path)


def frames_scene(start: int, end: int, parent: tuple[int, int] = (1900, 4000)) -> dict[str, Any]:
    return {
        "parent": "p", "parent_start_ms": parent[0], "parent_end_ms": parent[1], "start_frame": start, "end_frame": end,
        "start_ms": None, "end_ms": None,
    }  # fmt: skip


SCENES = [(0, 20), (20, 31), (31, 40), (0, -1), (5, 6), (7, 5), (900, 950)]


@pytest.fixture(scope="module", params=["closed", "open"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A source, and the frame that the parent from 1.9 s (between frames 47 and 48) begins with."""
    path = tmp_path_factory.mktemp(request.param) / "a.mp4"
    draw_scenes(path, scene_frames=(FRAMES,), options=x264({"closed": CLOSED, "open": OPEN}[request.param]))
    return path, {"closed": 24, "open": 48}[request.param]


def scanned(path: Path, out: Path, mode: str) -> tuple[dict[int, tuple[int, int]], dict[int, str], set[int]]:
    """Frames of each scene's clip, reasons of the others, and the shifts."""
    settings = Split(given=mode).model_dump() | {"scenes": [frames_scene(*one) for one in SCENES]}
    found = scan(str(path), str(out), settings, 1, PIXELS)
    clips = {clip["given"]: (clip["start_frame"], clip["end_frame"]) for clip in found["clips"]}
    reasons = {lost["number"]: lost["reason"] for lost in found["failed"]}
    return clips, reasons, {clip["given_shift_frames"] for clip in found["clips"]}


def test_published_scenes_are_what_the_published_script_writes(source, tmp_path):
    path, first = source
    parent = published(path, tmp_path / "parent.mp4", 1900, 4000)
    assert parent[0] == first
    clips, reasons, shifts = scanned(path, tmp_path, "published")
    for number, (start, end) in enumerate(SCENES[:3]):
        assert list(range(*clips[number])) == parent[start + 1 : end]  # the script drops the first
    whole = list(range(*clips[3]))
    assert whole == parent[: len(whole)]
    assert len(parent) - len(whole) <= 3
    assert reasons == dict.fromkeys((4, 5, 6), "bad_span")
    assert shifts == {48 - first}


def test_exact_scenes_count_from_the_first_frame_at_the_start(source, tmp_path):
    path, first = source
    clips, reasons, shifts = scanned(path, tmp_path, "exact")
    assert clips == {0: (48, 68), 1: (68, 79), 2: (79, 88), 3: (48, 100), 4: (53, 54)}
    assert reasons == {5: "bad_span", 6: "bad_span"}
    assert shifts == {48 - first}


def test_times_are_from_the_first_frame_at_or_after_the_start_to_before_the_end(tmp_path):
    path = tmp_path / "a.mp4"
    draw_scenes(
        path, scene_frames=(60,), times=[tick + 500 for tick in range(0, 2400, 40)], time_base=Fraction(1, 1000)
    )
    times = [(0, 400), (41, 80), (80, 121), (2360, 9000), (2361, 9000), (500, 400)]
    nothing = dict.fromkeys(("parent", "parent_start_ms", "parent_end_ms", "start_frame", "end_frame"))
    scenes = [nothing | {"start_ms": start, "end_ms": end} for start, end in times]
    placed = place_scenes(str(path), scenes, mode="published", max_pixels=PIXELS)
    with open_video(str(path), max_pixels=PIXELS) as (container, stream):
        shown = Timeline(container, stream).shown
    found = [
        (shown.index(one.start_pts), shown.index(one.end_pts) if one.end_pts in shown else 60) for one in placed.places
    ]
    assert found == [(0, 10), (2, 4), (59, 60)]
    assert {number: why for number, (why, _) in placed.failed.items()} == dict.fromkeys((1, 4, 5), "bad_span")
