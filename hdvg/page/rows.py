"""The clips' numbers as a report holds them: codes of bins in byte planes, so that a page counts exactly and stays small."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hdvg.config.rules import Columns, Quantiles, Rule
from hdvg.dataset.snapshot import SOURCE
from hdvg.filtering.edges import Axis, axes, bounds_in_force, value_sql
from hdvg.filtering.whatif import Judge

ROWS_MOST = 200_000
"""Clips of which a page holds every number; of a larger dataset it holds those that come first by `draw`."""

LEVEL = 7
"""Of zlib: 9 takes three times as long for 1 % less."""

HELD = "report_clips"
"""The table of the clips that the page holds: `place`, as in `SOURCE`, and `n`, their number here."""


@dataclass(frozen=True)
class Held:
    """Which clips a page holds the numbers of: `rows` of `clips`; `ms` are their durations."""

    rows: int
    clips: int
    ms: NDArray[np.uint32]

    @property
    def is_sample(self) -> bool:
        """Whether some are left out."""
        return self.rows < self.clips


@dataclass(frozen=True)
class Measure:
    """A measure on its axis: how many clips of the dataset have each code, the first without a value, and the held clips'
    codes, None where the page is to do without them."""

    axis: Axis
    counts: NDArray[np.int64]
    codes: NDArray[np.uint16] | None
    is_boolean: bool

    @property
    def known(self) -> int:
        """Clips with a value."""
        return int(self.counts[1:].sum())


def hold(connection: duckdb.DuckDBPyConnection) -> Held:
    """Fill the table `HELD`, in the order of videos."""
    (clips,) = connection.execute(f"select count(*) from {SOURCE}").fetchall()[0]
    chosen = f"select place from {SOURCE}" + (f" order by draw, place limit {ROWS_MOST}" if clips > ROWS_MOST else "")
    connection.execute(
        f"create or replace temp table {HELD} as select place, row_number() over (order by place) - 1 as n from ({chosen})"
    )
    ms = _held(connection, "round(1000 * coalesce(duration_s, 0))::uinteger").to_numpy().astype(np.uint32)
    return Held(len(ms), int(clips), ms)


def bounded(columns: Columns) -> list[str]:
    """The measures that get an axis: numbers and booleans."""
    return [name for name, kind in columns.types.items() if columns.is_number(name) or pa.types.is_boolean(kind)]


def measured(
    connection: duckdb.DuckDBPyConnection,
    names: Sequence[str],
    judge: Judge,
    *,
    held: Held,
    columns: Columns,
    bins: int,
) -> list[Measure]:
    """The measures on their axes; those that no clip has are left out. After `hold`."""
    bounds = bounds_in_force(judge.rules, judge.quantiles)
    made = []
    for axis in axes(connection, names, bounds=bounds, bins=bins, columns=columns):
        if len(axis.edges):
            value = value_sql(axis.measure, columns)
            codes = axis.codes(_held(connection, value))
            counts = np.bincount(codes, minlength=len(axis.edges) + 1)
            if held.is_sample:
                counts = _counts(connection, axis, value)
            made.append(Measure(axis, counts, codes, is_boolean=not columns.is_number(axis.measure)))
    return made


def passes(connection: duckdb.DuckDBPyConnection, rule: Rule, quantiles: Quantiles) -> NDArray[np.bool_]:
    """Which of the held clips pass a rule."""
    found = _held(connection, f"coalesce({rule.sql(quantiles)}, false)")
    return np.asarray(found.to_numpy(zero_copy_only=False), bool)


def packed(values: NDArray[Any]) -> str:
    """Whole numbers as text: their bytes, plane by plane, the lowest first and those above that are all 0 left out;
    zlib, base64."""
    planes = values.astype(values.dtype.newbyteorder("<")).view(np.uint8).reshape(len(values), values.itemsize).T
    used = max((number for number, plane in enumerate(planes, 1) if plane.any()), default=1)
    return base64.b64encode(zlib.compress(planes[:used].tobytes(), LEVEL)).decode()


def doubles(values: NDArray[np.float64]) -> str:
    """Doubles as text: little-endian, base64."""
    return base64.b64encode(values.astype("<f8").tobytes()).decode()


def _held(connection: duckdb.DuckDBPyConnection, value: str) -> pa.ChunkedArray:
    """A column of the held clips, in their order."""
    found: pa.Table = connection.sql(
        f"select value from (select {value} as value, place from {SOURCE}) join {HELD} using (place) order by n"
    ).to_arrow_table()
    return found.column(0)


def _counts(connection: duckdb.DuckDBPyConnection, axis: Axis, value: str) -> NDArray[np.int64]:
    """Of all clips of the dataset, batch by batch."""
    counts = np.zeros(len(axis.edges) + 1, np.int64)
    for batch in connection.sql(f"select {value} as value from {SOURCE}").to_arrow_reader(1_000_000):
        counts += np.bincount(axis.codes(batch.column(0)), minlength=len(counts))
    return counts
