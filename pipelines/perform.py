"""Do one unit at one stage: read what is pending, run the stage, publish the part. The same code under every runner."""

from __future__ import annotations

import functools
import itertools
import operator
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa

from hdvg.config.caption import Caption
from hdvg.config.recipe import Recipe
from hdvg.config.sections import Measure
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.following import follow, root_here
from hdvg.dataset.layout import files, newest_generation, part_name
from hdvg.dataset.manifest import wanted_view
from hdvg.dataset.stages import CUT, entry_of, part_schema
from hdvg.dataset.views import stage_views
from hdvg.sandbox import Call, Limits
from hdvg.sources.fetch import Gate
from hdvg.sources.hosts import HostGate
from pipelines.checkpoint import Pieces
from pipelines.children import sandbox, side_by_side
from pipelines.graph import Stage, find_stage
from pipelines.work import Meter, Row, Work, save_nothing


def make_gate(recipe: Recipe) -> HostGate:
    """The run's politeness, by its recipe."""
    return HostGate.of(recipe.fetch)


Spread = Callable[[str, Sequence[tuple[Call[Any], Path]], Limits], list[Any]]
"""Runs calls of limited children, each with its scratch folder, side by side where a detector is loaded; gives their results
or raises the first error."""


@dataclass(frozen=True)
class Job:
    """One unit at one stage of the dataset at `root`, as part of the run `run`.

    `keys` narrows it to those items (None: all that is pending); `retry` names reasons whose items count as pending again;
    `later` are the stages that the unit passes afterwards.
    """

    root: Path
    run: str
    stage: str
    unit: str
    retry: tuple[str, ...] = ()
    keys: tuple[str, ...] | None = None
    later: tuple[str, ...] = ()
    link: str | None = None
    """Of a dataset in a bucket that several nodes work on, each in a mirror of its own: where it lies."""
    threads: int | None = None
    """Of one decode, as the runner shares out the cores; None: as many as the recipe allows."""

    def on_this_node(self) -> Job:
        """The job over this node's mirror, which has what the unit needs."""
        if self.link is None:
            return self
        root = root_here(self.link, self.run)
        follow(root, self.unit)
        return replace(self, root=root)


@dataclass(frozen=True)
class Done:
    """What became of a job: items by status, and failures by reason."""

    stage: str
    unit: str
    statuses: dict[str, int]
    reasons: dict[str, int]
    seconds: float
    sources: tuple[str, ...] = ()
    """sha256 of the source files that were fetched, or that the unit needs no more."""
    fetched: bool = False
    """Whether these were fetched."""
    busy_s: float = 0.0
    """How long the stage's model worked."""
    ahead: float | None = None
    """How many batches stood ready when the model took one, on average."""
    passed: int = 0
    """To how many of the job's later stages the unit need not go, either: nothing was pending at any of them."""
    fetched_bytes: int = 0
    """How much there is to be done at the stages behind a download."""


def pending_sql(stage: Stage, retry: tuple[str, ...]) -> tuple[str, list[object]]:
    """The query for a stage's pending items, in the order in which they are done, and its values."""
    key = entry_of(stage.name).key
    columns = ", ".join(f"i.{name}" for name in stage.needs)
    order = "w.video_id, i.start_pts" if key == "clip_id" and "start_pts" in stage.needs else "w.video_id, w.key"
    again = "(w.old_status in ('failed', 'retry') and list_contains(?::varchar[], w.old_reason))"
    sql = (
        f"select w.key, w.video_id, coalesce(w.attempt, 0) as attempt, {columns} from {wanted_view(stage.name)} w "
        f"join ({stage_views(stage.name).items(stage.name)}) i on i.video_id = w.video_id and i.{key} = w.key "
        f"where w.old_status is null or w.old_status = 'retry' or {again} order by {order}"
    )
    return sql, [list(retry)]


def pending_items(dataset: Dataset, job: Job) -> list[Row]:
    """The items of a job that are still to be done."""
    return _pending(dataset, job)[0]


def _pending(dataset: Dataset, job: Job) -> tuple[list[Row], int]:
    """As `pending_items`; if there are none, at how many of the later stages the same holds."""
    with dataset.manifest(unit=job.unit) as manifest:
        items = manifest.rows(*pending_sql(find_stage(job.stage), job.retry))
        if job.keys is not None:
            return [item for item in items if item["key"] in job.keys], 0
        later = (manifest.rows(*pending_sql(find_stage(name), job.retry)) for name in job.later if not items)
        return items, sum(1 for _ in itertools.takewhile(operator.not_, later))


def perform(job: Job, gate: Gate, dataset: Dataset | None = None, spread: Spread | None = None) -> Done:
    """Do the job and publish its part; nothing is written if nothing is pending. `spread` runs children side by side."""
    dataset = dataset or Dataset.open(job.root, run=job.run)
    start = time.monotonic()
    rows: list[Row] = []
    stage, meter = find_stage(job.stage), Meter()
    saves = stage.saves and job.keys is None  # the jobs of single items of a unit run side by side
    if saves:
        gather(dataset, job)
    items, passed = _pending(dataset, job)
    save = functools.partial(_save, items, Pieces(dataset, job.stage, job.unit)) if saves else save_nothing
    if items:
        model = load_model(stage.name, dataset.recipe) if stage.load else None
        detector = dataset.recipe.split.detector
        side = functools.partial(spread or side_by_side, detector)
        schema = part_schema(job.stage)
        rows = list(
            stage.run(
                Work(
                    dataset,
                    items,
                    gate,
                    sandbox(detector, dataset.recipe.limits.sandbox, fetches=_fetches(stage, items, dataset.recipe)),
                    schema,
                    side,
                    model,
                    job.stage,
                    save,
                    meter,
                    job.unit,
                    job.threads or dataset.recipe.run.decode_threads,
                )
            )
        )
    if saves:
        gather(dataset, job)
    elif items:
        commit(dataset, job, items, rows)
        if stage.committed:
            stage.committed(dataset, items, rows)
    outcomes = list(
        {
            (row["video_id"], row.get("clip_id")): row
            for row in rows
            if entry_of(job.stage).key == "clip_id" or row.get("clip_id") is None
        }.values()
    )
    statuses = Counter(row["status"] for row in outcomes)
    reasons = Counter(row["reason"] for row in outcomes if row["status"] != "ok")
    sources = _sources(dataset, job, stage, rows)
    ahead = fmean(meter.ahead) if meter.ahead else None
    spent = time.monotonic() - start
    fetched = stage.sources == "fetches"
    size = sum(row.get("bytes") or 0 for row in rows) if fetched else 0
    return Done(
        job.stage, job.unit, dict(statuses), dict(reasons), spent, sources, fetched, meter.busy_s, ahead, passed, size
    )


def _save(items: list[Row], pieces: Pieces, rows: list[Row]) -> None:
    _count_tries(items, rows)
    pieces.save(rows)


def gather(dataset: Dataset, job: Job) -> None:
    """Publish what the unit's jobs have saved as its next generation; nothing is written if that is nothing.

    A job does so before it begins: what it says of an item counts over what a killed one had saved of it.
    """
    pieces = Pieces(dataset, job.stage, job.unit)
    rows, paths = pieces.take()
    if rows:
        commit(dataset, job, [], rows)
    pieces.drop(paths)


def _sources(dataset: Dataset, job: Job, stage: Stage, rows: list[Row]) -> tuple[str, ...]:
    if dataset.plan.recipe.storage.keep_sources or not stage.sources:
        return ()
    if stage.sources == "fetches":
        return tuple(row["sha256"] for row in rows if row.get("sha256"))
    with dataset.manifest(unit=job.unit) as manifest:
        done = manifest.rows(
            "select distinct sha256 from videos where sha256 is not null "
            "and video_id not in (select video_id from needed)"
        )
    return tuple(row["sha256"] for row in done)


def poison(job: Job) -> Done:
    """Write `failed: poison` for the job's items: they killed every worker that took them."""
    dataset = Dataset.open(job.root, run=job.run)
    items = pending_items(dataset, job)
    detail = f"killed its worker at stage {job.stage} each time"
    bad = {"status": "failed", "reason": "poison", "detail": detail}
    rows = [
        {"video_id": item["video_id"]} | ({"clip_id": item["clip_id"]} if "clip_id" in item else {}) | bad
        for item in items
    ]
    commit(dataset, job, items, rows)
    return Done(job.stage, job.unit, {"failed": len(rows)}, {"poison": len(rows)}, 0.0)


def cut_again(dataset: Dataset, lost: list[tuple[str, str, str]]) -> None:
    """Write `retry: lost_clip` for cut clips, (video_id, clip_id, unit) each, so that they are pending again."""
    units: dict[str, list[Row]] = {}
    for video, clip, unit in lost:
        row = {"video_id": video, "clip_id": clip, "status": "retry", "reason": "lost_clip", "attempt": 0}
        units.setdefault(unit, []).append(row)
    for unit, rows in units.items():
        items = [{"key": row["clip_id"], "attempt": 0} for row in rows]
        commit(dataset, Job(dataset.root, dataset.store.run, CUT, unit), items, rows)


def commit(dataset: Dataset, job: Job, items: list[Row], rows: list[Row]) -> None:
    """Publish the rows as the unit's next generation."""
    _count_tries(items, rows)
    fingerprint = dataset.plan.fingerprints[job.stage]
    held = files(dataset.root, "parts", stage=job.stage, unit=job.unit, fingerprint=fingerprint)
    generation = newest_generation(held)
    published = False
    while not published:  # a ghost of a killed run may take the number first; its rows are older, ours count
        generation += 1
        for row in rows:
            row["generation"] = generation
        table = pa.Table.from_pylist(rows, schema=part_schema(job.stage))
        published = dataset.store.publish_table(part_name(job.stage, job.unit, fingerprint, generation), table)


def _count_tries(items: list[Row], rows: list[Row]) -> None:
    """Say of each row how often its item was tried, unless it says so."""
    attempts = {item["key"]: item["attempt"] + 1 for item in items}
    for row in rows:
        if "attempt" not in row:
            row["attempt"] = attempts[row["clip_id"] if row.get("clip_id") in attempts else row["video_id"]]


def _fetches(stage: Stage, items: Sequence[Row], recipe: Recipe) -> bool:
    """Whether the items' sources may be fetched by yt-dlp, which takes as long to load as all else."""
    may = stage.sources == "fetches" or ("source" in stage.needs and not recipe.storage.keep_sources)
    return may and any(not item["source"].startswith("file:") for item in items)


_models: dict[str, tuple[tuple[Measure, Caption], Any]] = {}


def load_model(stage: str, recipe: Recipe) -> Any:
    """The model of a stage in this process; weights load once for the settings that shape models."""
    load = find_stage(stage).load
    assert load is not None, stage
    settings = recipe.measure, recipe.caption
    if stage not in _models or _models[stage][0] != settings:
        _models[stage] = settings, load(recipe)
    return _models[stage][1]
