"""How a column is written down: its type, its sentence, whether two equal runs may differ in it, and whether it came later."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from schemas import SCHEMA_VERSION


def column(name: str, kind: pa.DataType, doc: str, *, volatile: bool = False, later: bool = False) -> pa.Field:
    """A documented column. A *volatile* one (a time, a count of tries) may differ between two equal runs.

    A *later* one was added after the first release: datasets lack it that were written before (docs/layout.md).
    """
    marks = {"volatile": volatile, "later": later}
    return pa.field(name, kind, metadata={"doc": doc} | {mark: "yes" for mark, is_set in marks.items() if is_set})


def table(*groups: Iterable[pa.Field]) -> pa.Schema:
    """A schema of the groups' columns, in order, each name once."""
    fields: dict[str, pa.Field] = {}
    for group in groups:
        for field in group:
            fields.setdefault(field.name, field)
    return pa.schema(list(fields.values()), metadata={"hdvg_schema_version": str(SCHEMA_VERSION)})


def doc(field: pa.Field) -> str:
    """The sentence of a column."""
    return str((field.metadata or {}).get(b"doc", b"").decode())


def stable_names(schema: pa.Schema) -> list[str]:
    """The columns in which two equal runs agree."""
    return [field.name for field in schema if b"volatile" not in (field.metadata or {})]


def is_later(field: pa.Field) -> bool:
    """Whether datasets of the first release lack the column."""
    return b"later" in (field.metadata or {})


def later_names(schema: pa.Schema) -> set[str]:
    """The columns that datasets of the first release lack."""
    return {field.name for field in schema if is_later(field)}


STR, INT, REAL, BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()

SQL_TYPES = {
    STR: "VARCHAR",
    INT: "BIGINT",
    REAL: "DOUBLE",
    BOOL: "BOOLEAN",
    pa.binary(): "BLOB",
    pa.float32(): "FLOAT",
    pa.uint64(): "UBIGINT",
}
"""DuckDB's names of the types that columns and their parts have."""


def sql_type(kind: pa.DataType) -> str:
    """DuckDB's name of a column's type."""
    if pa.types.is_list(kind):
        return f"{sql_type(kind.value_type)}[]"
    if pa.types.is_map(kind):
        return f"MAP({sql_type(kind.key_type)}, {sql_type(kind.item_type)})"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{field.name} {sql_type(field.type)}' for field in kind)})"
    return SQL_TYPES[kind]
