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
    searches: list[str] = []
    found: dict[tuple[int, int], Near] = {}
    for number, rule in enumerate(ranges):
        for bound in rule.bounds:
            threshold = bound.sql(quantiles)
            if spreads[str(rule.column)] and bound.value(quantiles) is not None:
                for beside, order in ((">=", "asc"), ("<", "desc")):
                    searches.append(
                        f"(select {number} as rule, place, {rule.column}::double as value from {SOURCE} "
                        f"where {rule.column} {beside} {threshold} order by {rule.column} {order}, place limit {MOST})"
                    )
    for number, place, value in connection.execute(" union all ".join(searches)).fetchall() if searches else ():
        rule = ranges[number]
        margin = rule.margin(value, quantiles)
        if margin is not None:
            found[number, place] = Near(abs(margin) / spreads[str(rule.column)], place, rule, value, margin)
    return sorted(found.values(), key=Near.order)


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
