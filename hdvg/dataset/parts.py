"""Read the Parquet files of a dataset by the columns of today's schema, whichever version of hdvg wrote them."""

from __future__ import annotations

import pyarrow as pa

from hdvg.dataset.stages import part_schema
from schemas.columns import sql_type


def read_parts(stage: str, files: str) -> str:
    """SQL: the rows of a stage's parts; `files` is the literal of a pattern, or of a list of paths."""
    return read_as(part_schema(stage), files)


def read_as(schema: pa.Schema, files: str, *, also: str = "") -> str:
    """SQL: the rows of Parquet files with exactly the schema's columns: null where a file lacks one, others are left out.

    No file's footer is read to learn its columns. `also`: further arguments of DuckDB's `read_parquet`.
    """
    columns = ", ".join(f'{field.name}={{name: {field.name}, type: "{sql_type(field.type)}"}}' for field in schema)
    types = "map(varchar, struct(name varchar, type varchar, default_value varchar))"
    return f"read_parquet({files}, hive_partitioning = false, schema = '{{{columns}}}'::{types}{also})"


def no_rows(schema: pa.Schema) -> str:
    """SQL: the schema's columns, of no row: for a folder without files, which DuckDB would not read."""
    return f"(select {nulls(schema)} where false)"


def nulls(fields: pa.Schema | list[pa.Field]) -> str:
    """SQL: a null of its type for each column."""
    return ", ".join(f"null::{sql_type(field.type)} as {field.name}" for field in fields)
