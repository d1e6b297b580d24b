"""Change a recipe's `keep` by a supposition, such as `text_area <= 0.05`, and say what was changed."""

from __future__ import annotations

from collections.abc import Mapping

from hdvg.config.rules import BUILT_IN, Bound, Columns, Rule, parse_rule
from hdvg.errors import UsageError

Keep = dict[str, str]
"""Rules by name, as a recipe has them."""


def suppose(keep: Mapping[str, str], expression: str, columns: Columns = BUILT_IN) -> Keep:
    """The rules if `expression` held.

    A bound takes the place of those that bound the same measure on the same side, under their name; the other side of such a
    rule stays. Where there is none, and for any other condition, a rule is added with the name of its (first) measure.
    Raises UsageError if it is no rule.
    """
    try:
        rule = parse_rule("supposed", expression, columns)
    except ValueError as error:
        raise UsageError(f"--what-if: {str(error).removeprefix('rule supposed = ')}") from None
    if rule.column is None:
        return {**keep, _free_name(keep, rule.columns[0]): expression}
    changed, new = dict(keep), {}
    for side, bound in (("low", rule.low), ("high", rule.high)):
        if bound and bounding(keep, rule.column, side, columns):
            changed = set_bound(changed, rule.column, side, bound, columns)
        elif bound:
            new[side] = bound
    if new:
        changed[_free_name(changed, rule.column)] = range_text(rule.column, **new)
    return changed


def bounding(keep: Mapping[str, str], column: str, side: str, columns: Columns = BUILT_IN) -> list[Rule]:
    """The rules that bound `column` on this side, `low` or `high`."""
    rules = (parse_rule(name, text, columns) for name, text in keep.items())
    return [rule for rule in rules if rule.column == column and getattr(rule, side) is not None]


def set_bound(
    keep: Mapping[str, str], column: str, side: str, bound: Bound | None, columns: Columns = BUILT_IN
) -> Keep:
    """The rules with this bound of `column` on this side, or none.

    Of several rules that bound it there the first gets the new bound and the others lose theirs; where there is none, one is
    added. A rule without any bound left goes.
    """
    rules, changed = bounding(keep, column, side, columns), dict(keep)
    for place, rule in enumerate(rules):
        ends = {"low": rule.low, "high": rule.high, side: bound if place == 0 else None}
        if any(ends.values()):
            changed[rule.name] = range_text(column, **ends)
        else:
            del changed[rule.name]
    if bound and not rules:
        changed[_free_name(keep, column)] = range_text(column, **{side: bound})
    return changed


def range_text(column: str, low: Bound | None = None, high: Bound | None = None) -> str:
    """A range as a rule's text: `2 <= duration_s < 20`."""
    if low and high:
        return f"{_written(low)} {_sign('<', low)} {column} {_sign('<', high)} {_written(high)}"
    bound = low or high
    if bound is None:
        raise ValueError(f"{column}: a range has an end")
    return f"{column} {_sign('>' if low else '<', bound)} {_written(bound)}"


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The `--set` values that make the one the other."""
    gone = [f"keep.{name}=null" for name in before if name not in after]
    return gone + [f"keep.{name}={text}" for name, text in after.items() if before.get(name) != text]


def _sign(sign: str, bound: Bound) -> str:
    return f"{sign}=" if bound.closed else sign


def _written(bound: Bound) -> str:
    number = repr(bound.number if bound.share is None else bound.share).removesuffix(".0")
    return number if bound.share is None else f"quantile({number})"


def _free_name(keep: Mapping[str, str], column: str) -> str:
    """The measure's name, numbered if a rule has it."""
    names = [column, *(f"{column}_{number}" for number in range(2, len(keep) + 3))]
    return next(name for name in names if name not in keep)
