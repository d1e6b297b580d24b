"""The clips nearest to a threshold: those a slightly other number would judge otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from hdvg.config.rules import Quantiles, Rule
from hdvg.dataset.snapshot import SOURCE

MOST = 20
EQUALS = 2
"""Clips with the very same value for one rule that are shown before others: heights stand on a threshold by millions."""

SAMPLE = 1_000_000
"""Clips that a measure's spread is taken over: the first in the order of ids, which are hashes."""


FIRST = 100_000
"""Clips, by place, that tell how far the nearest of all can be."""


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

    @property
    def there(self) -> str:
        """SQL: on this side."""
        return f"{self.column} {self.side} {self.threshold}"

    def nearer(self, value: float) -> str:
        """SQL: on this side, and nearer than a value that is."""
        return f"({self.there} and {self.column}::double {'<' if self.side == '>=' else '>'} '{value!r}'::double)"

    def nearest(self, places: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Which of these clips are the nearest `MOST`, in order; of equal values the lower place comes first, and NaN last."""
        order = np.lexsort((places, values if self.side == ">=" else -values))
        return order[:MOST]


def _nearest(connection: duckdb.DuckDBPyConnection, searches: Sequence[_Search]) -> list[tuple[int, int, float]]:
    """Number of the rule, place and value.

    Of the others only clips that are nearer than the last of the first ones' are looked at: with an equal value these come first.
    """
    first = _clips(connection, searches, [one.there for one in searches], f"place < {FIRST}")
    nearest = [one.nearest(*some) for one, some in zip(searches, first, strict=True)]
    nearer = [
        one.nearer(float(values[near[-1]])) if len(near) == MOST else one.there
        for one, (_, values), near in zip(searches, first, nearest, strict=True)
    ]
    others = _clips(connection, searches, nearer, f"place >= {FIRST} and ({' or '.join(nearer)})")
    found = []
    for one, near, some, more in zip(searches, nearest, first, others, strict=True):
        places, values = (np.concatenate([here[near], there]) for here, there in zip(some, more, strict=True))
        best = one.nearest(places, values)
        found += [(one.number, place, value) for place, value in zip(places[best].tolist(), values[best].tolist(), strict=True)]  # fmt: skip
    return found


def _clips(
    connection: duckdb.DuckDBPyConnection, searches: Sequence[_Search], tests: Sequence[str], where: str
) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """For each search, place and value of the clips of which its test holds; one look at the clips for all of them."""
    columns = list(dict.fromkeys(one.column for one in searches))
    asked = [f"{column}::double as {column}" for column in columns]
    asked += [f"coalesce({test}, false) as test_{place}" for place, test in enumerate(tests)]
    table = connection.sql(f"select place, {', '.join(asked)} from {SOURCE} where {where}").to_arrow_table()
    found = []
    for number, one in enumerate(searches):
        some = table.select(["place", one.column]).filter(table[f"test_{number}"])
        found.append((some["place"].to_numpy(), some[one.column].to_numpy()))
    return found


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
