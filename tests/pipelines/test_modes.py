"""Every cut mode ends in shards whose clips play and hold exactly the promised frames; what cannot pass is never encoded."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import imageio_ffmpeg
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.reports.status import status
from hdvg.reports.verify import verify
from pipelines.run import Task, run
from pipelines.where import Where
from tests.videos import draw_scenes, read_numbers

LONG_GOPS = {"preset": "ultrafast", "g": "30", "bf": "2", "sc_threshold": "0"}


def recipe(**cut: object) -> Recipe:
    return parse_recipe({"caption": {"captioner": "none"}, "keep": {"too_short": "duration_s >= 1"}, "cut": cut})


def go(root: Path, settings: Recipe, **task: object) -> None:
    assert run(root, settings, Task(where=Where("serial"), **task), Console(file=io.StringIO()))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shots of 40, 20 and 65 frames at 25 a second; key frames at 0, 30, 60, 90, 120."""
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    draw_scenes(path, scene_frames=(40, 20, 65), options=LONG_GOPS)
    return path


def shard_rows(root: Path) -> list[dict]:
    rows = [row for path in (root / "shards").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    return sorted(rows, key=lambda row: row["start_pts"])


def plays(video: bytes, path: Path) -> list[int]:
    """The numbers of a clip's frames, by our decoder, after ffmpeg has played it without a complaint."""
    path.write_bytes(video)
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "null", "-"]
    assert subprocess.run(ffmpeg, capture_output=True, text=True, check=True).stderr == ""
    return read_numbers(path)


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        ({"mode": "smart"}, [(0, 40, 40), (60, 125, 65)]),
        ({"mode": "virtual"}, [(0, 40, 40), (60, 125, 65)]),
        ({"mode": "encode", "preset": "ultrafast"}, [(0, 40, 0), (60, 125, 0)]),
        ({"mode": "encode", "codec": "av1", "preset": "12"}, [(0, 40, 0), (60, 125, 0)]),
        ({"mode": "copy"}, [(0, 40, 40), (60, 125, 65)]),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_clips_of_the_shard_play_and_hold_the_promised_frames(video, tmp_path, cut, expected):
    go(tmp_path / "d", recipe(**cut), links=[str(video)])
    rows = shard_rows(tmp_path / "d")
    assert len(rows) == 2
    for row, (first, end, copied) in zip(rows, expected, strict=True):
        numbers = plays(row["video"], tmp_path / "clip.mp4")
        assert first <= numbers[0] <= numbers[-1] < end
        assert numbers == list(range(numbers[0], numbers[0] + row["cut_n_frames"]))
        if row["cut_mode"] != "copy":
            assert (numbers[0], len(numbers)) == (first, end - first)
        assert row["copied_frames"] <= copied
        assert (row["copied_frames"] > 0) == (copied > 0)
        assert row["clip_bytes"] == len(row["video"])
    assert verify(Dataset.open(tmp_path / "d")) == []


def test_virtual_clips_are_kept_nowhere_but_in_the_shard(video, tmp_path):
    go(tmp_path / "virtual", recipe(mode="virtual"), links=[str(video)])
    go(tmp_path / "smart", recipe(mode="smart"), links=[str(video)])
    mp4s = [{path.stem for path in (tmp_path / name).glob("media/*/*.mp4")} for name in ("virtual", "smart")]
    assert (len(mp4s[0]), len(mp4s[1])) == (1, 3)
    virtual, smart = (shard_rows(tmp_path / name) for name in ("virtual", "smart"))
    assert [row["video"] for row in virtual] == [row["video"] for row in smart]
    with Dataset.open(tmp_path / "virtual").manifest() as manifest:
        assert manifest.rows(
            "select cut_mode, clip_sha256, cut_n_frames from clips where cut_status = 'ok' order by 3"
        ) == [{"cut_mode": "virtual", "clip_sha256": None, "cut_n_frames": count} for count in (40, 65)]


def test_virtual_clips_of_a_dropped_source_are_cut_from_a_new_fetch(video, tmp_path):
    settings = parse_recipe(recipe(mode="virtual").model_dump(exclude_none=True), ["storage.keep_sources=false"])
    for stage in ("download", "split", "cut"):
        go(tmp_path / "d", settings, links=[str(video)], stage=stage)
    assert list((tmp_path / "d").glob("media/*/*.mp4")) == []
    go(tmp_path / "d", settings)
    assert [row["cut_n_frames"] for row in shard_rows(tmp_path / "d")] == [40, 65]
    assert list((tmp_path / "d").glob("media/*/*.mp4")) == []


def test_virtual_clip_that_cannot_be_cut_is_a_failure_and_not_in_the_shard(video, tmp_path):
    settings = recipe(mode="virtual")
    for stage in ("download", "split", "cut"):
        go(tmp_path / "d", settings, links=[str(video)], stage=stage)
    part = next(path for path in (tmp_path / "d/parts/split").iterdir() if not path.name.startswith("seed"))
    table = pq.read_table(part)
    rows = [row | {"n_frames": 41} if row["n_frames"] == 40 else row for row in table.to_pylist()]
    pq.write_table(table.from_pylist(rows, schema=table.schema), part)  # a span that promises a frame too many
    go(tmp_path / "d", settings)
    assert [row["n_frames"] for row in shard_rows(tmp_path / "d")] == [65]
    with Dataset.open(tmp_path / "d").manifest() as manifest:
        assert [row["reason"] for row in manifest.rows("select reason from failures")] == ["cut_mismatch"]


def test_clip_that_cannot_pass_is_never_encoded(video, tmp_path):
    go(tmp_path / "d", recipe(mode="encode", preset="ultrafast"), links=[str(video)])
    with Dataset.open(tmp_path / "d").manifest() as manifest:
        (row,) = manifest.rows("select count(*) as clips, sum(n_frames) as frames from clips")
        assert (row["clips"], row["frames"]) == (3, 125)
        cut = manifest.rows("select clip_id, cut_n_frames, cut_decoded_frames from cuts order by cut_n_frames")
        dropped = manifest.rows("select clip_id from verdicts where not keep")
    assert [row["cut_n_frames"] for row in cut] == [40, 65]
    assert {row["clip_id"] for row in dropped}.isdisjoint({row["clip_id"] for row in cut})
    passes = status(Dataset.open(tmp_path / "d")).decode_passes
    assert 1.8 <= passes["mean"] < 2.0  # the one pass, and the frames of the two clips


def test_no_source_is_decoded_much_more_than_once_where_clips_are_copied(video, tmp_path):
    go(tmp_path / "d", recipe(mode="smart"), links=[str(video)])
    assert status(Dataset.open(tmp_path / "d")).decode_passes["max"] < 1.3
