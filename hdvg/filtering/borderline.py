"""The clips nearest to a threshold: those a slightly other number would judge otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from hdvg.config.rules import Quantiles, Rule
from hdvg.dataset.snapshot import SOURCE

MOST = 20
EQUALS = 2
"""Clips with the very same value for one rule that are shown before others: heights stand on a threshold by millions."""

SAMPLE = 1_000_000
"""Clips that a measure's spread is taken over: the first in the order of ids, which are hashes."""


FIRST = 100_000
"""Clips by which it is known how far the nearest of all can be."""


@dataclass(frozen=True)
class Near:
    """A clip beside a rule's threshold; `distance` is in standard deviations of the measure."""

    distance: float
    place: int
    rule: Rule
    value: float
    margin: float

    def order(self) -> tuple[float, int, str]:
        """The nearest first."""
        return self.distance, self.place, self.rule.name


def nearest_clips(
    connection: duckdb.DuckDBPyConnection, rules: Sequence[Rule], quantiles: Quantiles, *, before: Sequence[str]
) -> list[dict[str, Any]]:
    """The 20 clips with the least margin to a bound of a rule, inside or outside, by the spread of the rule's measure.

    `before` is the SQL of the rules that hold now. Of clips with the same value for the same rule
    two are shown, and more only if there are too few others.
    """
    found = _choose(_candidates(connection, rules, quantiles))
    if not found:
        return []
    kept, was_kept = (
        " and ".join(tests) or "true" for tests in ([rule.sql(quantiles) for rule in rules], list(before))
    )
    places = ", ".join(str(near.place) for near in found)
    rows = connection.execute(
        f"select place, clip_id, coalesce({kept}, false), coalesce({was_kept}, false) from {SOURCE} where place in ({places})"
    ).fetchall()
    clips = {place: verdicts for place, *verdicts in rows}
    return [
        {
            "clip_id": clips[near.place][0],
            "rule": near.rule.name,
            "measure": near.rule.column,
            "value": near.value,
            "margin": near.margin,
            "distance": near.distance,
            "kept": clips[near.place][1],
            "kept_before": clips[near.place][2],
        }
        for near in found
    ]


def _candidates(connection: duckdb.DuckDBPyConnection, rules: Sequence[Rule], quantiles: Quantiles) -> list[Near]:
    """For every bound, the nearest clips on both of its sides; not of a measure that is the same for all clips."""
    ranges = [rule for rule in rules if rule.bounds]
    if not ranges:
        return []
    spreads = _spreads(connection, sorted({str(rule.column) for rule in ranges}))
    searches = [
        _Search(number, str(rule.column), side, bound.sql(quantiles))
        for number, rule in enumerate(ranges)
        for bound in rule.bounds
        for side in (">=", "<")
        if spreads[str(rule.column)] and bound.value(quantiles) is not None
    ]
    found: dict[tuple[int, int], Near] = {}
    for number, place, value in _nearest(connection, searches) if searches else ():
        rule = ranges[number]
        margin = rule.margin(value, quantiles)
        if margin is not None:
            found[number, place] = Near(abs(margin) / spreads[str(rule.column)], place, rule, value, margin)
    return sorted(found.values(), key=Near.order)


@dataclass(frozen=True)
class _Search:
    """The clips on one side of a bound of a rule, the nearest first."""

    number: int
    column: str
    side: str
    threshold: str

    def sql(self, chosen: str, among: str) -> str:
        order = "asc" if self.side == ">=" else "desc"
        return (
            f"(select {chosen} from {SOURCE} where {self.column} {self.side} {self.threshold} and {among} "
            f"order by {self.column} {order}, place limit {MOST})"
        )

    def within(self, farthest: float) -> str:
        """SQL: as near as a value is that lies on this side, or nearer."""
        return f"{self.column}::double {'<=' if self.side == '>=' else '>='} '{farthest!r}'::double"


def _nearest(connection: duckdb.DuckDBPyConnection, searches: Sequence[_Search]) -> list[tuple[int, int, float]]:
    """Number of the rule, place and value. What the first clips have at hand is nearer than nearly all there are: these need no sorting."""
    samples = [
        f"select {'max' if one.side == '>=' else 'min'}(value) as farthest, count(*) as found, {place} as search "
        f"from {one.sql(f'{one.column}::double as value', f'place < {FIRST}')}"
        for place, one in enumerate(searches)
    ]
    among = dict.fromkeys(range(len(searches)), "true")
    for farthest, found, place in connection.execute(" union all ".join(samples)).fetchall():
        if found == MOST:
            among[place] = searches[place].within(farthest)
    asked = [
        one.sql(f"{one.number} as rule, place, {one.column}::double as value", among[place])
        for place, one in enumerate(searches)
    ]
    return connection.execute(" union all ".join(asked)).fetchall()


def _spreads(connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> dict[str, float]:
    """Standard deviation of each column over the clips, or `SAMPLE` of them; 0 where none has it."""
    asked = ", ".join(f"coalesce(stddev_pop({column}), 0.0)" for column in columns)
    (values,) = connection.execute(f"select {asked} from {SOURCE} where place < {SAMPLE}").fetchall()
    return dict(zip(columns, values, strict=True))


def _choose(found: Sequence[Near]) -> list[Near]:
    """The first; crowds of equal values only where nothing else is left."""
    seen: Counter[tuple[str, float]] = Counter()
    chosen: list[Near] = []
    crowd: list[Near] = []
    for near in found:
        seen[near.rule.name, near.value] += 1
        (chosen if seen[near.rule.name, near.value] <= EQUALS else crowd).append(near)
    return sorted([*chosen, *crowd][:MOST], key=Near.order)
