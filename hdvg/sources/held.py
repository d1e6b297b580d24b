"""Videos that a Parquet file holds in its cells: how such a source is written, and how its bytes are taken out."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hdvg.errors import ItemError

BYTES = "bytes"
"""The field of a struct as `datasets` writes videos: `bytes` and `path`."""
HELD = re.compile(r"(file:///[^#]*)#row=(\d+)&column=(.+)", re.ASCII)


def video_column(schema: Any, names: Sequence[str]) -> str | None:
    """The first of these columns whose type can hold a file, if no other one is text."""
    import pyarrow.types as types

    for name in names:
        kind = schema.field(name).type
        if types.is_binary(kind) or types.is_large_binary(kind):
            return name
        if types.is_struct(kind) and {field.name for field in kind} >= {BYTES}:
            return name
        if types.is_string(kind) or types.is_large_string(kind):
            return None
    return None


def held_source(path: Path, column: str, row: int) -> str:
    """The canonical source of a video that is the cell of that row, from 1."""
    return f"{path.resolve().as_uri()}#row={row}&column={urllib.parse.quote(column, safe='')}"


def take_out(source: str, target: Path) -> Path | None:
    """Write the bytes that such a source means to `target`; the list's path, or None if the source is a file of its own.

    Raises ItemError gone if the list holds them no longer, OSError.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from hdvg.sources.canonical import local_path

    found = HELD.fullmatch(source)
    if found is None:
        return None
    path, row, column = local_path(found[1]), int(found[2]) - 1, urllib.parse.unquote(found[3])
    try:
        with pq.ParquetFile(path) as file:
            cell = _cell(file, column, row)
    except (pa.ArrowException, KeyError) as error:
        raise ItemError("gone", f"{path}: {error}") from error
    content = cell.get(BYTES) if isinstance(cell, dict) else cell
    if not isinstance(content, bytes):
        raise ItemError("gone", f"{path}: no bytes in row {row + 1} of `{column}`")
    target.write_bytes(content)
    return path


def _cell(file: Any, column: str, row: int) -> Any:
    """One value, found by reading its row group in small steps: what lies before it is read, but never held together."""
    for group in range(file.metadata.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        if row < count:
            for batch in file.iter_batches(8, row_groups=[group], columns=[column]):
                if row < len(batch):
                    return batch[0][row].as_py()
                row -= len(batch)
        row -= count
    return None
