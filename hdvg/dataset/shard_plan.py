"""What `shards/` should hold, and what of it is to be written: nothing is asked twice of a shard that did not change."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hdvg.dataset.connection import connect
from hdvg.dataset.damage import broken, say
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import CACHE, files, names, row_content
from hdvg.dataset.manifest import Manifest, literal
from hdvg.dataset.plan import Plan
from hdvg.dataset.seals import is_sealed
from hdvg.dataset.shard_homes import SIZED, Homes, find_homes, homes_of, may_hold, shard_stamp, stamp_sql
from hdvg.dataset.stages import SHARD
from hdvg.dataset.tombstones import Tombstones
from hdvg.errors import DamagedError
from hdvg.ids import digest
from schemas import SCHEMA_VERSION
from schemas.columns import later_names
from schemas.shards import SHARDS

COLUMNS = tuple(name for name in SHARDS.names if name not in {"video", "schema_version"})
STAMPED = tuple(name for name in COLUMNS if name != "caption_copies")
"""What shapes a shard's stamp: not a count over all texts there are, which any clip anywhere changes. A shard has it as it was."""
BESIDE = ("size", "clip_pack", "clip_offset")
"""What stands beside a shard's columns in the file of its rows: what orders them, and where their bytes are."""
STAMPS = f"{CACHE}/shards.parquet"
"""Which stamp went with which content, when shards were last written; may be deleted at any time."""
SEED = b"hdvg_seed"
"""Stands in its metadata before the seed of the hashes by which videos had their homes."""
BATCH = 4096
"""Rows of an answer at a time."""


@dataclass(frozen=True)
class ShardPlan:
    """All shards that should be, by name, with the hash of what each holds; of those to be written, the file of its rows."""

    contents: dict[str, str]
    stamps: dict[str, str]
    clips: int
    rows: dict[str, Path] = field(default_factory=dict)


def ready_sql(plan: Plan) -> str:
    """SQL: whether a clip of `dataset` belongs into shards."""
    return f"keep and cut_status = 'ok' and (not {plan.captions_wanted} or caption is not null)"


def plan_shards(dataset: Dataset, scratch: Path) -> ShardPlan:
    """The plan, with the rows, without clips' bytes, of each shard to be written in a file of `scratch`.

    A shard's content is the hash of its rows. It is asked for only where no stamp vouches for the one that is known.
    """
    with dataset.manifest() as manifest:
        homes = _homes(dataset, manifest)
        stamps = {name: _stamp(dataset, stamp) for name, stamp in homes.stamps.items()}
        known, _ = _noted(dataset.root)
        contents = {name: known[name][1] for name, stamp in stamps.items() if known.get(name, ("",))[0] == stamp}
        written = _written(dataset.root)
        unknown = [name for name in stamps if name not in contents or (name, contents[name]) not in written]
        plan = ShardPlan(contents, stamps, homes.clips)
        for name, rows in _rows(dataset, manifest, homes, unknown):
            plan.contents[name] = content_of(dataset, rows)
            if (name, plan.contents[name]) not in written:
                plan.rows[name] = scratch / f"{name}.parquet"
                pq.write_table(rows, plan.rows[name])
    return plan


def _stamp(dataset: Dataset, of_rows: str) -> str:
    """The stamp of a shard: of its rows, and of how they are written."""
    settings = dataset.plan.recipe.shard
    return digest(of_rows, [settings.seed, settings.row_group_mb, SCHEMA_VERSION, STAMPED])


def _homes(dataset: Dataset, manifest: Manifest) -> Homes:
    settings = dataset.plan.recipe.shard
    return find_homes(
        manifest,
        ready=ready_sql(dataset.plan),
        columns=", ".join(STAMPED),
        split=settings.split,
        seed=settings.seed,
        most=settings.max_mb * 2**20,
    )


def _rows(dataset: Dataset, manifest: Manifest, homes: Homes, names: list[str]) -> Iterator[tuple[str, pa.Table]]:
    """(name, rows, with `BESIDE`) of these shards; one shard's rows are in memory at a time. `size` is as `SIZED` says."""
    if not names:
        return
    wanted = pa.array(names, pa.string())
    for table, held in (("of_videos", homes.of_videos), ("of_clips", homes.of_clips)):
        manifest.put(table, held.filter(pc.is_in(held["shard"], wanted)))
    order = f"md5({literal(f'{dataset.plan.recipe.shard.seed}:')} || clip_id)"
    found = manifest.batches(
        f"select coalesce(c.shard, v.shard) as shard, {', '.join((*COLUMNS, *BESIDE))} from ({SIZED} where {ready_sql(dataset.plan)}) "
        "left join of_videos v using (video_id) left join of_clips c using (clip_id) "
        f"where coalesce(c.shard, v.shard) is not null order by shard, {order}, clip_id",
        size=BATCH,
    )
    yield from _by_shard(found)


def _by_shard(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, pa.Table]]:
    """Put rows that come in the order of their shards together."""
    name, held = "", list[pa.Table]()
    for batch in batches:
        rows = pa.Table.from_batches([batch])
        for shard in pc.unique(rows["shard"]).to_pylist():
            if held and shard != name:
                yield name, pa.concat_tables(held)
                held = []
            name = shard
            held.append(rows.filter(pc.equal(rows["shard"], shard)).drop_columns("shard"))
    if held:
        yield name, pa.concat_tables(held)


def content_of(dataset: Dataset, rows: pa.Table) -> str:
    """The hash of a shard's `COLUMNS`; a later one counts only where it is not null, so that its coming changes no shard."""
    later = later_names(SHARDS)
    shown = rows.select(COLUMNS).to_pylist()
    held = [{name: value for name, value in row.items() if value is not None or name not in later} for row in shown]
    return digest(held, dataset.plan.recipe.shard.row_group_mb, SCHEMA_VERSION)


def _noted(root: Path) -> tuple[dict[str, tuple[str, str]], int | None]:
    """By shard, the stamp and the content that went together; and the seed of the homes of those shards, if it is known."""
    path = root / STAMPS
    if not path.exists() or not is_sealed(path):
        return {}, None
    with pq.ParquetFile(path) as file:
        shards, stamps, contents = (column.to_pylist() for column in file.read(["shard", "stamp", "content"]).columns)
        seed = (file.schema_arrow.metadata or {}).get(SEED)
    known = dict(zip(shards, zip(stamps, contents, strict=True), strict=True))
    return known, int(seed) if known and seed else None


def note_stamps(dataset: Dataset, plan: ShardPlan) -> None:
    """Remember which stamps vouch for which contents, once all shards are written."""
    _note(dataset, {name: (stamp, plan.contents[name]) for name, stamp in plan.stamps.items()})


def note_purged(dataset: Dataset, shard: str, content: str, rows: pa.Table) -> None:
    """Remember that this content of a shard is of these `COLUMNS`, if it is remembered of others, and not already.

    Of one that has some of a large video alone nothing can be said: then a run asks for its rows again.
    """
    noted, seed = _noted(dataset.root)
    if seed != dataset.plan.recipe.shard.seed or noted.get(shard, ("", ""))[1] == content:
        return
    with connect(dataset.root) as connection:
        connection.register("held", rows)
        asked = f"select video_id, {stamp_sql(', '.join(STAMPED))} from held group by video_id"
        stamps = dict(connection.execute(asked).fetchall())
    _note(dataset, noted | {shard: (_stamp(dataset, shard_stamp(stamps)), content)})


def _note(dataset: Dataset, noted: dict[str, tuple[str, str]]) -> None:
    seed = dataset.plan.recipe.shard.seed
    if _noted(dataset.root) != (noted, seed):
        schema = pa.schema([("shard", pa.string()), ("stamp", pa.string()), ("content", pa.string())])
        columns = [list(noted), [stamp for stamp, _ in noted.values()], [content for _, content in noted.values()]]
        stamped = schema.with_metadata({SEED: str(seed).encode()})
        dataset.store.rewrite_table(STAMPS, pa.table(columns, schema=stamped))


def holding(dataset: Dataset, videos: Collection[str]) -> list[Path]:
    """The shards that may hold any of these videos, in the folder: by their names where it is noted what they hold, else all."""
    root = dataset.root
    there = [_shard_of(name) for name in names(root, "shards")]
    known, seed = _noted(root)
    if seed is not None:
        written, homes = _written(root), homes_of(root, videos, seed)
        noted = {name for name, (_, content) in known.items() if (name, content) in written}
        there = [name for name in there if name not in noted or may_hold(name, homes)]
    found = [root / f"shards/{name}.parquet" for name in there]
    dataset.store.near(*found)
    return found


def _shard_of(name: str) -> str:
    return name.removeprefix("shards/").removesuffix(".parquet")


def _written(root: Path) -> set[tuple[str, str]]:
    """(name, content) of the shards that are there with their part row."""
    there = set(map(_shard_of, names(root, "shards")))
    rows = map(row_content, names(root, "parts", stage=SHARD))
    return {(name, content) for name, content in rows if name in there}


def held_shards(root: Path) -> dict[str, str]:
    """The shards that are there, with what each holds: as its part row says, else as its footer does."""
    rows = dict(map(row_content, names(root, "parts", stage=SHARD)))
    there = files(root, "shards")
    return {path.stem: rows[path.stem] if path.stem in rows else _of_footer(path) for path in there}


def _of_footer(path: Path) -> str:
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException):
        return "unreadable"
    return str(metadata.get(b"hdvg_content", b"").decode())


def going_shards(root: Path, planned: dict[str, str]) -> list[Path]:
    """The shards that are there and do not hold what is planned."""
    return [
        root / f"shards/{name}.parquet" for name, content in held_shards(root).items() if planned.get(name) != content
    ]


def refuse_unexplained(dataset: Dataset, going: list[Path]) -> None:
    """Raise DamagedError, before these shards go, if a table is damaged, or the dataset knows nothing of a shard's video any
    more that was not taken down: a clip goes for a reason only."""
    if not going:
        return
    dataset.store.near(*going)
    if found := broken(dataset.root):
        raise DamagedError(say(dataset.root, [str(path.relative_to(dataset.root)) for path in found], "damaged"))
    videos: set[str] = set()
    for path in going:
        with suppress(OSError, pa.ArrowException):  # a damaged shard is written anew
            videos |= set(pq.read_table(path, columns=["video_id"])["video_id"].to_pylist())
    tombstones = Tombstones.of(dataset.root)
    known = {
        name
        for path in files(dataset.root, "inputs")
        for name in pq.read_table(path, columns=["video_id"])["video_id"].to_pylist()
    }
    lost = sorted(name for name in videos - known if not tombstones.hold("video", name))
    if lost:
        raise DamagedError(
            f"{dataset.root}: shards hold {len(lost)} videos that no list of links names, the first is {lost[0]}: "
            f"a file of inputs/ is lost; nothing was changed. `hdvg verify {dataset.root}` says more"
        )
