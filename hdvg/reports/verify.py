"""Prove a dataset whole: nothing lost, nothing twice, every file's bytes as they were written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.dataset import ledger
from hdvg.dataset.clip_files import clips_of_pack, harmed_clips
from hdvg.dataset.damage import NEEDED, broken, foreign
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.far_looks import reading
from hdvg.dataset.inventory import State, Thing, latents_of, media_of, shards_of, tables_of
from hdvg.dataset.layout import CACHE, SEED, files, number_of_list, unit_of
from hdvg.dataset.manifest import Manifest
from hdvg.dataset.scene_views import has_given
from hdvg.dataset.shard_plan import ready_sql
from hdvg.dataset.tombstones import PURGED
from hdvg.errors import DamagedError, UsageError, first_line
from hdvg.ids import digest

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
    thing: Thing | None = None
    """The file, if it is one that should exist."""

    def row(self) -> dict[str, str]:
        """What is shown of it."""
        return {"check": self.check, "key": self.key, "detail": self.detail}


class LookAtAll(Protocol):
    """Looks at every byte of files; their states, in order."""

    def __call__(self, dataset: Dataset, things: Sequence[Thing]) -> Sequence[State]: ...


def states_here(dataset: Dataset, things: Sequence[Thing]) -> list[State]:
    """See `LookAtAll`; as many at once as this machine has cores."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda thing: thing.state(dataset.store), things))


def verify(dataset: Dataset, look: LookAtAll = states_here) -> list[Problem]:
    """All problems, none if the dataset is whole. Has every file of it looked at; none that is damaged ends it."""
    strange = foreign(dataset.root)
    problems = [Problem("foreign", _name(dataset, path), f"ignored: {why}") for path, why in strange.items()]
    problems += [problem for problem in _tables(dataset, look) if dataset.root / problem.key not in strange]
    problems += _settings(dataset)
    problems += _derived(dataset)
    harmed = {dataset.root / one.key for one in problems if one.check == "corrupt"}
    problems += _lost_inputs(dataset, harmed)
    problems += _files(dataset, list(latents_of(dataset.root)), look)
    is_whole = not any(one.check in ("corrupt", "lost") and one.key != ledger.NAME for one in problems)
    if is_whole or not any(path.parent.name in NEEDED for path in harmed):
        problems += _by_rows(dataset, harmed, look, is_whole=is_whole)
    return sorted(problems, key=lambda problem: (problem.check, problem.key, problem.detail))


def _by_rows(dataset: Dataset, harmed: set[Path], look: LookAtAll, *, is_whole: bool) -> list[Problem]:
    """What rows say: of files alone where a table is missing among them, for then items seem undone."""
    try:
        with dataset.manifest(without=harmed) as manifest:
            manifest.hold("videos")
            problems = _of_items(dataset, manifest) if is_whole else []
            media = _files(dataset, list(media_of(dataset, manifest)), look)
            problems += [_counted(one, dataset, manifest) for one in media]
            named = list(shards_of(manifest))
            rowless = [
                path
                for path in files(dataset.root, "shards")
                if _name(dataset, path) not in {one.name for one in named}
            ]
            shards = _files(dataset, named, look) + [
                Problem(
                    "rowless", _name(dataset, path), f"no parts/shard/{path.stem}-*.parquet names it: run `hdvg shard`"
                )
                for path in rowless
            ]
            return problems + (shards or (_clips_in_shards(dataset, manifest) if is_whole else []))
    except (duckdb.Error, DamagedError) as error:
        return [Problem("unreadable", str(dataset.root), str(error))]


def _of_items(dataset: Dataset, manifest: Manifest) -> list[Problem]:
    problems = [
        Problem(check, row["key"], row["detail"]) for check, sql in MUST_BE_EMPTY.items() for row in manifest.rows(sql)
    ]
    if has_given(dataset.root) and dataset.plan.recipe.split.given != "ignore":
        problems += [Problem("given", row["key"], row["detail"]) for row in manifest.rows(GIVEN)]
    return problems


def _name(dataset: Dataset, path: Path) -> str:
    return str(path.relative_to(dataset.root))


def _tables(dataset: Dataset, look: LookAtAll) -> list[Problem]:
    problems = []
    for one in _files(dataset, list(tables_of(dataset.root)), look):
        check = "lost" if one.check == "missing" else one.check
        problems.append(Problem(check, one.key, one.detail, one.thing))
    return problems


def _settings(dataset: Dataset) -> Iterator[Problem]:
    """dataset.toml as hdvg wrote it: it has no seal, so that people can read it. And the ledger, which says so."""
    if dataset.plan.has_ledger and not (dataset.root / ledger.NAME).exists():
        yield Problem(
            "lost",
            ledger.NAME,
            "dataset.toml says that there is one; it was deleted, or a purge was stopped. `--repair`, or the next run, "
            "notes what is there now: what else is lost it cannot tell",
        )
    known = ledger.settings(dataset.root)
    if known and (dataset.root / "dataset.toml").read_text(encoding="utf-8") not in known:
        yield Problem(
            "corrupt", "dataset.toml", "other text than hdvg wrote; `hdvg run` with these settings accepts it"
        )


def _derived(dataset: Dataset) -> Iterator[Problem]:
    """Files that are made of others alone, and so are never lost: that they can be read."""
    if not (dataset.root / "manifest.sql").exists():
        yield Problem("missing", "manifest.sql", "the views for people; `--repair`, or the next run, writes them")
    for path in sorted(dataset.root.glob(f"{CACHE}/*.parquet")):
        try:
            pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            yield Problem(
                "corrupt", _name(dataset, path), f"cannot be read ({first_line(error)}); it is made of others"
            )


def _files(dataset: Dataset, things: list[Thing], look: LookAtAll) -> list[Problem]:
    """Those that are not as they must be."""
    found = zip(things, look(dataset, things), strict=True)
    return [_problem(dataset, thing, state) for thing, state in found if state != "whole"]


def _problem(dataset: Dataset, thing: Thing, state: str) -> Problem:
    if thing.sort == "media":
        if place := thing.place(dataset.store):
            return Problem(state, thing.what, f"{place} has other bytes than its name says", thing)
        is_cut = thing.is_clip_pack or thing.what.startswith("clip ")
        again = "; `hdvg retry --reason lost_clip` cuts it again" if is_cut else ""
        return Problem(state, thing.what, f"no file {thing.name}.*{again}", thing)
    said = {"missing": "it was there", "corrupt": "other bytes than were written"}
    if thing.sort == "shard":
        said = {"missing": "a part names it", "corrupt": "other bytes than its part says"}
    return Problem(state, thing.name, said[state], thing)


def _counted(problem: Problem, dataset: Dataset, manifest: Manifest) -> Problem:
    """The problem; of a damaged pack of clips with which of them are damaged, for the others are read out of it all the same."""
    thing = problem.thing
    if thing is None or problem.check != "corrupt" or not thing.is_clip_pack:
        return problem
    sha256, far = str(thing.sha256), dataset.store.far
    clips = clips_of_pack(manifest, sha256)
    harmed = harmed_clips(
        partial(far.read_range, thing.names) if far else partial(dataset.store.read_media, sha256), clips
    )
    first = f", the first is {harmed[0]}" if harmed else ""
    return replace(problem, detail=f"{problem.detail}; {len(harmed)} of its {len(clips)} clips are damaged{first}")


def _lost_inputs(dataset: Dataset, harmed: set[Path]) -> Iterator[Problem]:
    """Accepted lists are numbered without gaps, named by what they held first, and name the unit of every part."""
    lists = files(dataset.root, "inputs")
    numbers = [number_of_list(path) for path in lists]
    for place in range(max(numbers, default=0)):
        if place not in numbers:
            yield Problem("lost", f"inputs/{place:05d}-*.parquet", "no such list of links")
    units: set[str] = set()
    for path in lists:
        if path in harmed:
            return  # its units are not known
        table = pq.read_table(path, columns=["link_id", "unit"])
        units |= set(table.column("unit").to_pylist())
        content = path.stem.partition("-")[2]
        if (
            content != SEED
            and PURGED not in (table.schema.metadata or {})
            and digest(table.column("link_id").to_pylist()) != content
        ):
            yield Problem("corrupt", f"inputs/{path.name}", "holds other links than its name says")
    for path in (path for stage in dataset.plan.stages for path in files(dataset.root, "parts", stage=stage)):
        if unit_of(path) not in {*units, SEED}:
            yield Problem("orphan", _name(dataset, path), "no list of links names its unit")
    for path in files(dataset.root, "given"):
        if unit_of(path) not in units:
            yield Problem(
                "orphan", f"given/{path.name}", "of an import that was stopped: the same `hdvg import` repairs it"
            )


def _clips_in_shards(dataset: Dataset, manifest: Manifest) -> list[Problem]:
    """That shards hold each finished clip once; fine if none was written yet."""
    shards = [row["shard"] for row in manifest.rows("select shard from shards")]
    if not shards:
        return []
    held = [clip for name in shards for clip in _clips_in(dataset, dataset.root / name)]
    wanted = {row["clip_id"] for row in manifest.rows(f"select clip_id from dataset where {ready_sql(dataset.plan)}")}
    problems = [Problem("twice", clip, "in several shards") for clip, times in Counter(held).items() if times > 1]
    problems += [
        Problem("lost", clip, "kept, but in no shard: run `hdvg shard`") for clip in sorted(wanted - set(held))
    ]
    problems += [
        Problem("stale", clip, "in a shard, but not kept: run `hdvg shard`") for clip in sorted(set(held) - wanted)
    ]
    return problems


def _clips_in(dataset: Dataset, shard: Path) -> list[str]:
    with reading(dataset.store.far, shard) as file:
        found: list[str] = pq.read_table(file, columns=["clip_id"])[0].to_pylist()
    return found


def verify_folder(root: Path, look: LookAtAll = states_here) -> list[Problem]:
    """As `verify`, of a folder whose settings may be damaged too. Raises UsageError if it is no dataset at all."""
    try:
        return verify(Dataset.open(root), look)
    except UsageError as error:
        if not files(root, "inputs"):
            raise
        found = [Problem("corrupt", "dataset.toml", str(error))]
        return found + [
            Problem("corrupt", str(path.relative_to(root)), "other bytes than were written") for path in broken(root)
        ]
