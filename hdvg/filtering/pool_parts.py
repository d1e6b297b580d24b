"""The pool's parts: one for each unit, and an index that says which of them count together.

A unit's part holds the rows of its clips; one whose rows stay as they were is not written again. The index comes last, under
the unit `all`: until it is there, the parts that the index before it names are the pool.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import EVERYTHING, SEED, files, newest_generation, part_name, unit_of
from hdvg.dataset.manifest import Manifest
from hdvg.dataset.stages import part_schema
from hdvg.ids import digest
from schemas.measures import POOL


def publish(dataset: Dataset, manifest: Manifest, results: pa.Table, content: str) -> None:
    """Write the newest word on the pool: `results` has a row a clip, with its `unit`.

    The index before stays until the next, with its parts, for those who read them now; older ones go.
    """
    store, fingerprint = dataset.store, dataset.plan.fingerprints[POOL]
    held = files(dataset.root, "parts", stage=POOL, fingerprint=fingerprint)
    generation = newest_generation(held) + 1
    there = {
        _unit_and_rows(part): part
        for (part,) in manifest.fetch("select distinct part from pooled where part is not null")
    }
    named = []
    for unit, rows in _by_unit(results):
        content_of_rows = digest("pool", rows.to_pylist())[:16]
        part = there.get((unit, content_of_rows))
        if part is None:
            part = f"{unit}-{generation}-{content_of_rows}"
            table = _table(rows, generation, part=pa.repeat(part, len(rows)))
            store.publish_table(part_name(POOL, unit, fingerprint, generation), table)
        named.append(part)
    index = pa.table({"part": pa.array([None, *named], pa.string())})
    contents = pa.repeat(content, len(index))
    store.publish_table(
        part_name(POOL, EVERYTHING, fingerprint, generation), _table(index, generation, content=contents)
    )
    before = [path for path in held if unit_of(path) == EVERYTHING]
    last = max(before, key=lambda path: newest_generation([path]), default=None)
    parts = {*named, *(pq.read_table(last, schema=part_schema(POOL))["part"].to_pylist() if last else [])} - {None}
    kept = {part_name(POOL, unit, fingerprint, int(number)) for unit, number, _ in map(_fields, parts)}
    for path in held:
        name = f"parts/{POOL}/{path.name}"
        if path != last and name not in kept and SEED not in path.stem.split("-"):
            store.remove(name)


def _by_unit(results: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each unit, in the order of clip_id."""
    results = results.sort_by([("unit", "ascending"), ("clip_id", "ascending")])
    start = 0
    for count in pc.value_counts(results["unit"].combine_chunks()).to_pylist():
        yield count["values"], results.slice(start, count["counts"]).drop_columns(["unit"])
        start += count["counts"]


def _table(rows: pa.Table, generation: int, **columns: pa.Array) -> pa.Table:
    """The rows as a part has them, with these columns."""
    schema = part_schema(POOL)
    columns |= {name: rows[name] for name in rows.column_names}
    columns |= {"status": pa.repeat("ok", len(rows)), "generation": pa.repeat(generation, len(rows))}
    nothing = {field.name: pa.nulls(len(rows), field.type) for field in schema}
    return pa.table(nothing | columns, schema=schema)


def _fields(part: str) -> list[str]:
    """The unit, the generation and the hash of the rows of a part."""
    return part.split("-")


def _unit_and_rows(part: str) -> tuple[str, str]:
    unit, _, content_of_rows = _fields(part)
    return unit, content_of_rows
