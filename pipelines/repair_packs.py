"""Bring back packs with more than keyframes: what is whole of one is kept, each other section is made by taking its measure again."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from pathlib import Path

import pyarrow.parquet as pq

from hdvg.config.own_measures import Taken
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.inventory import Thing
from hdvg.dataset.layout import part_name
from hdvg.dataset.packs import FIRST, KEYFRAMES, Section, add_sections, join_sections, whole_sections
from hdvg.dataset.stages import ASSESS, REMEASURE, SPLIT
from hdvg.errors import DamagedError, HdvgError, ItemError, first_line, resource_error
from hdvg.ids import file_sha256
from pipelines.measures_alone import Added, Own, sections_of, values_and_sections
from pipelines.perform import Job, commit
from pipelines.repair_media import Outcome, item_work, keyframes, put_back, set_aside, unit_of_video
from pipelines.work import Row

Held = Mapping[Section, bytes | None]
"""What of a pack is whole, in its order; None where it is not."""


class NotMadeError(Exception):
    """A pack cannot be made again; the text says why."""


@dataclass(frozen=True)
class Step:
    """A pack that was made of the one before it: by measures of these clips, in their order, or (`drops`) without theirs."""

    stage: str
    pack: str
    clips: list[str]
    marks: list[str]
    drops: bool


@dataclass(frozen=True)
class Pack:
    """The pack that stands for a split's own keyframes, `replaces`, as the newest row says."""

    video_id: str
    replaces: str
    number: int


def packs_of(dataset: Dataset, *, unit: str | None = None) -> dict[str, Pack]:
    """By hash, the packs that hold more than keyframes."""
    with dataset.manifest(unit=unit) as manifest:
        rows = manifest.rows(
            "select video_id, replaces, pack, pack_number from packs where pack <> replaces order by all"
        )
    return {row["pack"]: Pack(row["video_id"], row["replaces"], row["pack_number"] or 0) for row in rows}


def mend_pack(dataset: Dataset, thing: Thing, pack: Pack) -> Outcome:
    """Make a pack again. One that comes out with other bytes keeps what was whole of it, and the measures of the rest are
    pending again."""
    store = dataset.store
    aside = set_aside(store, thing)
    held = whole_sections(aside) if aside is not None else {}
    try:
        steps = _steps(dataset, pack)
        with store.scratch() as scratch:
            for number, some in enumerate([held, {}] if held else [{}]):
                folder = scratch / str(number)
                folder.mkdir()
                made = _made(dataset, pack, steps, some, folder)
                if file_sha256(made) == thing.sha256:
                    store.put_media(made, "zip")
                    store.remove_media(pack.replaces)
                    return Outcome(f"{thing.name}: {thing.what}, made again with the same bytes")
        lost = _take_again(dataset, pack, steps, held)
    except (NotMadeError, ItemError, DamagedError) as error:
        put_back(store, thing, aside)
        return Outcome(drift=f"{thing.what}: {first_line(error)}"[:300])
    return Outcome(drift=f"{thing.what}: {lost}")


def bring_keyframes(dataset: Dataset, unit: str) -> None:
    """Bring the splits' own keyframes of a unit back, of which a part of measures is lost: packs took their place that no row
    names any more. A pack that older rows name is gone too; what these say was in it is pending then. Raises NotMadeError.
    """
    for name, pack in packs_of(dataset, unit=unit).items():
        if dataset.store.find_media(name) is None:
            _take_again(dataset, pack, _steps(dataset, pack), {})
    with dataset.manifest(unit=unit) as manifest:
        rows = manifest.rows("select distinct video_id, keyframes from clips where keyframes is not null order by all")
    for row in rows:
        if dataset.store.find_media(row["keyframes"]) is None:
            _split_again(dataset, row["video_id"])


def _split_again(dataset: Dataset, video: str) -> str:
    """The hash of a video's keyframes, which are made once more."""
    work = item_work(dataset, SPLIT, [video])
    rows = [row for item in work.items for row in work.guarded(functools.partial(keyframes, work), item)]
    failed = next((row for row in rows if row.get("status", "ok") != "ok" and row.get("clip_id") is None), None)
    if failed is not None:
        raise NotMadeError(f"{failed['reason']}: {failed['detail']}")
    return next((row["keyframes"] for row in rows if row.get("keyframes")), "")


def _steps(dataset: Dataset, pack: Pack) -> list[Step]:
    """How the pack came about, pack by pack, as the parts say it."""
    union = " union all by name ".join(
        f"select '{stage}' as stage, clip_id, generation, status, measure_versions, pack, coalesce(pack_number, 0) as number "
        f"from {stage}_rows where video_id = ? and replaces = ? and pack is not null"
        for stage in (REMEASURE, ASSESS)
    )
    with dataset.manifest() as manifest:
        rows = manifest.rows(union, [pack.video_id, pack.replaces] * 2)
    places = _places(
        dataset, unit_of_video(dataset, pack.video_id), {(row["stage"], row["generation"]) for row in rows}
    )
    rows.sort(key=lambda row: (row["number"], row["stage"] == ASSESS, row["generation"], places[_key(row)]))
    groups = [
        (stage, name, list(some)) for (stage, name), some in groupby(rows, lambda row: (row["stage"], row["pack"]))
    ]
    return [
        Step(stage, name, [row["clip_id"] for row in some], _marks(some), some[0]["status"] != "ok")
        for stage, name, some in groups
    ]


def _marks(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(mark for row in rows for mark in row["measure_versions"].split()))


def _key(row: Row) -> tuple[str, int, str]:
    return row["stage"], row["generation"], row["clip_id"]


def _places(dataset: Dataset, unit: str, parts: set[tuple[str, int]]) -> dict[tuple[str, int, str], int]:
    """Where rows stand in their parts: in the order in which the clips were measured."""
    places: dict[tuple[str, int, str], int] = {}
    for stage, generation in parts:
        name = part_name(stage, unit, dataset.plan.fingerprints[stage], generation)
        clips = pq.read_table(dataset.root / name, columns=["clip_id"])["clip_id"].to_pylist()
        places |= {(stage, generation, clip): place for place, clip in enumerate(clips)}
    return places


def _made(dataset: Dataset, pack: Pack, steps: Sequence[Step], held: Held, scratch: Path) -> Path:
    """The pack made again, of what is whole and of what is taken again."""
    own = Own(dataset.recipe)
    taken = {one.mark: one for one in own.taken.values()}
    now = base = _keyframes(dataset, pack, held, scratch)
    for number, step in enumerate(steps):
        new = scratch / f"pack-{number}"
        known = [taken[mark] for mark in step.marks if mark in taken]
        if step.drops:
            dropped = {section for one in known for section in sections_of(one)}
            now = base if step.pack == pack.replaces else _without(now, dropped, new)
        elif lacks := [one for one in known if any(held.get(section) is None for section in sections_of(one))]:
            add_sections(now, _taken(dataset, pack, step, lacks, own), new)
            now = new
    if not held:
        return now
    made = {(KEYFRAMES, FIRST): base.read_bytes(), **whole_sections(now)}
    joined = {section: content or made.get(section) for section, content in held.items()}
    return _joined(joined, scratch / "pack")


def _keyframes(dataset: Dataset, pack: Pack, held: Held, scratch: Path) -> Path:
    """The split's own keyframes, in media/: as the pack holds them, or of a split."""
    content, store = held.get((KEYFRAMES, FIRST)), dataset.store
    if content is not None and sha256(content).hexdigest() == pack.replaces:
        (scratch / "keyframes").write_bytes(content)
        store.put_media(scratch / "keyframes", "parquet")
    elif store.find_media(pack.replaces) is None and _split_again(dataset, pack.video_id) != pack.replaces:
        raise NotMadeError("its keyframes have other bytes than they had; `hdvg explain` names its clips")
    found = store.find_media(pack.replaces)
    assert found is not None
    return found


def _taken(dataset: Dataset, pack: Pack, step: Step, lacks: Sequence[Taken], own: Own) -> Added:
    """The sections of a step's clips. Raises NotMadeError; ResourceError if the machine is at fault."""
    try:
        work = item_work(dataset, step.stage, step.clips, model=own)
        if len(work.items) != len(step.clips):
            raise NotMadeError("clips that it holds are not in the dataset any more")
        with dataset.store.scratch() as folder:
            items = [item | {"keyframes": pack.replaces} for item in work.items]
            return values_and_sections(work, items, lacks, folder)[1]
    except (NotMadeError, HdvgError):
        raise
    except Exception as error:  # of code of the user's own
        if machine := resource_error(error, where=dataset.root):
            raise machine from error
        raise NotMadeError(f"{', '.join(one.name for one in lacks)}: {first_line(error)}") from error


def _without(pack: Path, dropped: set[Section], new: Path) -> Path:
    return _joined(
        {section: content for section, content in whole_sections(pack).items() if section not in dropped}, new
    )


def _joined(held: Held, new: Path) -> Path:
    join_sections({section: content for section, content in held.items() if content is not None}, new)
    return new


def _take_again(dataset: Dataset, pack: Pack, steps: Sequence[Step], held: Held) -> str:
    """Publish what is whole as the video's pack, and rows by which the measures of the rest are pending; what was lost."""
    taken = {one.mark: one for one in dataset.recipe.measure.taken}
    lost = [mark for step in steps for mark in step.marks if _is_lost(mark, taken.get(mark), held)]
    store, name = dataset.store, pack.replaces
    with store.scratch() as scratch:
        whole = {**held, (KEYFRAMES, FIRST): _keyframes(dataset, pack, held, scratch).read_bytes()}
        if any(content is not None for section, content in held.items() if section[0] != KEYFRAMES):
            name = store.put_media(_joined(whole, scratch / "pack"), "zip")
            store.remove_media(pack.replaces)
    same: Row = {"video_id": pack.video_id, "status": "retry", "reason": "lost_pack", "attempt": 0}
    same |= {"pack": name, "replaces": pack.replaces, "pack_number": pack.number + 1}
    unit = unit_of_video(dataset, pack.video_id)
    for stage in dict.fromkeys(step.stage for step in steps):
        marks: dict[str, list[str]] = {}
        for step in (step for step in steps if step.stage == stage):
            for clip in step.clips:
                marks.setdefault(clip, []).extend(mark for mark in step.marks if mark in lost)
        rows = [
            same | {"clip_id": clip, "measure_versions": " ".join(dict.fromkeys(some))} for clip, some in marks.items()
        ]
        commit(dataset, Job(dataset.root, store.run, stage, unit), [], rows)
    said = ", ".join(dict.fromkeys(lost)) or "nothing"
    return f"made again it has other bytes; `hdvg measure` takes {said} of it again"


def _is_lost(mark: str, one: Taken | None, held: Held) -> bool:
    """Whether a section of the measure with this mark is not whole; `one`: the measure, if the recipe still takes it."""
    if one is not None:
        return any(held.get(section) is None for section in sections_of(one))
    known = {section: content for section, content in held.items() if section[0] != KEYFRAMES}
    return not held or any(
        content is None for section, content in known.items() if section[1] == mark.partition("=")[2]
    )
