"""Made-up clips as the table that what-if questions are asked of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa

from hdvg.config.recipe import parse_recipe
from hdvg.config.rules import parse_rules
from hdvg.dataset.plan import Plan
from hdvg.dataset.snapshot import COLUMNS, SOURCE
from schemas.measures import RULED


def told(**columns: Sequence[Any]) -> duckdb.DuckDBPyConnection:
    """A connection with one row a clip; ids are a, b, c, … if none are given, and columns that are not are null."""
    count = len(next(iter(columns.values())))
    given = {"clip_id": [chr(ord("a") + place) for place in range(count)], **columns}
    arrays = {name: pa.array(given.get(name, [None] * count), RULED.get(name, pa.string())) for name in COLUMNS}
    connection = duckdb.connect()
    connection.register("given", pa.table({**arrays, "place": pa.array(range(count), pa.int64())}))
    connection.execute(f"create table {SOURCE} as from given")
    return connection


def plan_with(keep: dict[str, str], quantiles: dict[str, float] | None = None) -> Plan:
    """A plan of which only the rules matter."""
    parse_rules(keep)
    return Plan(parse_recipe({"keep": keep}), {}, (), quantiles or {})
