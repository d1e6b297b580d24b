"""Find thresholds for a keep rate: the named measures' bounds move together, each equally strict.

*Strictness* u of a bound is the share of the pool that it drops alone: the pool are the clips that pass all other rules but those
on quantiles, as far as the measure is known of them. A clip's *standing* is the largest u at which every tuned bound keeps it, so
the clips kept at u are those that stand at u or higher, and u is found by bisection over the standings there are. The shares
that the bounds drop differ by one clip at most, or by clips with equal values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from hdvg.config.rules import BUILT_IN, Bound, Columns, Rule, Verdicts, parse_rule, parse_rules
from hdvg.dataset.snapshot import SOURCE
from hdvg.errors import UsageError
from hdvg.filtering.edit import Keep, bounding, set_bound

AXIS = re.compile(r"\s*([a-z_][a-z0-9_]*)\s*(<=|>=)?\s*")
SIDE = {"<=": "high", ">=": "low"}

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """A bound that is moved: of `column`, on its `low` or `high` side."""

    column: str
    side: str


@dataclass(frozen=True)
class Tuned:
    """The rules with the bounds that were found, and how they were found, ready for JSON."""

    keep: Keep
    found: dict[str, Any]


def parse_axes(text: str, keep: Mapping[str, str], columns: Columns = BUILT_IN) -> list[Axis]:
    """The measures of `--tune text_area,motion_px_s>=`; one without a sign is bounded where its rule bounds it.

    Raises UsageError for an unknown measure, and where it does not say which side is meant.
    """
    axes = []
    for item in text.split(","):
        found = AXIS.fullmatch(item)
        if not found:
            raise UsageError(f"--tune {item!r}: write measures with commas, such as 'text_area<=,motion_px_s>='")
        column, sign = found.groups()
        try:
            parse_rule("tuned", f"{column} >= 0", columns)
        except ValueError as error:
            raise UsageError(f"--tune {column}: {str(error).partition(': ')[2]}") from None
        sides = [SIDE[sign]] if sign else [side for side in SIDE.values() if bounding(keep, column, side, columns)]
        if len(sides) != 1:
            why = "no rule bounds it" if not sides else "rules bound it on both sides"
            raise UsageError(f"--tune {column}: {why}; say which side is to move: '{column}<=' or '{column}>='")
        axes.append(Axis(column, sides[0]))
    if len(set(axes)) < len(axes):
        raise UsageError(f"--tune {text}: the same bound twice")
    return axes


def tune(
    connection: duckdb.DuckDBPyConnection,
    keep: Mapping[str, str],
    axes: Sequence[Axis],
    *,
    target_share: float,
    columns: Columns = BUILT_IN,
) -> Tuned:
    """Bounds on the axes, equally strict, with which `target_share` of all clips is kept, as near as equal values allow.

    `connection` has the table `SOURCE`. Raises UsageError with the numbers if the other rules keep less than that.
    """
    others: Keep = dict(keep)
    for axis in axes:
        others = set_bound(others, axis.column, axis.side, None, columns)
    rules = parse_rules(others, columns)
    (all_clips,) = connection.execute(f"select count(*) from {SOURCE}").fetchall()[0]
    pool = _pool(connection, rules, [axis.column for axis in axes])
    standings = [_standing(pool[axis.column], axis.side, ahead=place / len(axes)) for place, axis in enumerate(axes)]
    standing = np.minimum.reduce(standings)
    search = _Search(pool, standing, [rule for rule in rules if rule.quantiles])
    target = max(int(target_share * all_clips + 0.5), 1)
    most = search.kept(0.0)
    if most < target:
        raise UsageError(
            f"--target-keep {target_share:g} is {target} of {all_clips} clips, but the rules that are not tuned keep {search.others()}, "
            f"and {most} of these have all tuned measures; ask for at most {most / max(all_clips, 1):.4f}, or loosen other rules"
        )
    strictness = search.bisect(target)
    found = [_bound(axis, pool[axis.column], stand, strictness) for axis, stand in zip(axes, standings, strict=True)]
    for axis, row in zip(axes, found, strict=True):
        bound = Bound(axis.column, closed=True, number=row["threshold"])
        keep = set_bound(keep, axis.column, axis.side, bound, columns)
    reached = {"target": target_share, "target_clips": target, "kept": search.kept(strictness), "pool": len(standing)}
    return Tuned(dict(keep), reached | {"strictness": strictness, "bounds": found})


def _bound(axis: Axis, values: Values, standing: Values, strictness: float) -> dict[str, Any]:
    """What the bound comes to, and the share of the pool that it drops alone."""
    known = standing >= 0
    return {
        "measure": axis.column,
        "bound": ">=" if axis.side == "low" else "<=",
        "threshold": _threshold(values, standing, strictness, axis.side),
        "drops_of_pool": float((known & (standing < strictness)).sum() / known.sum()),
        "unmeasured": int((~known).sum()),
    }


def _pool(connection: duckdb.DuckDBPyConnection, rules: Sequence[Rule], tuned: Sequence[str]) -> dict[str, Values]:
    """The columns that are tuned, or bounded by quantiles, of the clips that pass all rules but those; NaN is no value."""
    columns = dict.fromkeys([*tuned, *(str(rule.column) for rule in rules if rule.quantiles)])
    asked = ", ".join(f"coalesce({column}::double, 'nan'::double) as {column}" for column in columns)
    passes = Verdicts(tuple(rules), (), {}).unique_in_pool()
    rows = connection.execute(f"select {asked} from {SOURCE} where {passes}").fetchnumpy()
    return {column: np.asarray(rows[column], np.float64) for column in columns}


def _standing(values: Values, side: str, *, ahead: float) -> Values:
    """The share of the known values that lie beyond each on the side that is dropped; -1 where there is no value.

    `ahead` of a clip is added, so that bounds take turns in becoming stricter instead of all dropping a clip at once.
    """
    standing = np.full(len(values), -1.0)
    known = np.flatnonzero(~np.isnan(values))
    if len(known):
        worth = values[known] if side == "low" else -values[known]
        order = np.argsort(worth, kind="stable")
        first = np.flatnonzero(np.diff(worth[order], prepend=-np.inf))
        places = np.repeat(first, np.diff(first, append=len(known)))
        standing[known[order]] = (places + ahead) / len(known)
    return standing


def _threshold(values: Values, standing: Values, strictness: float, side: str) -> float:
    """The number with the fewest digits between the last value that is dropped and the first that is kept."""
    sign = 1 if side == "low" else -1
    worth = sign * values
    last = float(worth[standing >= strictness].min())
    dropped = worth[(standing >= 0) & (standing < strictness)]
    beyond = float(dropped.max()) if len(dropped) else -np.inf
    tries = (float(f"{last:.{digits}g}") for digits in range(1, 18))
    return sign * next((number for number in tries if beyond < number <= last), last)


@dataclass(frozen=True)
class _Search:
    """The pool, the standing of its clips, and the rules on quantiles, whose values follow the clips that stand."""

    pool: Mapping[str, Values]
    standing: Values
    quantile_rules: Sequence[Rule]

    def kept(self, strictness: float) -> int:
        """Clips kept where the tuned bounds are that strict."""
        return self._count(self.standing >= strictness)

    def others(self) -> int:
        """Clips that the other rules keep."""
        return self._count(np.ones(len(self.standing), bool))

    def bisect(self, target: int) -> float:
        """The strictness that keeps the number of clips next to `target`; of two as near, the looser."""
        levels = np.unique(self.standing[self.standing >= 0])
        loose, strict = 0, len(levels)  # at `loose` enough are kept; at `strict` too few
        while strict - loose > 1:
            middle = (loose + strict) // 2
            if self.kept(levels[middle]) >= target:
                loose = middle
            else:
                strict = middle
        near = levels[loose : strict + 1]
        return float(min(near, key=lambda level: abs(self.kept(level) - target)))

    def _count(self, stand: NDArray[np.bool_]) -> int:
        kept = stand.copy()
        for rule in self.quantile_rules:
            values = self.pool[str(rule.column)]
            known = values[stand & ~np.isnan(values)]
            for bound in rule.bounds:
                end = bound.number if bound.share is None else np.quantile(known, bound.share) if len(known) else np.nan
                inside = values > end if bound is rule.low else values < end
                kept &= inside | (values == end) if bound.closed else inside
        return int(kept.sum())
