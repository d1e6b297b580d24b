"""Bring back what of a dataset is damaged or lost: exactly that, from what is still there or from its sources."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from hdvg.dataset import ledger
from hdvg.dataset.damage import set_aside
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.far_looks import level, reading
from hdvg.dataset.inventory import Thing
from hdvg.dataset.kept_views import kept_files
from hdvg.dataset.layout import CACHE, SEED, files, stage_of_part, unit_of
from hdvg.dataset.shard_plan import ready_sql
from hdvg.dataset.stages import ASSESS, POOL, REMEASURE
from hdvg.dataset.store import Store
from hdvg.errors import DamagedError, first_line
from hdvg.filtering.pool import settle
from hdvg.reports.verify import Problem, verify
from pipelines.perform import Job, make_gate, perform
from pipelines.repair_clips import mend_clips
from pipelines.repair_media import Outcome, mend_media
from pipelines.repair_packs import NotMadeError, Pack, bring_keyframes, mend_pack, packs_of
from pipelines.shard_stage import fill_shards
from pipelines.writing import new_run

SHARDED = pa.schema([("clip_id", pa.string()), ("video_id", pa.string()), ("video_sha256", pa.string())])
"""What a shard says of where its clips come from."""

TABLES_OF_PEOPLE = ("inputs", "tombstones", "given", "rejected", "tables")
"""Folders of what nothing in the dataset can make again."""

WRITTEN_ANEW = f"{ledger.NAME}: written anew"


@dataclass
class Repaired:
    """What was done, one line each: `mended`, `drift` (a source that has other bytes now), and what is `left`.

    `lost`: tables that cannot be made again without taking clips out of shards; the ledger goes on naming them.
    """

    mended: list[str] = field(default_factory=list)
    drift: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    left: list[Problem] = field(default_factory=list)


def repair(root: Path, console: Console) -> Repaired:
    """Mend the dataset under its run lock. Stopped anywhere, the same again goes on. Raises UsageError if it is no dataset."""
    done = Repaired()
    if not files(root, "inputs"):
        Dataset.open(root)
    store = Store(root.resolve(), run=new_run())
    with store.lock():
        store.begin()
        try:
            _mend_settings(store, done)
            dataset = Dataset(store.root, Dataset.open(store.root).plan, store)
            problems = _found(dataset, done)
            if not any(_is_of_people(one) for one in problems):
                _mend(dataset, problems, done, console)
                ledger.note(store, still_lost=done.lost)
            done.left = [one for one in verify(Dataset.open(store.root)) if one.check != "unfinished"]
        finally:
            store.end()
    return done


def _found(dataset: Dataset, done: Repaired) -> list[Problem]:
    """What is wrong; of a dataset in a bucket what the mirror has whole is put there first."""
    problems, far = verify(dataset), dataset.store.far
    things = [one.thing for one in problems if one.thing and one.thing.is_afar]
    if far is None or not things:
        return problems
    done.mended += level(far, [(thing.names, str(thing.sha256)) for thing in things], dataset.store.run)
    return verify(dataset)


def _is_of_people(problem: Problem) -> bool:
    """Whether it is lost or damaged for good, and all that follows from it stays as it is."""
    return problem.check in ("lost", "corrupt") and problem.key.startswith(TABLES_OF_PEOPLE)


def _mend_settings(store: Store, done: Repaired) -> None:
    """dataset.toml out of the ledger; what stood there is kept beside. A damaged ledger goes: a new one is noted."""
    path = store.root / ledger.NAME
    if path.exists() and not ledger.is_there(store.root):
        ledger.forget(store)
        done.mended.append(WRITTEN_ANEW)
    known, toml = ledger.settings(store.root), store.root / "dataset.toml"
    if known and (not toml.exists() or toml.read_bytes() not in [text.encode() for text in known]):
        if toml.exists():
            store.move("dataset.toml", "foreign/dataset.toml")
        store.publish("dataset.toml", lambda temp: temp.write_text(known[0], encoding="utf-8"))
        done.mended.append("dataset.toml: as hdvg last wrote it; what stood there is foreign/dataset.toml")


def _mend(dataset: Dataset, problems: list[Problem], done: Repaired, console: Console) -> None:
    if any(one.check == "foreign" for one in problems):
        set_aside(dataset.store)
        done.mended += [
            f"{one.key}: set aside in foreign/" for one in problems if "/" in one.key and one.check == "foreign"
        ]
    for one in problems:
        if one.key.startswith(f"{CACHE}/"):
            dataset.store.remove(one.key)
            done.mended.append(f"{one.key}: removed; it is made again when it is needed")
        if one.key == "manifest.sql":
            done.mended.append("manifest.sql: written anew")
        if one.key == ledger.NAME and WRITTEN_ANEW not in done.mended:
            done.mended.append(WRITTEN_ANEW)
    tables = [one for one in problems if one.thing and one.thing.sort == "table" and one.key.startswith("parts/")]
    before = {path.stem for path in files(dataset.root, "media")} | _names_there(dataset.store)
    has_shards = bool(files(dataset.root, "shards")) or any(one.thing and one.thing.sort == "shard" for one in problems)
    parts = set(files(dataset.root, "parts")) - {dataset.root / one.key for one in tables}
    jobs = list(_jobs(dataset, tables))
    if tables:  # what is done again has the same name and may have other rows
        for path in kept_files(dataset.root):
            dataset.store.remove(str(path.relative_to(dataset.root)))
    for one in tables:
        dataset.store.remove(one.key)
        if _job_of(one) not in jobs:
            done.mended.append(f"{one.key}: removed; what today's settings need of it is written anew")
    dataset.publish_seeds()
    faults = {job: _do_again(dataset, *job) for job in jobs}
    done.drift += [
        f"parts/{stage}/: unit {unit}: {why}; `hdvg run` does it" for (stage, unit), why in faults.items() if why
    ]
    undone = _undo(dataset, {unit for _, unit in jobs}, parts, done) if jobs else set()
    done.lost += [one.key for one in tables if unit_of(Path(one.key)) in undone]
    done.mended += [
        f"parts/{stage}/: unit {unit} done again"
        for stage, unit in jobs
        if unit not in undone and not faults[stage, unit]
    ]
    if any(stage_of_part(Path(one.key)) == POOL for one in tables) and dataset.plan.pool_wanted:
        settle(dataset)
        done.mended.append(f"parts/{POOL}/: settled again")
    made = (".parquet", ".zip")
    drifted = {path.stem for path in files(dataset.root, "media") if path.suffix not in made} - before
    done.drift += [f"media/{name[:2]}/{name}: fetched anew, with bytes that were not here" for name in sorted(drifted)]
    _mend_files(dataset, verify(dataset), done)
    done.mended += [f"{one.key}: its row written anew" for one in problems if one.check == "rowless"]
    if has_shards and not undone:
        fill_shards(dataset, console)
    dataset.write_views()


def _do_again(dataset: Dataset, stage: str, unit: str) -> str:
    """Write a unit's part anew; why it cannot be, for measures whose packs are lost too."""
    gate, alone = make_gate(dataset.plan.recipe), [one for one in (REMEASURE, ASSESS) if one in dataset.plan.stages]
    if stage not in alone:
        perform(Job(dataset.root, dataset.store.run, stage, unit), gate, dataset)
        return ""
    try:
        bring_keyframes(dataset, unit)
        for one in alone:  # both write the same packs
            perform(Job(dataset.root, dataset.store.run, one, unit), gate, dataset)
    except (NotMadeError, DamagedError) as error:
        return first_line(error)
    return ""


def _job_of(one: Problem) -> tuple[str, str]:
    """The stage and unit of a part."""
    return stage_of_part(Path(one.key)), unit_of(Path(one.key))


def _jobs(dataset: Dataset, tables: list[Problem]) -> Iterator[tuple[str, str]]:
    """The stages and units of parts that today's settings name, in the stages' order."""
    hit = {
        (stage, unit)
        for one in tables
        for stage, unit in [_job_of(one)]
        if Path(one.key).stem.split("-")[-2:-1] == [dataset.plan.fingerprints.get(stage)] and unit != SEED
    }
    for stage in dataset.plan.stages:
        yield from sorted(one for one in hit if one[0] == stage)


def _undo(dataset: Dataset, units: set[str], parts: set[Path], done: Repaired) -> set[str]:
    """The units that could not be done again as they were: clips that are in shards would go, or be of other bytes.

    What was written of them goes, all but `parts`: damage alone takes nothing out of a shard.
    """
    clips = pa.concat_tables([SHARDED.empty_table(), *_sharded(dataset)])
    with dataset.manifest() as manifest:
        manifest.put("sharded", clips)
        rows = manifest.rows(
            "select v.unit, s.video_id, count(*) as clips, any_value(coalesce(v.reason, 'other bytes')) as why "
            f"from sharded s join videos v using (video_id) left join (select * from dataset where {ready_sql(dataset.plan)} or not keep) d "
            "using (clip_id) where (d.clip_id is null or s.video_sha256 is distinct from v.sha256) and list_contains(?, v.unit) "
            "group by all order by all",
            [sorted(units)],
        )
    for row in rows:
        done.drift.append(
            f"video {row['video_id']}: its source does not give the {row['clips']} clips that are in shards any more "
            f"({row['why']}); they stay. Bring the source back and repair again, or `hdvg forget --video {row['video_id']}`"
        )
    undone = {row["unit"] for row in rows}
    for path in files(dataset.root, "parts"):
        if unit_of(path) in undone and path not in parts:
            dataset.store.remove(str(path.relative_to(dataset.root)))
    return undone


def _sharded(dataset: Dataset) -> Iterator[pa.Table]:
    """Which clips shards hold, and of which bytes they were cut; nothing of a damaged one."""
    for path in files(dataset.root, "shards"):
        with suppress(OSError, pa.ArrowException), reading(dataset.store.far, path) as file:
            yield pq.read_table(file, columns=SHARDED.names).cast(SHARDED)


def _names_there(store: Store) -> set[str]:
    """The hashes of files of media/ in the bucket, if the dataset lies in one."""
    listed = store.far.listed if store.far is not None else None
    return {Path(name).stem for name in listed or () if name.startswith("media/")}


def _mend_files(dataset: Dataset, problems: list[Problem], done: Repaired) -> None:
    """Media, shards and latents; of media the sources first, for the others are made of these, and packs last."""
    things = [one.thing for one in problems if one.thing and one.thing.sort != "table"]
    packs = packs_of(dataset) if things else {}
    rank = {"source": 0, "keyframes": 1, "clip": 2, "clips": 2}
    tried: set[str | None] = set()
    for thing in sorted(
        things, key=lambda thing: 3 if thing.sha256 in packs else rank.get(thing.what.partition(" ")[0], 4)
    ):
        if thing.sha256 in tried or thing.state(dataset.store) == "whole":
            continue  # two things have the same bytes
        if thing.sort == "media":
            tried.add(thing.sha256)
            outcome = _mended(dataset, thing, packs.get(str(thing.sha256)))
            done.mended += [outcome.mended] * bool(outcome.mended)
            done.drift += [outcome.drift] * bool(outcome.drift)
        else:
            pair = [thing.name] if thing.sort == "shard" else _unit_of_latents(thing)
            for row in files(dataset.root, "shard_rows", of=Path(thing.name).stem) if thing.sort == "shard" else []:
                dataset.store.remove(str(row.relative_to(dataset.root)))
            for name in pair:
                dataset.store.remove(name)
            done.mended.append(
                f"{thing.name}: " + ("written anew" if thing.sort == "shard" else "removed; `hdvg encode` makes it")
            )


def _mended(dataset: Dataset, thing: Thing, pack: Pack | None) -> Outcome:
    if pack is not None:
        return mend_pack(dataset, thing, pack)
    return mend_clips(dataset, thing) if thing.is_clip_pack else mend_media(dataset, thing)


def _unit_of_latents(thing: Thing) -> list[str]:
    stem = thing.name.rpartition(".")[0]
    return [f"{stem}.parquet", f"{stem}.npy"]
