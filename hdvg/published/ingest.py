"""Take a metadata file into a dataset: its videos become one input part, its scenes `given` files, what is bad `rejected`.

Published in this order, so that the last file says that the import is whole; the same command after a kill does what is left:
`given/<unit>-<import>.parquet` for each unit, `inputs/…`, `rejected/<import>.parquet`. The import is named by the bytes of its file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hdvg.dataset.connection import connect
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import files, pattern, unit_of
from hdvg.dataset.manifest import literal, no_glob
from hdvg.dataset.parts import read_as
from hdvg.errors import UsageError
from hdvg.ids import digest, file_sha256
from hdvg.published.entries import Source
from hdvg.published.scenes import Import
from hdvg.published.sets import find_set
from hdvg.published.staging import Spill, uncollected
from schemas.given import GIVEN
from schemas.inputs import INPUTS
from schemas.rejected import REJECTED

MEMORY = "800MB"
"""DuckDB's share; what does not fit it sorts on disk."""
HOURS_MS = "coalesce(end_ms - start_ms, if(end_frame = -1, parent_end_ms - parent_start_ms, 1000 * (end_frame - start_frame) / fps))"
"""A scene's length in milliseconds, as its set gives it."""
COUNTS = f"""
select count(distinct video_id) as videos, count(distinct (video_id, parent)) as parents, count(*) as scenes,
    coalesce(sum({HOURS_MS}), 0) / 3.6e6 as hours, count(caption) as captions from {{}}
"""


@dataclass(frozen=True)
class Taken:
    """What a metadata file came to. `known` scenes stood in the dataset before, with the same span and text."""

    file: str
    videos: int = 0
    new_videos: int = 0
    parents: int = 0
    scenes: int = 0
    hours: float = 0.0
    captions: int = 0
    known: int = 0
    forgotten: int = 0
    """Videos that were taken down: nothing of them is taken."""
    rejected: dict[str, int] = field(default_factory=dict)
    before: bool = False
    """Whether the file had been imported before."""

    def plain(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self) | {"hours": round(self.hours, 3)}


def spill(folder: Path, path: Path, *, origin: str, limit: int | None, say: Callable[[int], object]) -> Spill:
    """Read a file of that set into the folder, `limit` videos of it. Raises UsageError if no scene of it can be read."""
    source, published = Source(path, say), find_set(origin)
    links: set[str] = set()
    with uncollected(), Spill(folder, origin=published.name or origin, file=path) as spilt:
        for entry in published.read(source):
            if limit is not None and str(entry.link) not in links and len(links) == limit:
                break
            if spilt.add(entry) and limit is not None:
                links.add(str(entry.link))
    if not spilt.n_scenes:
        why = f"the first of {spilt.n_entries} entries, {spilt.first_bad}" if spilt.n_entries else "it is empty"
        raise UsageError(f"{path}: no scene of {origin} in it ({why}); see `hdvg import --help` for the sets there are")
    return spilt


def take(
    dataset: Dataset,
    path: Path,
    *,
    origin: str,
    limit: int | None = None,
    say: Callable[[int], object] = lambda done: None,
) -> Taken:
    """Take the file in; under the run lock, with the run begun. `say` is called with how many bytes are read.

    Raises UsageError if the file cannot be read as one of that set.
    """
    published = find_set(origin)
    called, code = published.name or origin, [published.code] if published.code else []
    name = digest("import", called, file_sha256(path), limit, *code)[:16]
    done = dataset.root / "rejected" / f"{name}.parquet"
    if done.exists():
        return _counts(dataset, name, Taken(path.name, before=True))
    _sweep(dataset)
    with dataset.store.scratch() as folder, duckdb.connect() as connection:
        spilt = spill(folder, path, origin=origin, limit=limit, say=say)
        _connect(connection, dataset, spilt, folder)
        taken = Import(dataset, connection, name, {"origin": called, "file": path.name})
        gone = taken.leave_out_forgotten()
        part, new_videos = taken.videos()
        rejected, known = taken.publish_given()
        taken.publish_inputs(part)
        table = pa.concat_tables([pq.read_table(spilt.paths["rejected"], schema=REJECTED), rejected]).sort_by("place")
        table = table.filter(pc.invert(pc.is_in(table["video_id"], value_set=pa.array(gone, pa.string()))))
        dataset.store.publish_table(f"rejected/{name}.parquet", table)
    return _counts(dataset, name, Taken(path.name, new_videos=new_videos, known=known, forgotten=len(gone)))


def _connect(connection: duckdb.DuckDBPyConnection, dataset: Dataset, spilt: Spill, folder: Path) -> None:
    connection.execute(f"set memory_limit = '{MEMORY}'; set temp_directory = {literal(str(folder / 'sort'))}")
    patterns = {name: no_glob(path) for name, path in spilt.paths.items()}
    for name, spilled in patterns.items():
        connection.execute(f"create view {name} as from {_read_parquet(spilled)}")
    accepted = literal(f"{no_glob(str(dataset.root))}/{pattern('inputs')}")
    connection.execute(f"create view inputs as from {read_as(INPUTS, accepted)}")


def _sweep(dataset: Dataset) -> None:
    """Take away what an import that was killed, and not repeated, left of units that no input part names."""
    stray = files(dataset.root, "given")
    if stray:
        units = pq.read_table(files(dataset.root, "inputs"), columns=["unit"], schema=INPUTS)
        named = set(pc.unique(units["unit"]).to_pylist())
        for path in stray:
            if unit_of(path) not in named:
                dataset.store.remove(f"given/{path.name}")


def _counts(dataset: Dataset, name: str, taken: Taken) -> Taken:
    """What the files of an import hold."""
    rejected = pq.read_table(dataset.root / "rejected" / f"{name}.parquet", columns=["reason"])["reason"].value_counts()
    found = {"rejected": {row["values"]: row["counts"] for row in rejected.to_pylist()}}
    if files(dataset.root, "given", of=name):
        scenes = read_as(GIVEN, literal(f"{no_glob(str(dataset.root))}/{pattern('given', of=name)}"))
        with connect(dataset.root) as connection:
            counts = connection.sql(COUNTS.format(scenes))
            found |= counts.to_arrow_table().to_pylist()[0]
    return Taken(**{**asdict(taken), **found})


def _read_parquet(pattern: str) -> str:
    """SQL: the rows of files that a pattern names and that no schema describes, such as those of a scratch folder."""
    return f"read_parquet({literal(pattern)}, hive_partitioning = false, union_by_name = true)"
