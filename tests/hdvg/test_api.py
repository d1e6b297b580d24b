"""The public API: what `hdvg.open` gives is what the dataset holds, and importing it costs nothing."""

from __future__ import annotations

import hashlib
import io
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import hdvg
from hdvg.config.recipe import parse_recipe
from hdvg.dataset.clip_files import open_clip
from hdvg.dataset.dataset import Dataset
from pipelines.run import Task, Where, run
from tests.videos import draw_scenes, read_number

FPS = 25
SCENES = (40, 20, 30)
"""Frames; 20 are too few to be kept."""


def make(folder: Path, mode: str) -> Path:
    recipe = parse_recipe(
        {"keep": {"long": "duration_s >= 1"}, "caption": {"captioner": "none"}, "cut": {"mode": mode}}
    )
    task = Task(links=[str(folder / "videos")], where=Where("serial"))
    assert run(folder / mode, recipe, task, Console(file=io.StringIO()))
    return folder / mode


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    (folder / "videos").mkdir()
    draw_scenes(folder / "videos/a.mp4", scene_frames=SCENES, size=(192, 108))
    make(folder, "smart")
    make(folder, "virtual")
    return folder


@pytest.fixture(scope="module", params=["smart", "virtual"])
def ds(folder: Path, request: pytest.FixtureRequest) -> Iterator[hdvg.Dataset]:
    with hdvg.open(str(folder / request.param)) as opened:
        yield opened


def test_importing_hdvg_imports_nothing_heavy():
    code = "import hdvg, sys; print(sorted({'torch', 'ray', 'av', 'cv2', 'duckdb', 'pyarrow', 'numpy', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_opening_and_asking_imports_neither_torch_nor_ray(folder):
    code = f"import hdvg, sys; hdvg.open({str(folder / 'smart')!r}).sql('from clips'); print({{'torch', 'ray', 'av'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_every_promised_name_is_there_and_no_other():
    assert all(getattr(hdvg, name) is not None for name in hdvg.__all__)
    assert set(hdvg.__all__) <= set(dir(hdvg))
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        hdvg.opne  # noqa: B018


def test_a_folder_without_a_dataset_is_refused(tmp_path):
    with pytest.raises(hdvg.UsageError, match=r"is no dataset \(no dataset.toml\)"):
        hdvg.open(str(tmp_path))


def test_sql_answers_in_arrow_and_refuses_what_the_command_refuses(ds, tmp_path):
    assert ds.sql("select count(*) as n from dataset where keep").to_pylist() == [{"n": 2}]
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    for query in (
        "drop view dataset",
        "select 1; select 2",
        f"from '{secret}'",
        "select nonsense",
        f"copy clips to '{secret}'",
    ):
        with pytest.raises(hdvg.UsageError):
            ds.sql(query)
    with pytest.raises(hdvg.UsageError, match="ran longer"):
        ds.sql("select sum(a.range) from range(100000000) a, range(100000) b", limit_s=0.2)


def test_a_relation_is_duckdbs(ds):
    assert ds.relation("clips").filter("n_frames = 40").aggregate("count(*)").fetchall() == [(1,)]
    with pytest.raises(hdvg.UsageError, match="did you mean `clips`"):
        ds.relation("clip")


def test_clips_are_the_rows_of_the_condition_in_order_of_time(ds):
    clips = list(ds.clips())
    assert [clip.span.n_frames for clip in clips] == list(SCENES)
    assert [clip.keep for clip in clips] == [True, False, True]
    assert clips[1].reasons == ("long",)
    assert [clip.id for clip in ds.clips("keep and n_frames < 35")] == [clips[2].id]
    first = clips[0]
    (row,) = ds.sql(f"select * from dataset where clip_id = '{first.id}'").to_pylist()
    assert (first.video_id, first.fps, first.caption, first.texts) == (row["video_id"], FPS, None, ())
    assert (first.span.end_pts - first.span.start_pts) * first.span.time_base * FPS == first.span.n_frames
    assert first.measures["sharpness"] == row["sharpness"]
    assert first.measures["nsfw"] is None
    with pytest.raises(hdvg.UsageError, match="nonsense"):
        next(ds.clips("nonsense > 3"))


def test_frames_are_the_nearest_in_time_and_of_two_as_near_the_earlier(ds):
    numbers = dict(zip(SCENES, (0, 40, 60), strict=True))
    for clip in ds.clips():
        first = numbers[clip.span.n_frames]
        every = clip.frames()
        assert every.shape == (clip.span.n_frames, 108, 192, 3)
        assert every.dtype == np.uint8
        assert [read_number(picture) for picture in every] == list(range(first, first + clip.span.n_frames))
        some = clip.frames(fps=4)
        assert [read_number(picture) for picture in some] == [
            first + math.ceil(FPS / 4 * number - 0.5) for number in range(-(-clip.span.n_frames * 4 // FPS))
        ]
        assert clip.frames(fps=1, height=54).shape == (-(-clip.span.n_frames // FPS), 54, 96, 3)


def test_numbers_that_cannot_be_are_refused(ds):
    clip = next(ds.clips())
    for wrong in ({"fps": 0}, {"fps": -1.0}, {"height": 0}, {"fps": 1e9}, {"height": 100_000}):
        with pytest.raises(hdvg.UsageError):
            clip.frames(**wrong)


def test_bytes_of_a_kept_clip_are_the_products_and_of_a_dropped_one_are_cut_now(ds):
    kept, dropped, _ = ds.clips()
    stored = {
        row["clip_id"]: row["video"]
        for row in ds.sql(f"select clip_id, video from '{ds.path}/shards/*.parquet'").to_pylist()
    }
    assert kept.bytes() == stored[kept.id] == open_clip(Dataset.open(ds.path), kept.id)
    assert dropped.id not in stored
    assert dropped.bytes()[4:8] == b"ftyp"


def test_a_clip_is_found_wherever_it_still_lies_and_else_named(folder, tmp_path):
    root = shutil.copytree(folder / "smart", tmp_path / "copy")
    with hdvg.open(root) as ds:
        kept, dropped, _ = ds.clips()
        original = kept.bytes()
        sha256 = hashlib.sha256(original).hexdigest()
        next(root.glob(f"media/*/{sha256}.mp4")).unlink()
        assert kept.bytes() == original
        source = ds.sql("select sha256 from videos").to_pylist()[0]["sha256"]
        next(root.glob(f"media/*/{source}.*")).unlink()
        assert kept.bytes() == original
        with pytest.raises(hdvg.UsageError, match=f"{dropped.id}.* its source is not in the dataset"):
            dropped.frames()
        for shard in root.glob("shards/*.parquet"):
            shard.unlink()
        with pytest.raises(hdvg.UsageError, match="is in no shard"):
            kept.bytes()
