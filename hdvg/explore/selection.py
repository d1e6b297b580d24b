"""Which clips a question is about: a selection, as the page sends it, read and checked into conditions that hold row by row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hdvg.config.conditions import condition_columns
from hdvg.config.rules import Bound, Columns, Rule, parse_rules
from hdvg.dataset.plan import Plan
from hdvg.errors import UsageError
from hdvg.explore.sidecar import Column
from schemas.annotations import MARKS

KEYS = frozenset({"rules", "verdict", "broken", "bounds", "only", "sql", "text", "marks", "polygon", "like"})
NO_MARK = "none"
MOST = 200
"""Rules, bounds or values of one selection."""
CONDITIONS = 250
"""Of one selection: those that hold are counted in a byte."""
TEXT_CHARACTERS = 500
PLACED_TEXTS = ("caption", "title", "source", "clip_id", "video_id", *("captioner", "cut_status", "clip_codec"))
"""Columns that are no measures and that a condition in SQL may name."""

Sort = Literal["kept", "dropped", "rule", "range", "only", "sql", "text", "marks", "polygon", "like"]


@dataclass(frozen=True)
class Condition:
    """What a row must hold. `column` is set where it bounds one measure alone: a histogram of that one is without it.

    `key` says all that its rows depend on beside the dataset: equal keys are equal rows.
    """

    sort: Sort
    key: tuple[Any, ...]
    column: str | None = None
    rules: tuple[Rule, ...] = ()
    low: Bound | None = None
    high: Bound | None = None
    values: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Selection:
    """The conditions, the rules by which verdicts are shown, and the clip that the others are to be like."""

    conditions: tuple[Condition, ...]
    rules: tuple[Rule, ...]
    like: str | None = None


def read_selection(asked: Any, plan: Plan, columns: Mapping[str, Column]) -> Selection:
    """The selection that a page sent. Raises UsageError for what is none."""
    asked = _object(asked or {})
    if odd := sorted(asked.keys() - KEYS):
        raise UsageError(f"selection: {', '.join(odd)}: unknown; known: {', '.join(sorted(KEYS))}")
    rules = read_rules(asked.get("rules"), plan)
    known = plan.recipe.measure.columns
    found = list(_verdict(asked, rules))
    ranges = [_range(_object(one), columns) for one in _few(asked.get("bounds"), "bounds")]
    found += [one for one in ranges if one.low or one.high]
    found += [_only(_object(one), columns) for one in _few(asked.get("only"), "only")]
    if asked.get("sql"):
        found.append(_sql(asked["sql"], known))
    if asked.get("text"):
        words = tuple(sorted(set(_text(asked["text"], "text").casefold().split())))
        found.append(Condition("text", ("text", words), values=words))
    if asked.get("marks"):
        marks = tuple(sorted({str(mark) for mark in _few(asked["marks"], "marks")}))
        if strange := set(marks) - {*MARKS, NO_MARK}:
            raise UsageError(f"marks: {sorted(map(str, strange))}: unknown; known: {', '.join((*MARKS, NO_MARK))}")
        found.append(Condition("marks", ("marks", marks), values=marks))
    if asked.get("polygon"):
        found.append(_polygon(asked["polygon"]))
    like = asked.get("like")
    if like is not None:
        like = _text(like, "like")
        found.append(Condition("like", ("like", like), values=(like,)))
    if len(found) > CONDITIONS:
        raise UsageError(f"selection: {len(found)} conditions; at most {CONDITIONS}")
    return Selection(tuple(found), rules, like)


def read_rules(given: Any, plan: Plan) -> tuple[Rule, ...]:
    """The rules of a draft, or the dataset's own if it is None. Raises UsageError for what is no rule."""
    if given is None:
        return plan.recipe.rules
    keep = _object(given)
    if len(keep) > MOST or not all(isinstance(text, str) for text in keep.values()):
        raise UsageError(f"rules: a text by name, at most {MOST}")
    try:
        return parse_rules(keep, plan.recipe.measure.columns)
    except ValueError as error:
        raise UsageError(str(error)) from None


def number(value: Any, what: str) -> float:
    """A number, or one of the three texts that stand for what JSON has not."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    raise UsageError(f"{what} = {str(value)[:80]!r}: no number")


def _verdict(asked: Mapping[str, Any], rules: tuple[Rule, ...]) -> list[Condition]:
    verdict, found = asked.get("verdict"), []
    if verdict == "kept":
        found += [Condition("rule", ("rule", rule.text), rule.column, (rule,)) for rule in rules]
    elif verdict == "dropped":
        found.append(Condition("dropped", ("dropped", *(rule.text for rule in rules)), rules=rules))
    elif verdict is not None:
        raise UsageError(f"verdict = {str(verdict)[:80]!r}: kept or dropped, or leave it out")
    broken = _few(asked.get("broken"), "broken")
    if broken:
        by_name = {rule.name: rule for rule in rules}
        if odd := [str(name) for name in broken if name not in by_name]:
            raise UsageError(f"broken: {', '.join(odd)}: no rule; rules: {', '.join(by_name)}")
        some = tuple(by_name[name] for name in broken)
        found.append(Condition("dropped", ("dropped", *(rule.text for rule in some)), rules=some))
    return found


def _range(asked: Mapping[str, Any], columns: Mapping[str, Column]) -> Condition:
    column = _column(asked, columns)
    if column.kind == "text":
        raise UsageError(f"bounds: {column.name} is a text; name its values in `only`")
    ends = []
    for side in ("low", "high"):
        value = asked.get(side)
        closed = bool(asked.get(f"{side}_closed", True))
        ends.append(None if value is None else Bound(column.name, closed, number(value, f"bounds: {side}")))
    low, high = ends
    return Condition("range", ("range", column.name, low, high), column.name, low=low, high=high)


def _only(asked: Mapping[str, Any], columns: Mapping[str, Column]) -> Condition:
    column, values = _column(asked, columns), tuple(_few(asked.get("values"), "only: values"))
    kinds: tuple[type, ...] = (str,) if column.kind == "text" else (bool, int, float)
    if odd := [value for value in values if value is not None and not isinstance(value, kinds)]:
        raise UsageError(f"only: {str(odd[0])[:80]!r} is no value of {column.name}")
    return Condition("only", ("only", column.name, *values), column.name, values=values)


def _sql(text: Any, known: Columns) -> Condition:
    text = _text(text, "sql", most=20_000)
    import pyarrow as pa

    types = {**{name: pa.string() for name in PLACED_TEXTS}, **known.types}

    def check(names: Sequence[str]) -> None:
        known.check_known([name for name in names if name not in PLACED_TEXTS])

    try:
        condition_columns(text, types, check, example="duration_s > 3 and caption is not null")
    except ValueError as error:
        raise UsageError(f"sql: {error}") from None
    return Condition("sql", ("sql", text), values=(text,))


def _polygon(asked: Any) -> Condition:
    points = _few(asked, "polygon", most=2000)
    if len(points) < 3 or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise UsageError("polygon: at least 3 points [x, y] of the map")
    corners = tuple((number(x, "polygon"), number(y, "polygon")) for x, y in points)
    if not all(math.isfinite(end) for corner in corners for end in corner):
        raise UsageError("polygon: a point is not finite")
    return Condition("polygon", ("polygon", corners), values=corners)


def _column(asked: Mapping[str, Any], columns: Mapping[str, Column]) -> Column:
    return known_column(asked.get("column"), columns)


def known_column(name: Any, columns: Mapping[str, Column]) -> Column:
    """The column of that name. Raises UsageError if there is none that can be counted."""
    if not isinstance(name, str) or name not in columns:
        raise UsageError(f"column {str(name)[:80]!r}: none that can be counted; /api/meta lists them")
    return columns[name]


def _object(asked: Any) -> Mapping[str, Any]:
    if not isinstance(asked, dict):
        raise UsageError(f"{str(asked)[:80]!r}: an object was expected")
    return asked


def _few(asked: Any, what: str, *, most: int = MOST) -> list[Any]:
    if asked is None:
        return []
    if not isinstance(asked, list) or len(asked) > most:
        raise UsageError(f"{what}: a list of at most {most}")
    return asked


def _text(asked: Any, what: str, *, most: int = TEXT_CHARACTERS) -> str:
    if not isinstance(asked, str) or len(asked) > most:
        raise UsageError(f"{what}: a text of at most {most} characters")
    return asked
