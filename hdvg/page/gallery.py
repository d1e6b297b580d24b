"""The clips near each threshold, kept and dropped side by side: those that this rule alone decides come first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb

from hdvg.config.rules import Bound, Rule
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.snapshot import SOURCE
from hdvg.filtering.whatif import Judge
from hdvg.reports.strips import strips_of

Row = dict[str, Any]

MOST = 6
"""Clips of each side of a threshold."""

CARDS = """
select d.clip_id, d.video_id, d.duration_s, d.start_s, d.width, d.height, d.keep, d.reasons, d.caption, d.title, d.source,
    d.keyframes
from dataset d where d.clip_id in (select unnest(?::varchar[]))
"""


@dataclass(frozen=True)
class Shelf:
    """One threshold: the clips beside it that pass the rule, and those that do not, each with its value of the measure."""

    rule: str
    text: str
    measure: str | None
    threshold: float | None
    passing: list[tuple[str, float | None]]
    broken: list[tuple[str, float | None]]


def shelves(connection: duckdb.DuckDBPyConnection, judge: Judge) -> list[Shelf]:
    """Of every bound in force; of a rule that is no range, clips as they come by `draw`. Empty ones are left out."""
    found = []
    for place, rule in enumerate(judge.rules):
        tests = judge.tests
        others = " and ".join(f"coalesce({test}, false)" for number, test in enumerate(tests) if number != place)
        ends: list[Bound | None] = [*rule.bounds]
        for bound in ends or [None]:
            value = None if bound is None else bound.value(judge.quantiles)
            if bound is None or value is not None:
                sides = _sides(connection, rule, bound, test=tests[place], value=value, others=others or "true")
                if any(sides):
                    found.append(Shelf(rule.name, rule.text, rule.column, value, *sides))
    return found


def _sides(
    connection: duckdb.DuckDBPyConnection,
    rule: Rule,
    bound: Bound | None,
    *,
    test: str,
    value: float | None,
    others: str,
) -> tuple[list[tuple[str, float | None]], list[tuple[str, float | None]]]:
    number = "null::double" if bound is None else f"{rule.column}::double"
    near = "draw" if value is None else f"abs({number} - {value!r}), draw"
    beyond = "true" if bound is None or value is None else _beyond(rule, bound, value)
    sides = []
    for side in (test, f"not {test} and {beyond}"):
        rows = connection.execute(
            f"select clip_id, {number} from {SOURCE} where {side} order by case when {others} then 0 else 1 end, {near}, place limit {MOST}"
        ).fetchall()
        sides.append([(clip, float(at) if at is not None else None) for clip, at in rows])
    return sides[0], sides[1]


def _beyond(rule: Rule, bound: Bound, value: float) -> str:
    """SQL: whether a clip that breaks the rule does so at this end of its range."""
    if bound is rule.low:
        return f"{rule.column} {'<' if bound.closed else '<='} {value!r}"
    return f"{rule.column} {'>' if bound.closed else '>='} {value!r}"


def cards(dataset: Dataset, clip_ids: Iterable[str]) -> tuple[dict[str, Row], dict[str, bytes]]:
    """What is shown of each clip, and its strip."""
    with dataset.manifest() as manifest:
        rows = manifest.rows(CARDS, [list(dict.fromkeys(clip_ids))])
    packs = {row["clip_id"]: pack for row in rows if (pack := row.pop("keyframes"))}
    shown = {row["clip_id"]: row | {"source": shown_source(row["source"])} for row in rows}
    return shown, strips_of(dataset.store, packs)


def shown_source(source: str | None) -> str:
    """A link as it stands; of a local file only its name, for a report leaves the machine."""
    parts = urlsplit(source or "")
    if parts.scheme in {"http", "https"}:
        return source or ""
    return unquote(parts.path.rsplit("/", 1)[-1])
