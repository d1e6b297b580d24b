"""The pool's parts: one for each unit, and an index that says which of them count together.

A unit's part holds the rows of its clips and is named by them: one whose rows stay as they were is not written again. The index
comes last, under the unit `all`: until it is there, the parts that the index before it names are the pool.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import EVERYTHING, SEED, files, newest_generation, part_name, pool_part_name, unit_of
from hdvg.dataset.stages import part_schema
from hdvg.ids import digest
from schemas.measures import POOL


def publish(dataset: Dataset, results: pa.Table, content: str) -> None:
    """Write the newest word on the pool: `results` has a row a clip, with its `unit`.

    The index before stays until the next, with its parts, for those who read them now; older ones go.
    """
    store, fingerprint = dataset.store, dataset.plan.fingerprints[POOL]
    indexes = files(dataset.root, "parts", stage=POOL, unit=EVERYTHING, fingerprint=fingerprint)
    before = max(indexes, key=lambda path: newest_generation([path]), default=None)
    generation = newest_generation(indexes) + 1
    named = {_part(unit, rows): rows for unit, rows in _by_unit(results)}
    for part, rows in named.items():
        name = _name(part, fingerprint)
        if not (dataset.root / name).exists():
            store.publish_table(name, _table(rows, generation, part=pa.repeat(part, len(rows))))
    index = pa.table({"part": pa.array([None, *named], pa.string())})
    name = part_name(POOL, EVERYTHING, fingerprint, generation)
    store.publish_table(name, _table(index, generation, content=pa.repeat(content, len(index))))
    _clean(dataset, fingerprint, indexes={name, *([f"parts/{POOL}/{before.name}"] if before else [])})


def _clean(dataset: Dataset, fingerprint: str, *, indexes: set[str]) -> None:
    """Remove the indexes that are not among these, and the parts that none of these names."""
    kept = set(indexes)
    for name in indexes:
        parts = pq.read_table(dataset.root / name, schema=part_schema(POOL))["part"].drop_null().to_pylist()
        kept |= {_name(part, fingerprint) for part in parts}
    for path in files(dataset.root, "parts", stage=POOL, fingerprint=fingerprint):
        name = f"parts/{POOL}/{path.name}"
        if name not in kept and unit_of(path) != SEED:
            dataset.store.remove(name)


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


def _part(unit: str, rows: pa.Table) -> str:
    return f"{unit}-{digest('pool', rows.to_pylist())[:16]}"


def _name(part: str, fingerprint: str) -> str:
    unit, _, content = part.partition("-")
    return pool_part_name(unit, fingerprint, content)
