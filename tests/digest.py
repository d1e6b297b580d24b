"""What must be equal in two equal runs: all rows but their volatile columns, clip bytes and shard contents."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from hdvg.dataset.clip_files import HELD, find_clip_file
from hdvg.dataset.dataset import Dataset
from schemas.outcomes import OUTCOME
from schemas.videos import FETCHED

VOLATILE = {field.name for field in [*OUTCOME, *FETCHED] if b"volatile" in (field.metadata or {})} | {
    "split_generation"
}
TABLES = ("videos", "clips", "measures", "verdicts", "captions", "failures", "shards", "dataset", "pending")


def contents(root: Path) -> dict[str, Any]:
    """The comparable contents of the dataset at `root`, table by table, and of its shards, file by file."""
    dataset = Dataset.open(root)
    found: dict[str, Any] = {}
    with dataset.manifest() as manifest:
        for table in TABLES:
            rows = [
                {k: v for k, v in row.items() if k not in VOLATILE} for row in manifest.rows(f"select * from {table}")
            ]
            found[table] = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
        for row in manifest.rows(f"select {', '.join(HELD)} from clips where cut_status = 'ok'"):
            held = find_clip_file(dataset.store, row)
            found[row["clip_sha256"]] = None if held is None else hashlib.sha256(held.read()).hexdigest()
    for path in sorted((root / "shards").glob("*.parquet")):
        found[path.name] = hashlib.sha256(str(pq.read_table(path).to_pylist()).encode()).hexdigest()
    return found


def files(root: Path) -> dict[str, Any]:
    """Every file of a dataset by its name: rows without volatile columns for inputs and parts, else the bytes' hash."""
    found: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if not path.is_file() or name == "run.lock" or name.startswith("tmp/"):
            continue
        if name.startswith(("inputs/", "parts/")):
            table = pq.read_table(path)
            found[name] = table.drop_columns(
                [column for column in table.column_names if column in VOLATILE]
            ).to_pylist()
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
