"""What rows say of a clip's copies, once some of these are taken down."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from hdvg.dataset.stages import POOL, entry_of

NAMING = tuple(name for name in entry_of(POOL).clip_columns if name != "clip_id")
"""Columns that name another clip."""


def without_copies(rows: pa.Table, gone: pa.Array) -> pa.Table:
    """The rows; those that name a clip of `gone` as their copy say that they have none, until copies are looked for again."""
    names = pc.or_(*(pc.fill_null(pc.is_in(rows[column], value_set=gone), False) for column in NAMING))
    if not pc.any(names).as_py():
        return rows
    alone = {"duplicate": pa.scalar(False), "duplicate_group": rows["clip_id"]}
    for place, column in enumerate(rows.schema):
        if column.name.startswith("duplicate"):
            value = alone.get(column.name, pa.scalar(None, column.type))
            rows = rows.set_column(place, column, pc.if_else(names, value, rows[column.name]))
    return rows
