"""Clips grouped by what rules say of them, as `hdvg filter --what-if` does, but from masks that are known instead of from the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from hdvg.config.rules import Quantiles, Rule
from hdvg.explore.counting import Counted, each_piece
from hdvg.explore.masks import Asking
from hdvg.explore.selection import Condition
from hdvg.filtering.whatif import Groups, Judge, group, homes_of

CELLS = 2**17
"""Of all answers that rules may give together; of more DuckDB counts the groups that there are."""


def grouping(state: Counted, asking: Asking) -> Callable[[duckdb.DuckDBPyConnection, Sequence[Judge]], Groups]:
    """What `what_if` may use in place of `group`."""

    def grouped(connection: duckdb.DuckDBPyConnection, judges: Sequence[Judge]) -> Groups:
        rules = {rule.sql(judge.quantiles): (rule, judge.quantiles) for judge in judges for rule in judge.rules}
        homes = homes_of(judges)
        if 3 ** len(rules) * 2 ** len(homes) > CELLS:
            return group(connection, judges)
        return _grouped(state, rules, homes, asking)

    return grouped


def _grouped(state: Counted, rules: dict[str, tuple[Rule, Quantiles]], homes: Sequence[str], asking: Asking) -> Groups:
    """A group is a number: of each rule a digit 0 (breaks), 1 (passes) or 2 (not known), then of each home whether it was taken."""
    said = [
        (state.masks.rule(*one, asking), state.masks.unknown(*one, asking))
        for one in rules.values()
    ]  # fmt: skip
    taken = [state.masks.of(_taken(home), {}, asking) for home in homes]
    cells, lengths = 3 ** len(said) * 2 ** len(taken), state.sidecar.lengths_s

    def counted(piece: slice) -> tuple[NDArray[Any], NDArray[Any]]:
        number = np.zeros(piece.stop - piece.start, np.int32)
        for passes, unknown in said:
            number *= 3
            number += passes[piece]
            number += 2 * unknown[piece].view(np.uint8)
        for mask in taken:
            number *= 2
            number += mask[piece]
        return np.bincount(number, minlength=cells), np.bincount(number, lengths[piece], cells)

    clips, seconds = np.zeros(cells, np.int64), np.zeros(cells)
    for some, of_some in each_piece(counted, len(lengths), asking):
        clips += some
        seconds += of_some
    numbers = np.flatnonzero(clips)
    left = numbers
    was_taken: dict[str, NDArray[np.bool_]] = {}
    for home in reversed(homes):
        left, digit = np.divmod(left, 2)
        was_taken[home] = digit == 1
    tests: dict[str, NDArray[np.int8]] = {}
    for sql in reversed(rules):
        left, digit = np.divmod(left, 3)
        tests[sql] = np.where(digit == 2, -1, digit).astype(np.int8)
    return Groups(tests, was_taken, clips[numbers], seconds[numbers] / 3600)


def _taken(home: str) -> Condition:
    sql = f"{home}_status is not null"
    return Condition("sql", ("sql", sql), values=(sql,))
