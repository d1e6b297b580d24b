"""SYNTHETIC datasets of given sizes, each made once in a folder: a run has been over them, and their shards are as if written."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from hdvg.dataset import ledger
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.kept_views import kept_files
from hdvg.dataset.layout import EVERYTHING, SEED, files, newest_generation, part_name, shard_row_name, unit_of
from hdvg.dataset.shard_plan import note_stamps, plan_shards
from hdvg.dataset.stages import POOL, part_schema
from hdvg.filtering.pool import settle
from pipelines.run import Task, run
from pipelines.writing import writing
from schemas.parts import SHARD_PART
from schemas.shards import SHARDS
from tests.synthetic import RULES, draw_dataset

CUT = {
    "clip_sha256": "repeat(md5(i::varchar), 2)",
    "clip_bytes": "2000000",
    "clip_width": "1280",
    "clip_height": "720",
    "cut_mode": "'smart'",
}
VIDEOS_A_UNIT = 64


def made(folder: Path, clips: int) -> Path:
    """A dataset of so many clips, 20 a video and 64 videos a unit, with nothing left to do and the answers of its views kept."""
    root, ready = folder / f"clips-{clips}", folder / f"clips-{clips}.ready"
    if not ready.exists():
        shutil.rmtree(root, ignore_errors=True)
        drawn = draw_dataset(root, clips, keep=RULES, clips=CUT, a_unit=VIDEOS_A_UNIT, cut=True)
        with writing(drawn.store):
            _as_if_written(settle(drawn))
        _idle_run(root)
        Dataset.open(root, run="scale").compact()
        ready.touch()
    return root


def _idle_run(root: Path) -> None:
    dataset = Dataset.open(root)
    assert run(root, dataset.recipe, Task(), Console(file=io.StringIO()))


def _as_if_written(dataset: Dataset) -> None:
    """Shards whose clips have no bytes."""
    with dataset.store.scratch() as scratch:
        plan = plan_shards(dataset, scratch)
        (dataset.root / "shards").mkdir()
        for name, rows in plan.rows.items():
            place = f"shards/{name}.parquet"
            without = pq.read_table(rows, schema=SHARDS)
            held = without.set_column(SHARDS.names.index("video"), "video", pa.array([b""] * len(without), pa.binary()))
            said = {"hdvg_content": plan.contents[name]}
            pq.write_table(held.replace_schema_metadata(said), dataset.root / place)
            row = {"shard": place, "split": dataset.plan.recipe.shard.split, "content": plan.contents[name]}
            row |= {"sha256": "0" * 64, "bytes": 1, "n_clips": pq.read_metadata(dataset.root / place).num_rows}
            table = pa.Table.from_pylist([row], schema=SHARD_PART)
            dataset.store.publish_table(shard_row_name(name, plan.contents[name]), table)
        note_stamps(dataset, plan)


def linked(root: Path, copy: Path) -> Path:
    """A copy to change, made of hard links: hdvg changes no file in place."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(root, copy, copy_function=os.link)
    return copy


def without_answers(root: Path, copy: Path) -> Path:
    """A copy in which no answers of views are kept."""
    linked(root, copy)
    for path in kept_files(copy):
        path.unlink()
    return copy


def of_videos(root: Path, copy: Path, videos: int) -> Path:
    """A copy in which the parts of its units stand for as many more units as so many videos have; no answers are kept."""
    without_answers(root, copy)
    (copy / ledger.NAME).unlink()  # else each of these parts is looked into, for hdvg did not write it
    for folder in sorted((copy / "parts").iterdir()):
        held = [path for path in sorted(folder.glob("*.parquet")) if unit_of(path) not in (SEED, EVERYTHING)]
        if folder.name != "shard":
            for number in range(len(held), videos // VIDEOS_A_UNIT):
                like = held[number % len(held)]
                os.link(like, folder / like.name.replace(unit_of(like), f"{number:016x}"))
    return copy


def with_pool_rows(root: Path, copy: Path, rows: int) -> Path:
    """A copy in whose pool there are so many rows: those of its units, again and again under other units' names."""
    linked(root, copy)
    dataset = Dataset.open(copy, run="scale")
    fingerprint = dataset.plan.fingerprints[POOL]
    indexes = files(copy, "parts", stage=POOL, unit=EVERYTHING, fingerprint=fingerprint)
    newest = max(indexes, key=lambda path: newest_generation([path]))
    index = pq.read_table(newest, schema=part_schema(POOL))
    named = index["part"].drop_null().to_pylist()
    held = [copy / f"parts/{POOL}/{part.replace('-', f'-{fingerprint}-')}.parquet" for part in named]
    left = rows - sum(pq.read_metadata(path).num_rows for path in held)
    more: list[str] = []
    while left > 0:
        like, (unit, content) = held[len(more) % len(held)], named[len(more) % len(held)].split("-")
        more.append(f"f{len(more):015x}-{content}")
        os.link(like, like.with_name(like.name.replace(unit, f"f{len(more) - 1:015x}")))
        left -= pq.read_metadata(like).num_rows
    added = [{"part": part, "status": "ok", "content": index["content"][0].as_py()} for part in more]
    grown = pa.concat_tables([index, pa.Table.from_pylist(added, schema=part_schema(POOL))])
    dataset.store.begin()
    name = part_name(POOL, EVERYTHING, fingerprint, newest_generation(indexes) + 1)
    dataset.store.publish_table(name, grown)
    return copy
