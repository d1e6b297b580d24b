"""Clips grouped by what rules say of them, as `hdvg filter --what-if` does, but from masks that are known instead of from the rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from hdvg.config.rules import Quantiles, Rule
from hdvg.explore.counting import Counted, each_piece
from hdvg.explore.masks import Asking, Mask
from hdvg.explore.selection import Condition
from hdvg.filtering.whatif import Groups, Judge, group, homes_of

CELLS = 2**19
"""Of all answers that rules may give together; of more DuckDB counts the groups that there are."""


def grouping(state: Counted, asking: Asking) -> Callable[[duckdb.DuckDBPyConnection, Sequence[Judge]], Groups]:
    """What `what_if` may use in place of `group`."""

    def grouped(connection: duckdb.DuckDBPyConnection, judges: Sequence[Judge]) -> Groups:
        rules = {rule.sql(judge.quantiles): (rule, judge.quantiles) for judge in judges for rule in judge.rules}
        homes = homes_of(judges)
        said = [_said(state, *one, asking) for one in rules.values()]
        if math.prod(one.answers for one in said) * 2 ** len(homes) > CELLS:
            return group(connection, judges)
        taken = [state.masks.of(_taken(home), {}, asking) for home in homes]
        return _grouped(state, dict(zip(rules, said, strict=True)), dict(zip(homes, taken, strict=True)), asking)

    return grouped


@dataclass(frozen=True)
class _Said:
    """What a rule says of every row. `unknown` is None where it can say so of all."""

    passes: Mask
    unknown: Mask | None

    @property
    def answers(self) -> int:
        return 2 if self.unknown is None else 3


def _said(state: Counted, rule: Rule, quantiles: Quantiles, asking: Asking) -> _Said:
    unknown = state.masks.unknown(rule, quantiles, asking)
    return _Said(state.masks.rule(rule, quantiles, asking), unknown if unknown.any() else None)


def _grouped(state: Counted, said: dict[str, _Said], taken: dict[str, Mask], asking: Asking) -> Groups:
    """A group is a number: of each rule a digit 0 (breaks), 1 (passes) or 2 (not known), then of each home whether it was taken."""
    cells, lengths = math.prod(one.answers for one in said.values()) * 2 ** len(taken), state.sidecar.lengths_s

    def counted(piece: slice) -> tuple[NDArray[Any], NDArray[Any]]:
        number = np.zeros(piece.stop - piece.start, np.int32)
        for one in said.values():
            number *= one.answers
            number += one.passes[piece]
            if one.unknown is not None:
                number += 2 * one.unknown[piece].view(np.uint8)
        for mask in taken.values():
            number *= 2
            number += mask[piece]
        return np.bincount(number, minlength=cells), np.bincount(number, lengths[piece], cells)

    clips, seconds = np.zeros(cells, np.int64), np.zeros(cells)
    for some, of_some in each_piece(counted, len(lengths), asking):
        clips += some
        seconds += of_some
    numbers = np.flatnonzero(clips)
    left, was_taken, tests = numbers, {}, {}
    for home in reversed(taken):
        left, digit = np.divmod(left, 2)
        was_taken[home] = digit == 1
    for sql, one in reversed(said.items()):
        left, digit = np.divmod(left, one.answers)
        tests[sql] = np.where(digit == 2, -1, digit).astype(np.int8)
    return Groups(tests, was_taken, clips[numbers], seconds[numbers] / 3600)


def _taken(home: str) -> Condition:
    sql = f"{home}_status is not null"
    return Condition("sql", ("sql", sql), values=(sql,))
