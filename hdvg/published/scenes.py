"""One import, step by step: its videos become one input part, its scenes `given` files; what is repeated is rejected."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.intake import cut_units
from hdvg.dataset.layout import files, list_name, next_list
from hdvg.dataset.tombstones import Tombstones
from hdvg.ids import digest
from schemas.given import GIVEN
from schemas.inputs import INPUTS
from schemas.rejected import REJECTED


class Import:
    """One import; the connection has the views of the spill and of the dataset's inputs."""

    def __init__(
        self, dataset: Dataset, connection: duckdb.DuckDBPyConnection, name: str, of_file: dict[str, str]
    ) -> None:
        self.dataset = dataset
        self.connection = connection
        self.name = name
        self.of_file = of_file

    def leave_out_forgotten(self) -> list[str]:
        """Take videos with a tombstone out of the view `links`, which all scenes follow; returns which."""
        tombstones = Tombstones.of(self.dataset.root)
        if not tombstones.salts:
            return []
        sql = "select video_id from links union select video_id from rejected where video_id is not null order by all"
        held = _lists(self._table(sql), "video_id")[0]
        gone = [name for name in held if tombstones.hold("video", name)]
        self.connection.register("forgotten", pa.table({"video_id": pa.array(gone, pa.string())}))
        self.connection.execute("create table living as select * from links anti join forgotten using (video_id)")
        self.connection.execute("create or replace view links as from living")
        return gone

    def videos(self) -> tuple[pa.Table, int]:
        """The rows of the input part, and how many videos are new. Makes the table `units`: of each video, its unit."""
        links = self._table("select link, any_value(source) as source, any_value(video_id) as video_id, min(line) as line "
                            "from links group by link")  # fmt: skip
        ids = pa.array(
            [digest("link", link, source, 0) for link, source in zip(*_lists(links, "link", "source"), strict=True)]
        )
        self.connection.register("asked", links.append_column("link_id", ids))
        rows = self._table(
            "select a.*, k.video_id is null and row_number() over (partition by a.video_id order by line, link) = 1 as new "
            "from asked a left join (select distinct video_id from inputs where status = 'new') k using (video_id) "
            "where link_id not in (select link_id from inputs) order by a.video_id, line, link"
        )
        fresh = rows.filter(rows["new"])["video_id"].to_pylist()
        units = dict(itertools.chain.from_iterable(zip(ids, itertools.repeat(unit)) for unit, ids in cut_units(fresh)))
        made = pa.table({"video_id": list(units), "unit": list(units.values())}, schema=pa.schema(
            [INPUTS.field("video_id"), INPUTS.field("unit")]))  # fmt: skip
        self.connection.register("made", made)
        self.connection.execute(
            "create temp table units as from made union all "
            "select video_id, unit from inputs where status = 'new' and video_id in (select video_id from links)"
        )
        return self._part(rows, units), len(units)

    def _part(self, rows: pa.Table, units: dict[str, str]) -> pa.Table:
        new = rows["new"].to_pylist()
        names = rows["video_id"].to_pylist()
        others = [None if fresh else f"the same source as video {name}" for fresh, name in zip(new, names, strict=True)]
        columns = {name: rows[name] for name in ("link_id", "link", "line", "source", "video_id")}
        columns |= {
            "origin": pa.repeat(self.of_file["file"], len(rows)),
            "seq": pa.repeat(next_list(self.dataset.root), len(rows)),
            "unit": pa.array(
                [units[name] if fresh else None for fresh, name in zip(new, names, strict=True)], pa.string()
            ),
            "status": pc.if_else(rows["new"], "new", "failed"),
            "reason": pc.if_else(rows["new"], pa.scalar(None, pa.string()), "duplicate"),
            "detail": pa.array(others, pa.string()),
        }
        return pa.table([columns[field.name] for field in INPUTS], schema=INPUTS)

    def publish_inputs(self, part: pa.Table) -> None:
        """Publish the input part, if there is anything in it."""
        if len(part):
            name = list_name(next_list(self.dataset.root), digest(part["link_id"].to_pylist()))
            self.dataset.store.publish_table(name, part)

    def publish_given(self) -> tuple[pa.Table, int]:
        """Publish each unit's scenes; returns the rows of those rejected because their id is taken, and how many stood before."""
        reader = self.connection.sql(
            "select unit, s.* from scenes s join units using (video_id) order by unit, video_id, place"
        ).to_arrow_reader(1 << 16)
        refused: list[dict[str, Any]] = []
        known = 0
        for unit, table in _runs(reader):
            drop = self._repeats(table) | self._stored(unit, table)
            refused += [self._refused(table, row, why) for row, why in sorted(drop.items()) if why]
            known += sum(why is None for why in drop.values())
            if drop:
                table = table.take(pa.array([row for row in range(len(table)) if row not in drop], pa.int64()))
            if len(table):
                columns = [
                    table[field.name]
                    if field.name in table.column_names
                    else pa.repeat(self.of_file[field.name], len(table))
                    for field in GIVEN
                ]
                self.dataset.store.publish_table(
                    f"given/{unit}-{self.name}.parquet", pa.table(columns, schema=GIVEN).combine_chunks()
                )
        return pa.Table.from_pylist(refused, schema=REJECTED), known

    def _repeats(self, table: pa.Table) -> dict[int, str | None]:
        """Rows whose id stands before them in the file, and what to say of it."""
        if pc.count_distinct(table["given_id"]).as_py() == len(table):
            return {}
        first: dict[tuple[str, str], int] = {}
        drop: dict[int, str | None] = {}
        for row, (video, name, place) in enumerate(zip(*_lists(table, "video_id", "given_id", "place"), strict=True)):
            before = first.setdefault((video, name), place)
            if before != place:
                drop[row] = f"its id stands before, at scene {before}"
        return drop

    def _stored(self, unit: str, table: pa.Table) -> dict[int, str | None]:
        """Rows whose id came by another file: None if all is equal, else what to say of it."""
        others = [path for path in files(self.dataset.root, "given", unit=unit) if path.stem != f"{unit}-{self.name}"]
        compared = [name for name in GIVEN.names if name not in ("file", "place", "origin")]
        before: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
        for row in itertools.chain.from_iterable(pq.read_table(path, schema=GIVEN).to_pylist() for path in others):
            if row["origin"] == self.of_file["origin"]:
                said = f"its id stands in {row['file']}, at scene {row['place']}, with another span or text"
                before[row["video_id"], row["given_id"]] = said, {name: row[name] for name in compared}
        drop: dict[int, str | None] = {}
        for number, row in enumerate(table.select(compared).to_pylist() if before else ()):
            if found := before.get((row["video_id"], row["given_id"])):
                drop[number] = None if found[1] == row else found[0]
        return drop

    def _refused(self, table: pa.Table, row: int, why: str) -> dict[str, Any]:
        columns: dict[str, Any]
        (columns,) = table.select(["place", "at", "given_id", "video_id"]).slice(row, 1).to_pylist()
        return self.of_file | columns | {"reason": "duplicate", "detail": why}

    def _table(self, sql: str) -> pa.Table:
        return self.connection.sql(sql).to_arrow_table()


def _runs(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each unit, of batches sorted by unit."""
    pieces = (
        (run["unit"][0].as_py(), run)
        for batch in batches
        for start, end in itertools.pairwise([0, *_changes(batch["unit"]), len(batch)])
        for run in [batch.slice(start, end - start)]
        if len(run)
    )
    for unit, group in itertools.groupby(pieces, key=lambda piece: piece[0]):
        yield unit, pa.Table.from_batches([run for _, run in group]).drop_columns(["unit"])


def _changes(column: pa.Array) -> list[int]:
    """Where a value differs from the one before it."""
    differ = pc.not_equal(column.slice(1), column.slice(0, max(len(column) - 1, 0)))
    return [place + 1 for place in pc.indices_nonzero(differ).to_pylist()]


def _lists(table: pa.Table, *names: str) -> list[list[Any]]:
    return [table[name].to_pylist() for name in names]
