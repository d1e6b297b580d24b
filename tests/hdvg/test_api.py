"""The public API: what `hdvg.open` gives is what the dataset holds, and importing it costs nothing."""

from __future__ import annotations

import hashlib
import io
import json
import math
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import hdvg
from hdvg.config.recipe import parse_recipe
from hdvg.dataset.clip_files import open_clip
from hdvg.dataset.dataset import Dataset
from hdvg.sources.gather import LIST
from pipelines.run import Task, run
from pipelines.where import Where
from tests.layouts import call
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
    assert ds.clip(first.id[:20]) == first
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
        with pytest.raises(
            hdvg.UsageError, match=f"{dropped.id}.* its source is not in the dataset .*1.600 to 2.400 s of file"
        ):
            dropped.frames()
        for shard in root.glob("shards/*.parquet"):
            shard.unlink()
        with pytest.raises(hdvg.UsageError, match="is in no shard"):
            kept.bytes()


def test_reports_are_what_the_command_prints(ds):
    clip = next(ds.clips("not keep"))
    for said, words in (
        (ds.status(), ["status", ds.path]),
        (ds.explain(clip.id[:8]), ["explain", ds.path, clip.id[:8]]),
    ):
        assert asdict(said) == json.loads(call(*words, "--json"))
    found = ds.what_if(["duration_s >= 1.5"])
    assert (found.before.clips, found.after.clips, found.newly_dropped.clips) == (2, 1, 1)
    printed = json.loads(call("filter", ds.path, "--what-if", "duration_s >= 1.5", "--json"))
    assert {name: value for name, value in asdict(found).items() if value is not None}.items() <= printed.items()
    assert ds.what_if(target_keep=0.34, tune="duration_s>=").after.clips == 1


def test_run_takes_links_of_every_sort_once_and_settings_by_name(folder, tmp_path):
    shutil.copy(folder / "videos/a.mp4", tmp_path / "b.mp4")
    draw_scenes(tmp_path / "c.mp4", scene_frames=(30,), seed=3)
    listed = tmp_path / "list.txt"
    listed.write_text(f"{tmp_path / 'b.mp4'}\n")
    recipe = tmp_path / "mine.toml"
    recipe.write_text('[caption]\ncaptioner = "none"\n')
    settings = {"run.runner": "serial", "keep": {"long": "duration_s >= 1.3"}}
    links = [tmp_path / "c.mp4", [str(folder / "videos/a.mp4"), listed]]
    with hdvg.run(recipe, links=links, out=tmp_path / "out", set=settings) as ds:
        assert ds.sql("select origin, count(*) as n from inputs group by 1 order by 2").to_pylist() == [
            {"origin": "list.txt", "n": 1}, {"origin": LIST, "n": 2},
        ]  # fmt: skip
        assert [clip.span.n_frames for clip in ds.clips("keep")] == [40]
        before = sorted(path.name for path in ds.path.glob("parts/split/*.parquet"))
    with hdvg.run(out=str(tmp_path / "out"), set={"keep.long": None}) as ds:
        assert ds.sql("select count(*) as n from dataset where keep").to_pylist() == [{"n": 4}]
        assert set(before) <= {path.name for path in ds.path.glob("parts/split/*.parquet")}


def test_run_takes_the_columns_and_files_that_the_command_takes(folder, tmp_path):
    (tmp_path / "more").mkdir()
    shutil.copy(folder / "videos/a.mp4", tmp_path / "more/a.php")
    table = tmp_path / "list.csv"
    table.write_text("clip_uri,blurb\nmore/a.php,a blue bird\n")
    given = {"out": tmp_path / "d", "set": {"run.runner": "serial", "caption.captioner": "none"}}
    with hdvg.run("demo", links=table, link_column="clip_uri", text_column="blurb", **given) as ds:
        assert ds.sql("select status from inputs").to_pylist() == [{"status": "new"}]
        assert ds.sql("select caption from given").to_pylist() == [{"caption": "a blue bird"}]
    with pytest.raises(hdvg.UsageError, match="no video file in this folder"):
        hdvg.run(links=tmp_path / "more", out=tmp_path / "d")
    with hdvg.run(links=tmp_path / "more", out=tmp_path / "d", all_files=True) as ds:
        assert ds.sql("select count(*) as n from inputs where origin = 'more'").to_pylist() == [{"n": 1}]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"links": "nowhere.txt"}, "no such file"),
        ({"links": 7}, "a path or URL"),
        ({"recipe": "dmeo"}, "did you mean `demo`"),
        ({"runner": "threads"}, "'local', 'ray' or 'serial'"),
        ({"set": {"cut.mdoe": "copy"}}, "did you mean `mode`"),
        ({"set": {"cut.crf": object()}}, "text, a number"),
        ({"recipe": None}, "is no dataset"),
        ({"out": "s3://bucket/d"}, "not supported"),
        ({"links": "x.txt", "where": ["duration_s > 3"]}, "where is about lists on sites, and x.txt is none"),
        ({"links": [], "max_items": 5}, "max_items is about lists on sites"),
        ({"where": "durations > 3"}, "durations"),
        ({"strict": True}, "strict goes with where"),
        ({"max_items": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_is_written(tmp_path, monkeypatch, wrong, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(hdvg.UsageError, match=said):
        hdvg.run(**{"recipe": "demo", "links": ["https://a.org/b.mp4"], "out": "new", **wrong})
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of 1.6 and 2.4 s, kept and in shards, with a text each."""
    folder = tmp_path_factory.mktemp("long")
    (folder / "videos").mkdir()
    for number in range(3):
        draw_scenes(folder / f"videos/{number}.mp4", scene_frames=(40, 60), size=(96, 64), seed=number)
    recipe = parse_recipe({"caption": {"captioner": "none"}})
    task = Task(links=[str(folder / "videos")], where=Where("serial"))
    assert run(folder / "d", recipe, task, Console(file=io.StringIO()))
    return folder / "d"


def test_torch_samples_are_those_of_the_trainers_feed_and_replay(long):
    torch = pytest.importorskip("torch")
    from hdvg.latents.online import Online
    from hdvg.training.feed import DataFeed
    from hdvg.training.settings import TrainRecipe
    from hdvg.training.sources import Member

    data = {"buckets": [(8, 32, 48)], "fps": 12.0, "codec_channels": 4}
    recipe = TrainRecipe.model_validate({"data": data, "run": {"batch": 2, "seed": 5}, "draw": {"drop_text": 0.5}})
    feed = DataFeed([Member(Online.open(Dataset.open(long), recipe.data), "d")], recipe)
    samples = hdvg.open(long).torch(fps=12, frames=8, size=(32, 48), seed=5, drop_text=0.5)
    count = len(samples)
    assert (count, len(samples.held_out)) == (4, 2)
    position = 0
    codec = feed.members[0].latents._codec
    for step in range(count):  # two epochs, in steps of two
        for piece in feed.step(step):
            for number in range(len(piece)):
                samples.set_epoch(position // count)
                sample = samples[position % count]
                seen = (sample["clip_id"], sample["window"], sample["epoch"], sample["time"])
                times = piece.time_B[number].item()
                assert seen == (piece.clip_ids[number], piece.windows[number], piece.epochs[number], times)
                coded = codec.encode(sample["video"].numpy(), seed="").astype(np.float16).astype(np.float32)
                assert torch.equal(torch.from_numpy(coded), piece.latents_BCTHW[number].permute(1, 2, 3, 0))
                position += 1
    again = pickle.loads(pickle.dumps(samples))
    assert torch.equal(again[1]["video"], samples[1]["video"])
    with pytest.raises(IndexError):
        samples[count]


def test_a_loaders_workers_give_the_samples_in_order(long):
    torch = pytest.importorskip("torch")
    samples = hdvg.open(long).torch(fps=12, frames=8, size=(32, 48))
    alone = [
        samples[index] for index in range(len(samples))
    ]  # so that the workers are forked from a process that has decoded
    loader = torch.utils.data.DataLoader(samples, batch_size=2, num_workers=2)
    batches = list(loader)
    assert [name for batch in batches for name in batch["clip_id"]] == [one["clip_id"] for one in alone]
    assert torch.equal(torch.cat([batch["video"] for batch in batches]), torch.stack([one["video"] for one in alone]))
    with pytest.raises(hdvg.UsageError, match="nothing to encode"):
        hdvg.open(long).torch(frames=800, size=(32, 48))
