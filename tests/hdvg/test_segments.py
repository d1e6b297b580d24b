"""A long video taken apart at GOPs has the same shots, frame for frame, as in one piece."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from hdvg.config.sections import Split
from hdvg.errors import ItemError
from hdvg.media.scan import assemble, scan, scan_segment
from tests.footage import BUNDLED
from tests.videos import draw_scenes

PIXELS = 36_000_000
VFR = np.cumsum(np.random.default_rng(3).integers(20, 60, 300)).tolist()
SOURCES = {
    "h264 with B-frames": ("a.mp4", {}),
    "hevc, open GOP": (
        "a.mp4",
        {"codec": "libx265", "options": {"preset": "ultrafast", "x265-params": "keyint=25:log-level=none"}},
    ),
    "vp9": ("a.webm", {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8", "g": "25"}}),
    "vfr, late start": ("a.mkv", {"times": [tick + 7000 for tick in VFR], "time_base": Fraction(1, 1000)}),
}
SCENES = (60, 31, 90, 17, 102)


def in_segments(path: Path, out: Path, settings: dict, segment_s: float) -> tuple[dict, int]:
    """What `assemble` returns, and how many segments there were."""
    planned = scan(str(path), str(out), settings | {"segment_s": segment_s}, 1, PIXELS)["segments"]
    folders = [out / f"segment{number}" for number in range(len(planned))]
    for folder in folders:
        folder.mkdir()
    told = [
        scan_segment(str(path), str(folder), settings, 1, PIXELS, segment) | {"folder": str(folder)}
        for folder, segment in zip(folders, planned, strict=True)
    ]
    return assemble(str(path), str(out), settings, PIXELS, told, planned[0]["n_frames"]), len(planned)


@pytest.mark.parametrize(("name", "drawing"), SOURCES.values(), ids=SOURCES)
def test_segments_change_no_shot_and_no_measure(tmp_path, name, drawing):
    path, whole, apart = tmp_path / name, tmp_path / "whole", tmp_path / "apart"
    whole.mkdir(), apart.mkdir()
    draw_scenes(path, scene_frames=SCENES, **drawing)
    settings = Split(max_clip_s=2.0, divide="still", stitch_levels=5.0).model_dump()
    one = scan(str(path), str(whole), settings, 1, PIXELS)
    many, count = in_segments(path, apart, settings, 2.0)
    assert count >= 4
    assert many["video"] | {"decoded_frames": 0} == one["video"] | {"decoded_frames": 0}
    assert many["video"]["decoded_frames"] >= one["video"]["n_frames"]
    free = ("keyframes", "phash")  # of samples, which are thinned as the frames come
    for mine, theirs in zip(many["clips"], one["clips"], strict=True):
        assert {key: mine[key] for key in mine if key not in free} == {
            key: theirs[key] for key in theirs if key not in free
        }
        assert mine["sharpness"] is not None or mine["duration_s"] < 2.0
        assert all(mine["start_frame"] <= one["frame"] < mine["end_frame"] for one in mine["keyframes"])
    assert sum(clip["opens_with"] == "part" for clip in one["clips"]) >= 3
    cuts = [clip["start_frame"] for clip in one["clips"] if clip["opens_with"] == "cut"]
    assert set(np.cumsum(SCENES)[:-1].tolist()) <= set(cuts)


def test_cascade_finds_the_same_shots_in_segments(tmp_path):
    path, whole, apart = tmp_path / "a.mp4", tmp_path / "whole", tmp_path / "apart"
    whole.mkdir(), apart.mkdir()
    draw_scenes(path, scene_frames=SCENES)
    settings = Split(detector="cascade").model_dump()
    one, (many, _) = scan(str(path), str(whole), settings, 1, PIXELS), in_segments(path, apart, settings, 2.0)
    spans = [[(clip["start_pts"], clip["end_pts"]) for clip in found["clips"]] for found in (one, many)]
    assert spans[0] == spans[1]
    assert len(spans[0]) == len(SCENES)


def test_short_video_or_one_without_starts_is_scanned_in_one_piece(tmp_path):
    draw_scenes(tmp_path / "short.mp4", scene_frames=(60,))
    draw_scenes(tmp_path / "one.mp4", scene_frames=(200,), options={"preset": "ultrafast", "g": "1000"})
    settings = Split().model_dump()
    open_gop = {"preset": "ultrafast", "x264-params": "open-gop=1:keyint=20:bframes=3"}
    draw_scenes(tmp_path / "open.mp4", scene_frames=(200,), options=open_gop)
    for name in ("short.mp4", "one.mp4", "open.mp4"):
        assert len(scan(str(tmp_path / name), str(tmp_path), settings | {"segment_s": 2.0}, 1, PIXELS)["clips"]) == 1


def test_lost_frames_between_segments_are_an_error(tmp_path):
    draw_scenes(tmp_path / "a.mp4", scene_frames=(200,))
    settings = Split().model_dump()
    first, *_ = scan(str(tmp_path / "a.mp4"), str(tmp_path), settings | {"segment_s": 2.0}, 1, PIXELS)["segments"]
    told = scan_segment(str(tmp_path / "a.mp4"), str(tmp_path), settings, 1, PIXELS, first) | {"folder": str(tmp_path)}
    with pytest.raises(ItemError, match="frames in segments, 200 in the index"):
        assemble(str(tmp_path / "a.mp4"), str(tmp_path), settings, PIXELS, [told], 200)


def test_video_by_an_x264_whose_errors_are_mended_is_scanned_in_one_piece(tmp_path):
    settings = Split().model_dump() | {"segment_s": 3.0}
    found = scan(str(BUNDLED / "cockatoo.mp4"), str(tmp_path), settings, 1, PIXELS)
    assert "segments" not in found


def test_hashes_stand_for_quarters_of_a_second_and_fit_the_clip(tmp_path):
    path = tmp_path / "a.mp4"
    draw_scenes(path, scene_frames=SCENES)
    for clip in scan(str(path), str(tmp_path), Split().model_dump(), 1, PIXELS)["clips"]:
        assert len(clip["phashes"]) == len(clip["phashes_inner"]) == max(int(2 * clip["duration_s"] + 0.5), 1)
