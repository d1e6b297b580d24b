"""Rules: what a recipe's `keep` asks of a clip, read, checked, and compiled to one SQL predicate; verdicts are a query."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hdvg.config.conditions import condition_columns
from hdvg.errors import suggestion
from schemas.annotations import MARKED
from schemas.measures import CAPTION, CAPTION_STAGES, HOMES, RULED, SPLIT

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
BOUND = rf"{NUMBER}|quantile\(\s*{NUMBER}\s*\)"
ONE_SIDED = re.compile(rf"\s*([a-z_][a-z0-9_]*)\s*(<=|>=|<|>)\s*({BOUND})\s*")
TWO_SIDED = re.compile(rf"\s*({BOUND})\s*(<=|<)\s*([a-z_][a-z0-9_]*)\s*(<=|<)\s*({BOUND})\s*")
NAME = re.compile(r"[a-z][a-z0-9_]*")
TURNED = {"<": ">", "<=": ">="}

MARKED_TYPES = {field.name: field.type for field in MARKED}
"""What people say of a clip: known, or false, whatever was measured."""

Quantiles = Mapping[str, float]
"""Resolved quantile bounds: `Bound.key` -> value."""


@dataclass(frozen=True)
class Bound:
    """One end of a range: a number, or the quantile `share` of `column` over the dataset; `closed` if it is inside."""

    column: str
    closed: bool
    number: float = 0.0
    share: float | None = None

    @property
    def key(self) -> str:
        """Name of a quantile among the resolved ones."""
        return f"{self.column}:{self.share!r}"

    def value(self, quantiles: Quantiles) -> float | None:
        """The number; None for a quantile that is not known yet."""
        return self.number if self.share is None else quantiles.get(self.key)

    def sql(self, quantiles: Quantiles) -> str:
        """The number in SQL."""
        value = self.value(quantiles)
        return "null" if value is None else repr(value)


@dataclass(frozen=True)
class Columns:
    """The measures that rules may name: those of hdvg, what people mark, and `more`, (name, type, stage or measure that fills it) each."""

    more: tuple[tuple[str, pa.DataType, str], ...] = ()

    @functools.cached_property
    def types(self) -> Mapping[str, pa.DataType]:
        """By name."""
        return {**RULED, **MARKED_TYPES, **{name: kind for name, kind, _ in self.more}}

    @functools.cached_property
    def homes(self) -> Mapping[str, str]:
        """What fills each."""
        return {**HOMES, **dict.fromkeys(MARKED_TYPES, SPLIT), **{name: home for name, _, home in self.more}}

    def is_number(self, name: str) -> bool:
        """Whether it can be bounded."""
        kind = self.types[name]
        return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))

    def check_known(self, names: Sequence[str]) -> None:
        """Raise ValueError with what was meant, if one of the names is no measure."""
        for name in names:
            if name not in self.types:
                hint = suggestion(name, self.types, '`hdvg query DATASET "describe measures"` lists them')
                raise ValueError(f"`{name}` is no measure; {hint}")


BUILT_IN = Columns()


@dataclass(frozen=True)
class Rule:
    """A named condition. `low` and `high` bound the one measure `column`; other rules are any SQL (`column` None)."""

    name: str
    text: str
    columns: tuple[str, ...]
    homes: frozenset[str]
    """The stages, or the measures that are taken alone, that fill its columns."""
    low: Bound | None = None
    high: Bound | None = None

    @property
    def column(self) -> str | None:
        """The measure that is bounded."""
        return self.columns[0] if self.low or self.high else None

    @property
    def bounds(self) -> list[Bound]:
        """Those there are, the lower first."""
        return [bound for bound in (self.low, self.high) if bound]

    @property
    def quantiles(self) -> list[Bound]:
        """Bounds that are quantiles."""
        return [bound for bound in self.bounds if bound.share is not None]

    def sql(self, quantiles: Quantiles) -> str:
        """True if a clip passes, false if not; null if that is not known, as long as a measure it needs is not taken."""
        sides = []
        if self.low:
            sides.append(f"{self.column} {'>=' if self.low.closed else '>'} {self.low.sql(quantiles)}")
        if self.high:
            sides.append(f"{self.column} {'<=' if self.high.closed else '<'} {self.high.sql(quantiles)}")
        all_taken = " and ".join(taken(home) for home in sorted(self.homes - {SPLIT}))
        passes = f"({' and '.join(sides) or self.text})"
        return f"(case when {all_taken} then {passes} end)" if all_taken else passes

    def margin(self, value: float | None, quantiles: Quantiles) -> float | None:
        """How far a value lies inside (positive) or outside the nearest bound, in the measure's unit."""
        ends = [(bound.value(quantiles), 1 if bound is self.low else -1) for bound in self.bounds]
        if value is None or not ends or any(end is None for end, _ in ends):
            return None
        return min(sign * (value - end) for end, sign in ends if end is not None)


def taken(home: str) -> str:
    """SQL: whether a stage has a result for a clip. A caption that failed counts as one: `caption_words is null` finds it."""
    return f"{home}_status is not null" if home == CAPTION else f"{home}_status = 'ok'"


def parse_rules(keep: Mapping[str, str], columns: Columns = BUILT_IN) -> tuple[Rule, ...]:
    """The rules of a recipe's `keep` table, in order.

    Raises ValueError naming the rule: a bad name, an unknown measure, or what is no condition.
    """
    return tuple(parse_rule(name, text, columns) for name, text in keep.items())


@functools.cache
def parse_rule(name: str, text: str, columns: Columns = BUILT_IN) -> Rule:
    """Read `duration_s >= 2`, `2 <= duration_s < 20`, `motion >= quantile(0.25)`, or a SQL condition over measures."""
    if not NAME.fullmatch(name):
        raise ValueError(f"rule {name!r}: a name has small letters, digits and _, such as too_short")
    try:
        if found := ONE_SIDED.fullmatch(text):
            return _range(name, text, [found.groups()], columns)
        if found := TWO_SIDED.fullmatch(text):
            low, first, column, second, high = found.groups()
            return _range(name, text, [(column, TURNED[first], low), (column, second, high)], columns)
        return _condition(name, text, columns)
    except ValueError as error:
        raise ValueError(f"rule {name} = {text!r}: {error}") from None


def _range(name: str, text: str, sides: Sequence[tuple[str | Any, ...]], columns: Columns) -> Rule:
    column = sides[0][0]
    columns.check_known([column])
    if not columns.is_number(column):
        raise ValueError(f"{column} is no number; write it as a condition, such as `not {column}`")
    ends: dict[str, Bound] = {}
    for _, operator, written in sides:
        ends["high" if operator in TURNED else "low"] = _bound(column, written, closed="=" in operator)
    return Rule(name, text, (column,), frozenset({columns.homes[column]}), **ends)


def _bound(column: str, written: str, *, closed: bool) -> Bound:
    if not written.startswith("quantile"):
        return Bound(column, closed, float(written))
    share = float(written[len("quantile(") : -1])
    if not 0 <= share <= 1:
        raise ValueError("a quantile is between 0 and 1, such as quantile(0.25) for the lowest quarter")
    return Bound(column, closed, share=share)


def _condition(name: str, text: str, columns: Columns) -> Rule:
    """Any SQL condition over measures, as DuckDB reads it; without tables of its own."""
    example = "`text_area <= 0.07` or `not watermark_found`"
    names = condition_columns(text, columns.types, columns.check_known, example=example)
    return Rule(name, text, names, frozenset(columns.homes[name] for name in names))


@dataclass(frozen=True)
class Verdicts:
    """The SQL of a recipe's verdicts. `measures` are the keyframe measures of the plan, in the order they are taken."""

    rules: tuple[Rule, ...]
    measures: tuple[str, ...]
    quantiles: Quantiles
    alone: tuple[str, ...] = ()
    """Measures that are taken alone, behind those and before the pool is looked at."""
    late: frozenset[str] = frozenset(CAPTION_STAGES)
    """What is known of a clip only once it is cut and captioned."""

    @property
    def early(self) -> tuple[str, ...]:
        """All measures that are taken before the pool is looked at, in order."""
        return (*self.measures, *self.alone)

    def home(self, rule: Rule) -> int:
        """Index in `early` after which a rule can be judged: -1 for the split, their number for the whole pool, one more
        for what comes late."""
        if self._is_late(rule):
            return len(self.early) + 1
        if rule.quantiles or not rule.homes <= {SPLIT, *self.early}:
            return len(self.early)
        return max((self.early.index(home) for home in rule.homes - {SPLIT}), default=-1)

    def passes_before(self, *measures: str) -> str:
        """Whether a clip passes every rule that can be decided before any of these measures is taken; null if one cannot."""
        places = [self.early.index(name) for name in measures if name in self.early]
        return self._before(min(places, default=len(self.early)))

    def _before(self, place: int) -> str:
        return self._all([rule for rule in self.rules if self.home(rule) < place])

    def may_pass(self, *, besides: Collection[str] = ()) -> str:
        """Whether no rule is broken, nor undecidable for good: what is missing may still be measured.

        Rules on captions do not count: a clip that breaks one is cut and captioned all the same, and another writer's
        text may stand for it later. `besides` are measures that are about to be taken: without them all may pass.
        """
        undecided = [
            (rule, self._is_open(rule) if rule.homes.isdisjoint(besides) else "true")
            for rule in self.rules
            if not self._is_late(rule)
        ]
        return " and ".join(f"coalesce({rule.sql(self.quantiles)}, {is_open})" for rule, is_open in undecided) or "true"

    def in_pool(self) -> str:
        """Whether a clip passes every rule that does not look at the whole pool of clips."""
        return self._all([rule for rule in self.rules if self.home(rule) < len(self.early)])

    def unique_in_pool(self, *, captioned: bool = False) -> str:
        """The same, and those on duplicates: the clips that quantiles are taken over; `captioned`: those over captions."""
        return self._all([rule for rule in self.rules if not rule.quantiles and (captioned or not self._is_late(rule))])

    @property
    def on_captions(self) -> bool:
        """Whether a rule looks at what comes late: which clips are kept is known behind the captions."""
        return any(self._is_late(rule) for rule in self.rules)

    def before_captions(self) -> str:
        """Whether a clip passes every rule that does not look at captions: those that are cut and captioned."""
        return self._all([rule for rule in self.rules if not self._is_late(rule)])

    def _is_late(self, rule: Rule) -> bool:
        return not rule.homes.isdisjoint(self.late)

    def _all(self, rules: Sequence[Rule]) -> str:
        return " and ".join(rule.sql(self.quantiles) for rule in rules) or "true"

    def reasons(self) -> str:
        """A SQL list of the names of the rules a clip breaks, in order; empty if it is kept.

        A rule whose measure has no value is `unmeasured:<name>`: nothing passes by luck. One whose measure was not taken
        is named only if no rule is broken: it was not taken because the clip was dropped before, or it is still to come.
        """
        entries = [(rule.sql(self.quantiles), rule.name, self._is_open(rule)) for rule in self.rules]
        broken = [
            f"case when {passes} then null when not {passes} then '{name}' when {is_open} then null else 'unmeasured:{name}' end"
            for passes, name, is_open in entries
        ]
        waiting = [f"case when {passes} is null then 'unmeasured:{name}' end" for passes, name, _ in entries]
        lists = [f"list_filter([{', '.join(some)}]::varchar[], lambda x: x is not null)" for some in (broken, waiting)]
        return f"(case when len({lists[0]}) > 0 then {lists[0]} else {lists[1]} end)"

    def _is_open(self, rule: Rule) -> str:
        """SQL: whether a measure that the rule needs was not taken."""
        opens = [f"{home}_status is null" for home in sorted(rule.homes - {SPLIT})]
        opens += ["true" for bound in rule.quantiles if bound.value(self.quantiles) is None]
        return f"({' or '.join(opens) or 'false'})"
