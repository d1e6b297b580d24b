"""How measures spread over clips, with the bounds of rules, and how many clips are left after each rule: for plots."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa

from hdvg.config.rules import parse_rules
from hdvg.dataset.snapshot import SOURCE, Say, measures
from hdvg.filtering.pool import resolve_quantiles
from hdvg.filtering.whatif import Judge, Total, group

if TYPE_CHECKING:
    from hdvg.dataset.dataset import Dataset

BINS = 40
TAIL = 0.005
"""Share of the clips on each side that may lie beyond the first and last bin, and is counted in these."""

LOG_FROM = 100.0
"""Positive values are binned by their logarithm where the highest is over so many times the lowest."""


@dataclass(frozen=True)
class Axis:
    """What is binned: a measure, whether its values are whole numbers, and into about how many bins."""

    measure: str
    whole: bool
    bins: int


WITHOUT_RULES = ("duration_s", "sharpness", "motion_px_s")
"""What is shown of a recipe that bounds nothing."""


@dataclass(frozen=True)
class Threshold:
    """A bound of a rule, which is written so; the clips that pass are those `above`, or those below."""

    rule: str
    asks: str
    value: float
    above: bool
    at: float
    """Where the line between the clips that pass and the others lies: beside the value, for clips may have just that."""


@dataclass(frozen=True)
class Histogram:
    """Clips by bins of a measure; `edges` has one more. Values beyond them are in the first and the last bin."""

    measure: str
    edges: list[float]
    clips: list[int]
    kept: list[int]
    """Of these, clips that every rule keeps."""
    without: int
    """Clips without a number."""
    is_log: bool
    thresholds: list[Threshold]
    before: list[Threshold]
    """As they are now, where the rules are only supposed."""


@dataclass(frozen=True)
class Step:
    """The clips that pass a rule and those before it; `open_clips` of these before pass or break it, but are not measured."""

    rule: str
    passed: Total
    open_clips: int


@dataclass(frozen=True)
class Spread:
    """`steps`: by rule, what is left, beginning with all clips; and the histograms."""

    steps: list[Step]
    before: list[Step]
    """As they are now, where the rules are only supposed."""
    histograms: list[Histogram]


def spread(dataset: Dataset, *, supposed: Mapping[str, str] | None = None, bins: int = BINS, say: Say) -> Spread:
    """Of the measures that rules bound: the dataset's own rules, or `supposed` ones beside these.

    One of a measure's thresholds is an edge between its about `bins` bins.
    `say` reports where the measures are read.
    """
    plan = dataset.plan
    columns = plan.recipe.measure.columns
    now = Judge(plan.recipe.rules, plan.quantiles)
    rules = now.rules if supposed is None else parse_rules(supposed, columns)
    every = (*rules, *now.rules)
    named = list(dict.fromkeys(rule.column for rule in every if rule.column)) or list(WITHOUT_RULES)
    with measures(dataset, {*named, *(name for rule in every for name in rule.columns)}, say) as connection:
        before = None if supposed is None else now
        then = now if supposed is None else Judge(rules, resolve_quantiles(rules, connection, SOURCE))
        return Spread(
            steps=_steps(connection, then),
            before=[] if before is None else _steps(connection, before),
            histograms=[
                _histogram(connection, Axis(name, pa.types.is_integer(columns.types[name]), bins), then, before)
                for name in named
            ],
        )


def _steps(connection: duckdb.DuckDBPyConnection, judge: Judge) -> list[Step]:
    groups = group(connection, [judge])
    outcomes = groups.outcomes(judge)
    left = np.ones(len(groups.clips), bool)
    steps = [Step("all clips", groups.total(left), 0)]
    for place, rule in enumerate(judge.rules):
        unknown = groups.count(left & (outcomes[:, place] == -1))
        left = left & (outcomes[:, place] == 1)
        steps.append(Step(rule.name, groups.total(left), unknown))
    return steps


def _thresholds(judge: Judge, axis: Axis) -> Iterator[Threshold]:
    for rule in judge.rules:
        for bound in rule.bounds if rule.column == axis.measure else []:
            value, above = bound.value(judge.quantiles), bound is rule.low
            if value is not None:
                at = _line(value, is_below=above != bound.closed, whole=axis.whole)
                yield Threshold(rule.name, rule.text, value, above, at)


def _line(value: float, *, is_below: bool, whole: bool) -> float:
    """Where a threshold's line lies: `> 5` and `<= 5` leave 5 itself below it."""
    if whole:
        return math.floor(value) + 0.5 if is_below else math.ceil(value) - 0.5
    return float(np.nextafter(value, np.inf)) if is_below else value


def _histogram(connection: duckdb.DuckDBPyConnection, axis: Axis, judge: Judge, before: Judge | None) -> Histogram:
    thresholds = list(_thresholds(judge, axis))
    earlier = [] if before is None else list(_thresholds(before, axis))
    edges, is_log = _edges(connection, axis, [one.at for one in (*thresholds, *earlier)])
    keeps = " and ".join(f"coalesce({sql}, false)" for sql in judge.tests) or "true"
    rows = connection.execute(f"select {axis.measure}::double as x, {keeps} as keeps from {SOURCE}").fetchnumpy()
    values = np.ma.filled(np.ma.asarray(rows["x"], dtype=np.float64), np.nan)
    known = ~np.isnan(values)
    places = np.searchsorted(edges[1:-1], values[known], side="right")
    count = len(edges) - 1
    return Histogram(
        measure=axis.measure,
        edges=edges,
        clips=np.bincount(places, minlength=count).tolist(),
        kept=np.bincount(places[np.asarray(rows["keeps"], bool)[known]], minlength=count).tolist(),
        without=int((~known).sum()),
        is_log=is_log,
        thresholds=thresholds,
        before=earlier,
    )


def _edges(connection: duckdb.DuckDBPyConnection, axis: Axis, lines: Sequence[float]) -> tuple[list[float], bool]:
    """The edges of bins for all values but the tails, and the lines, of which the first is an edge; and whether they are even
    by logarithm."""
    found = connection.execute(
        f"select quantile_cont(x, [{TAIL}, {1 - TAIL}]) from (select {axis.measure}::double as x from {SOURCE}) where isfinite(x)"
    ).fetchone()
    lines = list(filter(math.isfinite, lines))
    values = found[0] if found and found[0] else []
    if axis.whole and max([*values, *lines], default=0) - min([*values, *lines], default=0) < axis.bins:
        sides = [*values, *(line + side for line in lines for side in (-0.5, 0.5))] or [0.0]
        return [edge - 0.5 for edge in range(math.floor(min(sides) + 0.5), math.ceil(max(sides)) + 2)], False
    return _even_edges([*values, *lines] or [0.0, 1.0], lines, axis.bins)


def _even_edges(ends: Sequence[float], lines: Sequence[float], bins: int) -> tuple[list[float], bool]:
    """Edges from the least to the most of the ends, the first line among them, with a bin on both sides of it."""
    low, high = min(ends), max(ends)
    is_log = low > 0 and high / low > LOG_FROM
    first = lines[0] if lines else low
    start = math.log(first) if is_log else first
    low, high = (math.log(low), math.log(high)) if is_log else (low, high)
    step = (high - low) / bins or 1.0
    below, above = max(math.ceil((start - low) / step), 1), max(math.floor((high - start) / step) + 1, 1)
    before, after = (
        [start + number * step for number in numbers] for numbers in (range(-below, 0), range(1, above + 1))
    )
    if is_log:
        before, after = list(map(math.exp, before)), list(map(math.exp, after))
    return [*before, first, *after], is_log
