"""Bins of measures whose edges are thresholds: a count by bins is exact for every bound that stands on an edge.

Values are in DuckDB's order: NaN is greater than all others and equal to itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hdvg.config.rules import BUILT_IN, Bound, Columns, Quantiles, Rule, taken
from hdvg.dataset.snapshot import SOURCE
from schemas.measures import SPLIT

Floats = NDArray[np.float64]

REPORT_BINS = 1021
"""Codes of 10 bits, with some to spare."""
EXPLORER_BINS = 255
"""Codes of 8 bits."""

SAMPLE = 1_000_000
"""Clips that quantiles are taken over: the first in the order of ids, which are hashes."""

ROUND = 8
"""One of so many bins is for round numbers."""


@dataclass(frozen=True)
class Axis:
    """How the values of a measure become codes: 0 for no value, k for one with `edges[k - 1] <= value < edges[k]`.

    `edges` ascend; those above the last are its bin's too, NaN above all. `lossless`: each bin holds one value, its edge, so
    every bound can be judged by codes. Otherwise the first bin holds -inf alone, the second begins with `least`, and the last
    holds inf and NaN alone. `least` and `most` are the ends of the finite values, NaN where there are none.
    """

    measure: str
    edges: Floats
    lossless: bool
    least: float
    most: float

    def codes(self, values: pa.Array | pa.ChunkedArray) -> NDArray[np.uint16]:
        """The codes of a column of doubles."""
        known = pc.is_valid(values).to_numpy(zero_copy_only=False)
        numbers = pc.fill_null(values, 0.0).to_numpy(zero_copy_only=False)
        return np.where(known, np.searchsorted(self.edges, numbers, side="right"), 0).astype(np.uint16)

    def cut(self, value: float, *, above: bool) -> int | None:
        """How many bins lie below `>= value`, or with `above` below `> value`; None where it divides a bin."""
        edge = np.nextafter(value, np.inf) if above else np.float64(value)
        if self.lossless:
            return int(np.searchsorted(self.edges, edge))
        edge = np.clip(edge, self.least, np.nextafter(self.most, np.inf))
        place = int(np.searchsorted(self.edges, edge))
        return place if self.edges[place] == edge else None

    def passing(self, low: Bound | None, high: Bound | None, quantiles: Quantiles) -> tuple[int, int] | None:
        """The first and the last code that pass a range; None where a bound divides a bin or is not known yet."""
        cuts: list[int | None] = [0, len(self.edges)]
        for side, bound in enumerate((low, high)):
            if bound is not None:
                value = bound.value(quantiles)
                cuts[side] = None if value is None else self.cut(value, above=bound.closed == bool(side))
        below, last = cuts
        return None if below is None or last is None else (below + 1, last)


def axes(
    connection: duckdb.DuckDBPyConnection,
    measures: Iterable[str],
    *,
    bounds: Mapping[str, Collection[float]],
    bins: int,
    columns: Columns = BUILT_IN,
) -> list[Axis]:
    """The axes of measures that are numbers or booleans, over the table `SOURCE`, of at most `bins` bins each.

    `bounds` are thresholds in force, by measure: both `>=` and `>` of each are edges.
    """
    made = []
    for measure in measures:
        values = f"(select {value_sql(measure, columns)} as value, place from {SOURCE})"
        sample = _column(connection, f"select value from {values} where place < {SAMPLE} and value is not null")
        if len(np.unique(sample)) <= bins:
            sample = _column(connection, f"select distinct value from {values} where value is not null")
        found = connection.execute(f"select min(value), max(value) from {values} where isfinite(value)").fetchall()
        made.append(axis(measure, sample, ends=found[0], bounds=bounds.get(measure, ()), bins=bins))
    return made


def axis(
    measure: str, sample: Floats, *, ends: tuple[float | None, float | None], bounds: Collection[float], bins: int
) -> Axis:
    """An axis by a sample of the values, which is all of them where it has no more than `bins` different ones.

    `ends`: the least and the largest finite value there is.
    """
    least, most = (np.nan if end is None else end for end in ends)
    distinct = np.unique(sample)
    if len(distinct) <= bins:
        return Axis(measure, distinct, True, least, most)
    top = np.nextafter(most, np.inf)
    both = np.array([edge for bound in bounds for edge in (bound, np.nextafter(bound, np.inf))])
    edges = np.unique([-np.inf, least, top, *np.clip(both, least, top)])[:bins]
    edges = _more(edges, _round_numbers(sample, bins // ROUND), bins)
    return Axis(measure, _more(edges, _quantiles(sample, bins), bins), False, least, most)


def value_sql(measure: str, columns: Columns = BUILT_IN) -> str:
    """SQL: a measure's value as a double; null where no rule can judge it."""
    home = columns.homes[measure]
    value = f"{measure}::double"
    return value if home == SPLIT else f"(case when {taken(home)} then {value} end)"


def bounds_in_force(rules: Iterable[Rule], quantiles: Quantiles) -> dict[str, list[float]]:
    """The thresholds of rules that bound a measure, by measure."""
    found: dict[str, list[float]] = {}
    for rule in rules:
        for bound in rule.bounds:
            value = bound.value(quantiles)
            if value is not None:
                found.setdefault(bound.column, []).append(value)
    return found


def _column(connection: duckdb.DuckDBPyConnection, sql: str) -> Floats:
    values: Floats = connection.sql(sql).to_arrow_table().column(0).to_numpy()
    return values


def _more(edges: Floats, others: Floats, bins: int) -> Floats:
    """The edges with as many of the others, evenly chosen, as there is room for."""
    new = np.setdiff1d(others, edges)
    room = bins - len(edges)
    if len(new) > room:
        new = new[np.linspace(0, len(new) - 1, room).astype(int)] if room > 0 else new[:0]
    return np.unique(np.concatenate([edges, new]))


def _quantiles(sample: Floats, many: int) -> Floats:
    """Values at even places of the sample; of a value that takes several places also the one after it."""
    ordered = np.sort(sample[np.isfinite(sample)])
    found, times = np.unique(ordered[np.linspace(0, len(ordered) - 1, many).astype(int)], return_counts=True)
    return np.unique(np.concatenate([found, np.nextafter(found[times > 2], np.inf)]))


def _round_numbers(sample: Floats, many: int) -> Floats:
    """Numbers that people write: even steps over most of the values, and digits times powers of ten from the largest down."""
    finite = np.sort(sample[np.isfinite(sample)])
    if not len(finite) or many < 2:
        return np.empty(0)
    low, high = finite[int(0.01 * (len(finite) - 1))], finite[int(0.99 * (len(finite) - 1))]
    steps = _steps(float(low), float(high), many // 2)
    if finite[-1] <= 0:
        return steps
    digits = range(1, 10) if many >= 100 else (1, 2, 5)
    top = int(np.floor(np.log10(finite[-1])))
    decades = range(top, top - many // 2 // len(digits), -1)
    powers = [float(f"{digit}e{power}") for power in decades for digit in digits]
    return np.concatenate([steps, [number for number in powers if finite[0] <= number <= finite[-1]]])


def _steps(low: float, high: float, many: int) -> Floats:
    """Multiples of 1, 2 or 5 times a power of ten, at most `many`, from `low` to `high`."""
    least = (high - low) / max(many - 1, 1)
    if not np.isfinite(least) or least <= 0:
        return np.empty(0)
    power = int(np.floor(np.log10(least)))
    sizes = [(digit, power + more) for more in (0, 1) for digit in (1, 2, 5)]
    digit, power = next(size for size in sizes if size[0] * 10.0 ** size[1] >= least)
    step = digit * 10.0**power
    numbers = np.arange(np.ceil(low / step), np.floor(high / step) + 1)
    return np.array([float(f"{int(number) * digit}e{power}") for number in numbers])
