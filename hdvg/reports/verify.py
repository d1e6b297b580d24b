"""Prove a dataset whole: nothing lost, nothing twice, every file's bytes as they were written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import duckdb
import pyarrow.parquet as pq

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import SEED, files, tables, unit_of
from hdvg.dataset.manifest import Manifest
from hdvg.dataset.scene_views import has_given
from hdvg.dataset.shards import READY
from hdvg.dataset.stages import with_media
from hdvg.dataset.store import is_sealed
from hdvg.dataset.tombstones import PURGED
from hdvg.ids import digest, file_sha256

MUST_BE_EMPTY = {
    "unfinished": "select key, 'not done at stage ' || stage as detail from wanted where old_status is null",
    "orphan": "select distinct video_id as key, 'has rows, but no input names it' as detail from downloaded "
    "where video_id not in (select video_id from inputs where status = 'new')",
    "twice": "select video_id as key, 'several rows in videos' as detail from videos group by video_id having count(*) > 1 "
    "union all select clip_id, 'several rows in clips' from clips group by clip_id having count(*) > 1 "
    "union all select link_id, 'several rows in inputs' from inputs group by link_id having count(*) > 1",
    "unnamed": "select video_id as key, 'not ok, without a reason' as detail from videos "
    "where status in ('failed', 'retry') and reason is null",
}

GIVEN = """
with current as (
    select v.video_id, v.split_generation as generation
    from videos v join given_videos now on now.video_id = v.video_id and now.given_digest = v.given_digest
    where v.status = 'ok'
), named as (
    select video_id, origin, given_id, count(*) as scenes from given join current using (video_id) group by all
), split as (
    select video_id, given_origin as origin, given_id, count(*) as rows
    from split_rows join current using (video_id, generation) where clip_id is not null group by all
)
select coalesce(given_id, '?') as key, 'given scene of video ' || video_id || ': ' || coalesce(scenes, 0)
    || ' given, ' || coalesce(rows, 0) || ' became rows' as detail
from named full join split using (video_id, origin, given_id) where scenes is distinct from rows
"""
"""Each given scene of a video that was split by them is one row: a clip, or a failure with its reason."""


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it must be."""

    check: str
    key: str
    detail: str


def verify(dataset: Dataset) -> list[Problem]:
    """All problems, none if the dataset is whole. Reads every file of it."""
    broken = [*_broken_tables(dataset), *_lost_inputs(dataset)]
    if broken:
        return broken  # the views would fail on them
    try:
        with dataset.manifest() as manifest:
            manifest.hold("videos")
            problems = [
                Problem(check, row["key"], row["detail"])
                for check, sql in MUST_BE_EMPTY.items()
                for row in manifest.rows(sql)
            ]
            if has_given(dataset.root) and dataset.plan.recipe.split.given != "ignore":
                problems += [Problem("given", row["key"], row["detail"]) for row in manifest.rows(GIVEN)]
            problems += _media(dataset, manifest)
            problems += _shards(dataset, manifest)
    except duckdb.Error as error:
        return [Problem("unreadable", str(dataset.root), str(error))]
    return sorted(problems, key=lambda problem: (problem.check, problem.key, problem.detail))


def _broken_tables(dataset: Dataset) -> Iterator[Problem]:
    for path in tables(dataset.root):
        if not is_sealed(path):
            yield Problem("corrupt", str(path.relative_to(dataset.root)), "other bytes than were written")


def _lost_inputs(dataset: Dataset) -> Iterator[Problem]:
    """Accepted lists are numbered without gaps, named by what they held first, and name the unit of every part."""
    names = [path.name for path in files(dataset.root, "inputs")]
    units: set[str] = set()
    for place, name in enumerate(names):
        number, _, content = name.removesuffix(".parquet").partition("-")
        if int(number) != place:
            yield Problem("lost", f"inputs/{place:05d}-*.parquet", f"no such list of links; the next is {name}")
            break
        table = pq.read_table(dataset.root / "inputs" / name, columns=["link_id", "unit"])
        units |= set(table.column("unit").to_pylist())
        if (
            place
            and PURGED not in (table.schema.metadata or {})
            and digest(table.column("link_id").to_pylist()) != content
        ):
            yield Problem("corrupt", f"inputs/{name}", "holds other links than its name says")
    for path in (path for stage in dataset.plan.stages for path in files(dataset.root, "parts", stage=stage)):
        if unit_of(path) not in {*units, SEED}:
            yield Problem("orphan", str(path.relative_to(dataset.root)), "no list of links names its unit")
    for path in files(dataset.root, "given"):
        if unit_of(path) not in units:
            yield Problem(
                "orphan", f"given/{path.name}", "of an import that was stopped: the same `hdvg import` repairs it"
            )


def _media(dataset: Dataset, manifest: Manifest) -> list[Problem]:
    keep = "true" if dataset.plan.recipe.storage.keep_sources else "false"
    named = " union ".join(sql.replace("{keep_sources}", keep) for _, _, sql in with_media())

    def look(row: dict[str, str]) -> Problem | None:
        path = dataset.store.find_media(row["sha256"])
        if path is None:
            detail = f"no file media/{row['sha256'][:2]}/{row['sha256']}.*"
            if row["what"].startswith("clip "):
                detail += "; `hdvg retry --reason lost_clip` cuts it again"
            return Problem("missing", row["what"], detail)
        if file_sha256(path) != row["sha256"]:
            return Problem(
                "corrupt", row["what"], f"{path.relative_to(dataset.root)} has other bytes than its name says"
            )
        return None

    with ThreadPoolExecutor() as pool:
        return [
            problem for problem in pool.map(look, manifest.rows(f"from ({named}) where sha256 is not null")) if problem
        ]


def _shards(dataset: Dataset, manifest: Manifest) -> list[Problem]:
    """Every shard's bytes, and that shards hold each finished clip once; fine if none was written yet."""
    shards = manifest.rows("select shard, sha256 from shards")
    problems: list[Problem] = []
    held: list[str] = []
    for row in shards:
        path = dataset.root / row["shard"]
        if not path.exists():
            problems.append(Problem("missing", row["shard"], "a part names it"))
        elif file_sha256(path) != row["sha256"]:
            problems.append(Problem("corrupt", row["shard"], "other bytes than its part says"))
        else:
            held += pq.read_table(path, columns=["clip_id"]).column(0).to_pylist()
    if not shards or problems:
        return problems
    ready = READY.format(captions=dataset.plan.captions_wanted)
    wanted = {row["clip_id"] for row in manifest.rows(f"select clip_id from dataset where {ready}")}
    problems += [Problem("twice", clip, "in several shards") for clip, times in Counter(held).items() if times > 1]
    problems += [
        Problem("lost", clip, "kept, but in no shard: run `hdvg shard`") for clip in sorted(wanted - set(held))
    ]
    problems += [
        Problem("stale", clip, "in a shard, but not kept: run `hdvg shard`") for clip in sorted(set(held) - wanted)
    ]
    return problems
