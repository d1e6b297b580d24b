"""What `hdvg report` writes: figures, rows and pictures put together, made smaller where they would not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
import numpy as np

from hdvg.config.rules import Bound, Rule
from hdvg.dataset.dataset import Dataset
from hdvg.filtering.edges import EXPLORER_BINS, REPORT_BINS, Axis
from hdvg.filtering.whatif import Judge
from hdvg.page.gallery import Shelf, cards, shelves
from hdvg.page.html import page
from hdvg.page.rows import Measure, bounded, doubles, hold, measured, packed, passes
from schemas.columns import doc
from schemas.measures import ALL_MEASURED, DERIVED

Row = dict[str, Any]

BYTES_MOST = 20_000_000
"""Of the page."""

ABOUT = {field.name: doc(field) for field in [*ALL_MEASURED, *(field for field, _ in DERIVED.values())]}


@dataclass(frozen=True)
class Parts:
    """What a page is made of."""

    data: Row
    measures: list[Measure]
    bits: dict[str, str]
    """Of rules that are no range: which of the held clips pass, by the rule's number."""
    ms: str
    strips: dict[str, bytes]
    about: Mapping[str, str] = field(default_factory=dict)
    """Sentences of the user's own measures."""

    def html(self) -> str:
        """The page."""
        codes = {str(number): packed(one.codes) for number, one in enumerate(self.measures) if one.codes is not None}
        shown = self.data | {
            "measures": [_measure(one, self.data["rules"], {**ABOUT, **self.about}) for one in self.measures]
        }
        return page(shown, {"ms": self.ms, **codes, **self.bits}, self.strips)


def page_of(
    dataset: Dataset,
    connection: duckdb.DuckDBPyConnection,
    found: Row,
    *,
    compared: Row | None = None,
    pictures: Mapping[str, bytes] | None = None,
) -> str:
    """The report's HTML, of at most `BYTES_MOST` bytes. `connection` has the table `SOURCE`, `found` are the figures, `pictures`
    the strips of the clips of a comparison."""
    plan = dataset.plan
    judge = Judge(plan.recipe.rules, plan.quantiles)
    held = hold(connection)
    columns = plan.recipe.measure.columns
    measures = measured(connection, bounded(columns), judge, held=held, columns=columns, bins=REPORT_BINS)
    rules, bits = _rules(connection, judge, {one.axis.measure: one.axis for one in measures})
    found_shelves = shelves(connection, judge)
    shown, strips = cards(dataset, [clip for shelf in found_shelves for clip, _ in (*shelf.passing, *shelf.broken)])
    data: Row = {
        "figures": found,
        "held": {"rows": held.rows, "clips": held.clips},
        "rules": rules,
        "shelves": [_shelf(shelf) for shelf in found_shelves],
        "clips": shown,
        "compared": compared,
        "left_out": [],
    }
    strips = {**(pictures or {}), **strips}
    about = {one.name: doc(one) for own in plan.recipe.measure.taken if own.is_own for one in own.fields()}
    return _fitted(Parts(data, measures, bits, packed(held.ms), strips, about), judge)


def _fitted(parts: Parts, judge: Judge) -> str:
    """The page, with less in it until it fits: fewer steps where no rule is, half the pictures, then no other numbers.

    What gives way is said in the page.
    """
    text = parts.html()
    if len(text) <= BYTES_MOST:
        return text
    ruled = {rule.column for rule in judge.rules}
    coarse = [one if one.axis.measure in ruled else _coarser(one) for one in parts.measures]
    parts = _less(parts, "measures without a rule have 255 steps", measures=coarse)
    if len(text := parts.html()) > BYTES_MOST:
        half = dict(list(parts.strips.items())[::2])
        parts = _less(parts, "half of the clips have no pictures", strips=half)
    if len(text := parts.html()) > BYTES_MOST:
        fixed = [one if one.axis.measure in ruled else replace(one, codes=None) for one in parts.measures]
        parts = _less(parts, "measures without a rule cannot be moved", measures=fixed)
    return parts.html()


def _less(parts: Parts, what: str, **changed: Any) -> Parts:
    return replace(parts, data=parts.data | {"left_out": [*parts.data["left_out"], what]}, **changed)


def _coarser(measure: Measure) -> Measure:
    """The measure with every so-many edge."""
    axis, codes = measure.axis, measure.codes
    if axis.lossless or len(axis.edges) <= EXPLORER_BINS or codes is None:
        return measure
    ends = np.array([0, 1, len(axis.edges) - 1])
    kept = np.union1d(ends, np.linspace(0, len(axis.edges) - 1, EXPLORER_BINS - 3).astype(int))
    place = np.concatenate([[0], np.searchsorted(kept, np.arange(len(axis.edges)), side="right")])
    counts = np.bincount(place, weights=measure.counts, minlength=len(kept) + 1).astype(np.int64)
    coarse = replace(axis, edges=axis.edges[kept])
    return replace(measure, axis=coarse, counts=counts, codes=place[codes].astype(np.uint16))


def _rules(
    connection: duckdb.DuckDBPyConnection, judge: Judge, axes: Mapping[str, Axis]
) -> tuple[list[Row], dict[str, str]]:
    """The rules as the page works with them, and which clips pass those that it cannot judge by codes."""
    made: list[Row] = []
    bits: dict[str, str] = {}
    for number, rule in enumerate(judge.rules):
        axis = axes.get(str(rule.column))
        by_codes = axis is not None and axis.passing(rule.low, rule.high, judge.quantiles) is not None
        if not by_codes:
            bits[f"rule-{number}"] = packed(passes(connection, rule, judge.quantiles).astype(np.uint8))
        made.append(_rule(rule, judge, number=number, by_codes=by_codes))
    return made, bits


def _rule(rule: Rule, judge: Judge, *, number: int, by_codes: bool) -> Row:
    def end(bound: Bound | None) -> Row | None:
        if bound is None or not by_codes:
            return None
        return {"value": bound.value(judge.quantiles), "closed": bound.closed, "share": bound.share}

    block = None if by_codes else f"rule-{number}"
    return {"name": rule.name, "text": rule.text, "column": rule.column if by_codes else None, "block": block} | {
        "low": end(rule.low),
        "high": end(rule.high),
    }


def _measure(measure: Measure, rules: Sequence[Row], about: Mapping[str, str]) -> Row:
    axis = measure.axis
    return {
        "name": axis.measure,
        "about": about.get(axis.measure, ""),
        "edges": doubles(axis.edges),
        "lossless": axis.lossless,
        "least": axis.least,
        "most": axis.most,
        "boolean": measure.is_boolean,
        "counts": measure.counts.tolist(),
        "ruled": any(rule["column"] == axis.measure for rule in rules),
        "held": measure.codes is not None,
    }


def _shelf(shelf: Shelf) -> Row:
    sides = {"passing": shelf.passing, "broken": shelf.broken}
    return {"rule": shelf.rule, "text": shelf.text, "measure": shelf.measure, "threshold": shelf.threshold} | {
        name: [{"clip_id": clip, "value": value} for clip, value in side] for name, side in sides.items()
    }
