"""The explorer's own copy of a dataset's clips, below cache/: their rows in the order of `draw`, so that every beginning is a
fair sample, and of each measure a code of one byte a row, to be counted without a database."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hdvg.dataset.connection import connect
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import CACHE, Sort, files
from hdvg.dataset.manifest import literal, no_glob
from hdvg.dataset.marks import NAME, NOBODY
from hdvg.dataset.snapshot import SOURCE, columns_of
from hdvg.dataset.store import Store
from hdvg.filtering.edges import EXPLORER_BINS, Axis, axes, bounds_in_force, value_sql
from hdvg.ids import digest
from schemas import SCHEMA_VERSION
from schemas.columns import doc
from schemas.measures import ALL_MEASURED

VERSION = 1
"""Raise it when the same parts come to give other rows or codes."""
MEMORY = "1GB"
"""Of DuckDB while it joins and sorts all clips; what does not fit spills."""
SERVING = "600MB"
"""Of DuckDB while it answers."""
ROW_GROUP = 32_768
BATCH = 65_536
LENGTH = np.dtype("<f8")
COARSE = 64
TEXTS = ("captioner", "clip_codec", "cut_status")
"""Columns of few values that are no measures."""
NAMES = ("phash", "watermark_box", "duplicate_of", "duplicate_group")
"""Measures whose values are names or places: nothing to count."""

SHOWN = """
c.start_s, c.end_s, c.start_pts, c.n_frames, c.opens_with, c.closes_with, c.keyframes, cuts.status as cut_status,
cuts.clip_sha256, cuts.clip_pack, cuts.clip_offset, cuts.clip_bytes, cuts.clip_codec,
t.text as caption, t.captioner, v.title, v.source, v.unit, v.sha256 as video_sha256"""
JOINS = """from measured c join videos v using (video_id) left join cuts using (video_id, clip_id)
left join caption_rows t using (video_id, clip_id) order by c.draw, c.clip_id"""

Say = Callable[[str, float], None]
"""What is being done, and the share of it that is done."""


@dataclass(frozen=True)
class Column:
    """One column that can be counted; `edges` or `values` say what its codes mean. See docs/explore-protocol.md."""

    name: str
    kind: str
    about: str
    home: str
    known: int
    least: float | None
    most: float | None
    edges: list[float]
    coarse: list[int]
    values: list[str]
    lossless: bool

    @property
    def codes(self) -> int:
        """How many there are beside 0."""
        return len(self.values) if self.kind == "text" else len(self.edges)

    def axis(self) -> Axis:
        """Its axis, of a number or a boolean."""
        least, most = (np.nan if end is None else end for end in (self.least, self.most))
        return Axis(self.name, np.array(self.edges), self.lossless, least, most)


@dataclass(frozen=True)
class Sidecar:
    """The copy as it is used: `codes` [columns, rows], mapped; `lengths_s` [rows]."""

    rows: Path
    columns: dict[str, Column]
    codes: NDArray[np.uint8]
    lengths_s: NDArray[np.float64]
    stem: str
    """Of the names of the files that hold codes and columns."""

    @property
    def texts(self) -> Path:
        """The file that hdvg/explore/texts.py makes of the rows."""
        return self.rows.with_name(self.rows.name.replace("rows", "texts")).with_suffix(".arrow")

    def first(self, rows: int) -> Sidecar:
        """Its first rows alone."""
        return replace(self, codes=self.codes[:, :rows], lengths_s=self.lengths_s[:rows])

    def codes_of(self, name: str) -> NDArray[np.uint8]:
        """[rows]."""
        found: NDArray[np.uint8] = self.codes[list(self.columns).index(name)]
        return found


def rows_name(dataset: Dataset) -> str:
    """Path, in the dataset's folder, of the rows of its present state; rules play no part in it."""
    sorts: tuple[Sort, ...] = ("inputs", "parts", "tombstones")
    parts = [f"{path.parent.name}/{path.name}" for sort in sorts for path in files(dataset.root, sort)]
    if dataset.plan.recipe.caption.takes_persons:
        parts += [path.name for path in files(dataset.root, "tables", of=NAME)]
    state = digest(
        "explore", VERSION, SHOWN, SCHEMA_VERSION, columns_of(dataset), dict(dataset.plan.fingerprints), parts
    )
    return f"{CACHE}/explore-rows-{state[:16]}.parquet"


def codes_name(dataset: Dataset, rows: str) -> str:
    """Path of the codes: their edges are the bounds in force."""
    bounds = bounds_in_force(dataset.plan.recipe.rules, dataset.plan.quantiles)
    return f"{CACHE}/explore-codes-{digest(rows, {name: sorted(some) for name, some in bounds.items()})[:16]}.u1"


def make(dataset: Dataset, store: Store, say: Say) -> Sidecar:
    """The sidecar of the dataset's present state, below the folder of `store`.

    Raises ResourceError where the folder takes no files, duckdb.Error if the views cannot be read.
    """
    rows = rows_name(dataset)
    lengths, codes = f"{rows.replace('rows', 'lengths').removesuffix('.parquet')}.f8", codes_name(dataset, rows)
    described = f"{codes.removesuffix('.u1')}.json"
    with store.aside() as beside:
        if not (store.root / rows).exists():
            say("reading all clips", 0.0)
            beside.publish(rows, lambda path: _write_rows(dataset, path))
        if not (store.root / lengths).exists():
            with opened(store.root / rows) as connection:
                beside.publish(lengths, lambda path: _write_lengths(connection, path))
        if not ((store.root / codes).exists() and (store.root / described).exists()):
            with opened(store.root / rows) as connection:
                columns = _columns(dataset, connection)
                say("counting values", 0.5)
                beside.publish(codes, lambda path: _write_codes(dataset, connection, columns, path, say=say))
                text = json.dumps([asdict(column) for column in columns])
                beside.publish(described, lambda path: path.write_text(text, encoding="utf-8"))
    return read(*(store.root / name for name in (rows, lengths, codes, described)))


def sweep(store: Store, used: Sidecar) -> None:
    """Remove the files of other states."""
    for path in sorted((store.root / CACHE).glob("explore-*-*")):
        if path.stem not in (
            used.stem,
            *(used.rows.stem.replace("rows", what) for what in ("rows", "lengths", "texts")),
        ):
            store.remove(f"{CACHE}/{path.name}")


def read(rows: Path, lengths: Path, codes: Path, described: Path) -> Sidecar:
    """The sidecar that these files hold."""
    columns = [Column(**entry) for entry in json.loads(described.read_text(encoding="utf-8"))]
    size = lengths.stat().st_size // LENGTH.itemsize
    shape = (len(columns), size)
    held = np.memmap(codes, np.uint8, "r", shape=shape) if all(shape) else np.zeros(shape, np.uint8)
    lengths_s = np.memmap(lengths, LENGTH, "r") if size else np.zeros(0, LENGTH)
    return Sidecar(rows, {column.name: column for column in columns}, held, lengths_s, codes.stem)


def opened(rows: Path, *, memory: str = MEMORY) -> duckdb.DuckDBPyConnection:
    """A connection with the rows as the table `SOURCE`, and `place`: a row's number; nobody has marked any, as it says."""
    connection = connect(rows.parent.parent)
    connection.execute(
        f"set memory_limit = '{memory}'; set enable_progress_bar = false; set parquet_metadata_cache = true"
    )
    parquet = f"read_parquet({literal(no_glob(str(rows)))}, file_row_number = true)"
    connection.execute(f"create view held as select *, file_row_number as place from {parquet}")
    connection.execute(f"create view {SOURCE} as select *, {NOBODY} from held")
    return connection


def _write_rows(dataset: Dataset, path: Path) -> None:
    columns = ", ".join(f"c.{name}" for name in columns_of(dataset))
    with dataset.manifest() as manifest:
        manifest.connection.execute(f"set temp_directory = {literal(str(path.parent / 'spill'))}")
        manifest.connection.execute(f"set memory_limit = '{MEMORY}'; set enable_progress_bar = false")
        manifest.connection.execute(
            f"copy (select {columns}, {SHOWN} {JOINS}) to {literal(str(path))} (format parquet, row_group_size {ROW_GROUP})"
        )


def _write_lengths(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Seconds of every row, to be mapped: a dataset of 10 M clips opens without a look at its rows."""
    lengths = connection.sql(f"select coalesce(duration_s, 0.0) from {SOURCE}").to_arrow_table().column(0)
    path.write_bytes(np.asarray(lengths.to_numpy(), LENGTH).tobytes())


def _columns(dataset: Dataset, connection: duckdb.DuckDBPyConnection) -> list[Column]:
    """What can be counted: numbers, booleans, and texts of few values; nothing of which no clip has a value."""
    known_columns = dataset.plan.recipe.measure.columns
    kinds = {name: kind for name, kind in known_columns.types.items() if not pa.types.is_list(kind)}
    held = [name for name in kinds if name in columns_of(dataset) and name not in NAMES]
    asked = [*held, *TEXTS]
    counts = connection.execute(f"select {', '.join(f'count({name})' for name in asked)} from {SOURCE}").fetchall()[0]
    known = {name: count for name, count in zip(asked, counts, strict=True) if count}
    bounds = bounds_in_force(dataset.plan.recipe.rules, dataset.plan.quantiles)
    about = {field.name: doc(field) for field in ALL_MEASURED}
    about |= {
        field.name: doc(field) for one in dataset.plan.recipe.measure.taken if one.is_own for field in one.fields()
    }
    numbers = [name for name in known if name in kinds and not pa.types.is_string(kinds[name])]
    made = []
    for axis in axes(connection, numbers, bounds=bounds, bins=EXPLORER_BINS, columns=known_columns):
        kind, name = kinds[axis.measure], axis.measure
        called = "boolean" if pa.types.is_boolean(kind) else "integer" if pa.types.is_integer(kind) else "number"
        ends = [None if np.isnan(end) else float(end) for end in (axis.least, axis.most)]
        edges = axis.edges.tolist()
        made.append(
            Column(name, called, about[name], known_columns.homes[name], known[name], ends[0], ends[1], edges, _coarse(edges), [], axis.lossless)
        )  # fmt: skip
    for name in known.keys() - set(numbers):
        values = _values(connection, name)
        if values is not None:
            home = known_columns.homes.get(name, "")
            made.append(
                Column(
                    name, "text", about.get(name, ""), home, known[name], None, None, [], _coarse(values), values, True
                )
            )
    order = {name: place for place, name in enumerate(asked)}
    return sorted(made, key=lambda column: order[column.name])


def _values(connection: duckdb.DuckDBPyConnection, name: str) -> list[str] | None:
    """The values of a column of texts, the most frequent first; None if there are too many."""
    sql = f"select {name}, count(*) as n from {SOURCE} where {name} is not null group by 1 order by n desc, 1 limit {EXPLORER_BINS + 1}"
    values = [row[0] for row in connection.execute(sql).fetchall()]
    return values if len(values) <= EXPLORER_BINS else None


def _coarse(fine: list[Any]) -> list[int]:
    """At most `COARSE` indices, rising, the first 0."""
    return sorted({round(place) for place in np.linspace(0, len(fine) - 1, min(len(fine), COARSE))}) if fine else []


def _write_codes(
    dataset: Dataset, connection: duckdb.DuckDBPyConnection, columns: list[Column], path: Path, *, say: Say
) -> None:
    """The codes of every row, a column behind the other, written a batch at a time: nothing of them stays in memory."""
    known = dataset.plan.recipe.measure.columns
    total = connection.execute(f"select count(*) from {SOURCE}").fetchall()[0][0]
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.ftruncate(handle, total * len(columns))
        for first, batch in _batches(connection, columns, known):
            for number, column in enumerate(columns):
                os.pwrite(handle, _coded(column, batch.column(number)), number * total + first)
            say("counting values", 0.5 + 0.5 * (first + batch.num_rows) / max(total, 1))
    finally:
        os.close(handle)


def _batches(
    connection: duckdb.DuckDBPyConnection, columns: list[Column], known: Any
) -> Iterator[tuple[int, pa.RecordBatch]]:
    asked = [column.name if column.kind == "text" else value_sql(column.name, known) for column in columns]
    first = 0
    if not asked:
        return
    for batch in connection.sql(f"select {', '.join(asked)} from {SOURCE}").to_arrow_reader(BATCH):
        yield first, batch
        first += batch.num_rows


def _coded(column: Column, values: pa.Array) -> bytes:
    if column.kind == "text":
        places = pc.index_in(values, value_set=pa.array(column.values, pa.string()))
        found = pc.fill_null(places, -1).to_numpy(zero_copy_only=False) + 1
        return bytes(found.astype(np.uint8))
    return bytes(column.axis().codes(values).astype(np.uint8))
