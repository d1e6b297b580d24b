"""What is stopped at every file operation: each stage, and import, export, take-down, encoding and training."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.dataset import litter
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.intake import accept
from hdvg.dataset.shards import in_turn, write_shards
from hdvg.dataset.store import FileOps, Store
from hdvg.dataset.tables import write_rows
from hdvg.dataset.tombstones import publish_tombstones
from hdvg.exporting import Wanted, export
from hdvg.filtering.pool import settle
from hdvg.planning import make_plan
from hdvg.published.ingest import take
from pipelines.forget import remove
from pipelines.perform import Job, make_gate, perform
from tests.crash import Unflushed
from tests.digest import files
from tests.faults.moments import Act
from tests.metadata import hd_vg_videos
from tests.products import Clip, make
from tests.videos import draw_scenes

RECIPE = parse_recipe(
    {
        "name": "faults",
        "caption": {"captioner": "tags"},
        "keep": {"copy": "not duplicate", "marked": "watermark is null or watermark < 2"},
        "cut": {"preset": "ultrafast"},
        "storage": {"clips": "packs"},  # with a file a clip: tests/pipelines/test_crash.py
    }
)
FIRST, LAST = "prepare", "shard"
EXPORTS = ("webdataset", "datasets", "hd-vg", "lance")


def stage_acts(scratch: Path) -> Iterator[Act]:
    """The steps of a run over one unit of one video with three shots, in order: each finds what those before it leave."""
    (scratch / "videos").mkdir(parents=True)
    draw_scenes(scratch / "videos" / "three.mp4", scene_frames=(20, 32, 26))
    steps = (FIRST, *make_plan(RECIPE).stages, LAST)
    before = scratch / "start"
    before.mkdir()
    for number, step in enumerate(steps):
        act = Act(step, before, partial(_step, step, scratch / "videos"), files)
        yield act
        before = scratch / f"after-{number}"
        shutil.copytree(act.before, before)
        act.do(before, Unflushed())


def _step(step: str, links: Path, root: Path, ops: FileOps) -> None:
    store = Store(root, ops)
    dataset = Dataset(root, make_plan(RECIPE), store)
    store.begin()
    if step == FIRST:
        dataset.prepare()
        accept(dataset, str(links))
        return
    if dataset.plan.pool_wanted and step in ("cut", "shard"):
        dataset = settle(dataset)
    if step == LAST:
        write_shards(dataset, in_turn(dataset, lambda rows: {}))
    else:
        with dataset.manifest() as manifest:
            unit = manifest.one("select unit from inputs where unit is not null")
        perform(Job(root, store.run, step, unit), make_gate(dataset.plan.recipe), dataset)


def _begun(root: Path, recipe: Recipe, ops: FileOps | None = None) -> Dataset:
    dataset = Dataset(root, make_plan(recipe), Store(root, ops))
    dataset.store.begin()
    return dataset


def import_act(scratch: Path) -> Act:
    """A second file of metadata is taken into a dataset; it shares a video with the first, and has a scene twice."""
    videos = dict(hd_vg_videos(3, seed=8, parents=1))
    second = {list(videos)[2]: videos[list(videos)[2]], **dict(hd_vg_videos(1, seed=9, parents=1))}
    split = next(iter(list(second.values())[1]["clip"].values()))["scene_split"]
    split.append(split[0])
    base, recipe = scratch / "before", parse_recipe({"caption": {"captioner": "none"}})
    base.mkdir(parents=True)
    for name, content in (("a.json", videos), ("b.json", second)):
        (scratch / name).write_text(json.dumps(content))
    dataset = _begun(base, recipe)
    dataset.prepare()
    take(dataset, scratch / "a.json", origin="hd-vg")
    return Act(
        "import",
        base,
        lambda root, ops: take(_begun(root, recipe, ops), scratch / "b.json", origin="hd-vg"),
        _published,
    )


def _published(root: Path) -> dict[str, Any]:
    """Files, without what was left in tmp/ and caches."""
    return {name: content for name, content in files(root).items() if not name.startswith(("cache/", "logs/"))}


def _products(root: Path, *, seed: int = 0) -> Dataset:
    videos = [
        [
            Clip(start, start + 3000 * (place + 1), bytes([seed, video, place]) * 3000, f"clip {video} {place}")
            for place, start in enumerate((0, 10_000, 20_000))
        ]
        for video in range(3)
    ]
    return make(root, videos, shard={"max_mb": 0.05, "row_group_mb": 0.02})


def export_acts(scratch: Path) -> Iterator[Act]:
    """A dataset's exports into an empty folder."""
    scratch.mkdir(parents=True)
    dataset = _products(scratch / "dataset")
    (scratch / "empty").mkdir()
    for form in EXPORTS:
        yield Act(f"export {form}", scratch / "empty", partial(_export, dataset, form), partial(_exported, form))


def _export(dataset: Dataset, form: str, root: Path, ops: FileOps) -> None:
    wanted = Wanted(form, root, where="clip_width = 1280", max_mb=0.02)
    export(dataset, wanted, Console(file=io.StringIO()), ops=ops)


def _exported(form: str, root: Path) -> Mapping[str, Any]:
    if form != "lance":
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    import lance

    (table,) = root.glob("*.lance")
    rows = lance.dataset(str(table)).to_table().to_pylist()
    return {row["clip_id"]: json.dumps(row, sort_keys=True, default=str) for row in rows}


def forget_act(scratch: Path) -> Act:
    """One of three videos is purged, and the shards are written anew."""
    scratch.mkdir(parents=True)
    dataset = _products(scratch / "before")
    (scratch / "before" / "logs").mkdir(exist_ok=True)
    (scratch / "before" / "logs" / "run.log").write_text("https://a.org/1.mp4")
    with dataset.manifest() as manifest:
        video = manifest.one("select video_id from videos order by video_id limit 1")
    with dataset.store.aside() as store:
        publish_tombstones(store, [("hash", "0" * 64)])  # a salt of its own would make every end another

    def act(root: Path, ops: FileOps) -> None:
        mine = Dataset(root, dataset.plan, Store(root, ops, run="one"))
        remove(mine, [("video", video)])

    return Act("forget", scratch / "before", act, files)


def encode_act(finished: Path) -> Act:
    """A finished dataset's clips as latents."""
    from hdvg.latents.encode import encode
    from hdvg.latents.settings import Encoding

    plan = Dataset.open(finished).plan
    small = Encoding(buckets=((8, 48, 80),), windows=1, codec_channels=4, text_tokens=8)
    return Act(
        "encode",
        finished,
        lambda root, ops: encode(Dataset(root, plan, Store(root, ops)), small, workers=1),
        _published,
    )


def annotate_act(finished: Path) -> Act:
    """People mark the clips of a finished dataset."""
    with Dataset.open(finished).manifest() as manifest:
        clips = [clip for (clip,) in manifest.connection.execute("select clip_id from clips order by 1").fetchall()]

    def act(root: Path, ops: FileOps) -> None:
        for clip in clips[len(_marked(root)) :]:
            write_rows(Store(root, ops), "annotations", [{"clip_id": clip, "author": "ann", "mark": "flag"}])

    return Act("annotate", finished, act, _marked)


def _marked(root: Path) -> dict[str, Any]:
    with Dataset.open(root).manifest() as manifest:
        return dict(manifest.connection.execute("select clip_id, mark from annotations order by 1").fetchall())


def gc_act(finished: Path, scratch: Path) -> Act:
    """What killed runs and earlier settings left in a finished dataset goes."""
    shutil.copytree(finished, scratch)
    part = next((scratch / "parts" / "cut").glob("[!s]*.parquet"))
    shutil.copyfile(part, part.with_name(part.name.replace(part.name.split("-")[1], "0" * 12)))
    for name in ("media/00/" + "0" * 64 + ".mp4", "tmp/killed/one", "foreign/cut-x.parquet"):
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        (scratch / name).write_bytes(b"left")
    for path in (*(scratch / "media/00").glob("0*"), scratch / "tmp/killed/one", scratch / "tmp/killed"):
        os.utime(path, (0, 0))

    def act(root: Path, ops: FileOps) -> None:
        dataset = Dataset(root, Dataset.open(root).plan, Store(root, ops))
        litter.remove(dataset, litter.find(dataset))

    return Act("gc", scratch, act, _published)


def train_act(scratch: Path) -> Act:
    """Ten steps of a tiny network, a checkpoint every second step, of which two are kept."""
    import torch

    from tests import training

    torch.set_num_threads(1)
    recipe = training.micro(run={"steps": 10}, checkpoints={"every_steps": 2, "keep": 2})
    (scratch / "before").mkdir(parents=True)

    def act(root: Path, ops: FileOps) -> None:
        run = training.loop(root, recipe)
        run.store = Store(root, ops, run="test")
        run.keeper = type(run.keeper)(run.store, recipe.checkpoints.keep)
        run.run()

    return Act("train", scratch / "before", act, _checkpoints)


def _checkpoints(root: Path) -> dict[str, Any]:
    """Tensors of the last two that were committed; one more may stay until the next is written."""
    from hdvg.training.checkpoints import FOLDER, committed

    return {str(step): (root / FOLDER / f"{step:08d}.safetensors").read_bytes() for step in committed(root)[-2:]}


def all_acts(scratch: Path, touches: Callable[[str], bool] = lambda name: True) -> Iterator[Act]:
    """Every act of whose name `touches` holds, each made when it is its turn."""
    makers: dict[str, Callable[[Path], Act]] = {"import": import_act, "forget": forget_act, "train": train_act}
    for name, make_act in makers.items():
        if touches(name):
            yield make_act(scratch / name)
    if any(touches(f"export {form}") for form in EXPORTS):
        yield from (act for act in export_acts(scratch / "export") if touches(act.name))
    steps = (FIRST, *make_plan(RECIPE).stages, LAST)
    of_finished = ("encode", "annotate", "gc")
    if not any(map(touches, (*steps, *of_finished))):
        return
    last = None
    for last in stage_acts(scratch / "stages"):
        if touches(last.name):
            yield last
    if last is not None and any(map(touches, of_finished)):
        finished = scratch / "finished"
        last.begin(finished)
        last.do(finished, Unflushed())
        shutil.rmtree(finished / "tmp")
        yield from (act for act in _acts_of_finished(finished, scratch) if touches(act.name))


def _acts_of_finished(finished: Path, scratch: Path) -> Iterator[Act]:
    yield encode_act(finished)
    yield annotate_act(finished)
    yield gc_act(finished, scratch / "gc")
