"""Make a file of media/ again: a source by a fetch, keyframes by a split, a clip by a cut."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.inventory import Thing
from hdvg.dataset.stages import CUT, DOWNLOAD, SPLIT, entry_of, part_schema
from hdvg.dataset.store import Store
from hdvg.dataset.views import stage_views
from pipelines.children import sandbox, side_by_side
from pipelines.graph import find_stage
from pipelines.perform import Job, commit, make_gate
from pipelines.stages import _fetch, _split, cut_files
from pipelines.work import Row, Work


@dataclass(frozen=True)
class Outcome:
    """What became of a file, for a person: one of the two is said, or none if nothing makes such a file."""

    mended: str = ""
    drift: str = ""


def mend_media(dataset: Dataset, thing: Thing) -> Outcome:
    """Make a source, the keyframes of a video, or a clip again."""
    kind, _, name = thing.what.partition(" ")[0], "", thing.what.rpartition(" ")[2]
    makers = {"source": (DOWNLOAD, _source), "keyframes": (SPLIT, keyframes), "clip": (CUT, _clip)}
    if kind not in makers:
        return Outcome()  # left, and named
    stage, make = makers[kind]
    aside = set_aside(dataset.store, thing)
    work = item_work(dataset, stage, [name])
    rows = [row for item in work.items for row in work.guarded(functools.partial(make, work), item)]
    failed = next((row for row in rows if row.get("status", "ok") != "ok"), None)
    if thing.path(dataset.store) is not None:
        return Outcome(f"{thing.name}: {thing.what}, made again with the same bytes")
    if failed is not None:
        put_back(dataset.store, thing, aside)
        return Outcome(drift=f"{thing.what}: {failed['reason']}: {failed['detail']}"[:300])
    if stage == CUT:  # the newest word on the clip: other bytes, the same frames
        unit = unit_of_video(dataset, rows[0]["video_id"])
        commit(dataset, Job(dataset.root, dataset.store.run, CUT, unit), list(work.items), rows)
        return Outcome(f"{thing.what}: cut again, with other bytes")
    return Outcome(drift=f"{thing.what}: other bytes than it had; `hdvg explain` names its clips")


def set_aside(store: Store, thing: Thing) -> Path | None:
    """Move a damaged file out of the way, until the run ends; where it is then, None if it was gone."""
    damaged = thing.path(store)
    if damaged is None:
        return None
    aside = f"tmp/{store.run}/{damaged.name}"
    store.move(str(damaged.relative_to(store.root)), aside)
    return store.root / aside


def put_back(store: Store, thing: Thing, aside: Path | None) -> None:
    """Undo `set_aside`: a damaged file is better than nothing."""
    if aside is not None:
        store.move(str(aside.relative_to(store.root)), f"{thing.name}{aside.suffix}")


def item_work(dataset: Dataset, stage: str, keys: Sequence[str], *, model: Any = None) -> Work[Any]:
    """These items of a stage, in this order, whether they are pending or not; one that is not there is left out."""
    column = entry_of(stage).key
    needs = ", ".join(f"i.{name}" for name in find_stage(stage).needs)
    with dataset.manifest() as manifest:
        found = manifest.rows(
            f"select i.{column} as key, i.video_id, 0 as attempt, {needs} from ({stage_views(stage).items(stage)}) i "
            f"where list_contains(?::varchar[], i.{column})",
            [list(keys)],
        )
    by_key = {item["key"]: item for item in found}
    items = [by_key[key] for key in keys if key in by_key]
    detector = dataset.recipe.split.detector
    spread = functools.partial(side_by_side, detector)
    gate = make_gate(dataset.plan.recipe)
    return Work(
        dataset,
        items,
        gate,
        sandbox(detector),
        part_schema(stage),
        spread,
        model=model,
        stage=stage,
        threads=dataset.recipe.run.decode_threads,
    )


def _source(work: Work[Any], item: Any) -> list[Row]:
    return [_fetch(work, item, again=True)]


def keyframes(work: Work[Any], item: Any) -> list[Row]:
    """Split the video again; its pack of keyframes is published, its rows are not."""
    return _split(work, item)


def _clip(work: Work[Any], item: Any) -> list[Row]:
    store = work.dataset.store
    with store.scratch() as scratch:
        made = list(cut_files(work, [item], scratch))
        return [row if path is None else row | {"clip_sha256": store.put_media(path, "mp4")} for row, path in made]


def unit_of_video(dataset: Dataset, video: str) -> str:
    """The unit that an accepted video is of."""
    with dataset.manifest() as manifest:
        unit: str = manifest.one("select unit from inputs where status = 'new' and video_id = ?", [video])
    return unit
