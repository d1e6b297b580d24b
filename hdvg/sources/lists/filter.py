"""Conditions on the entries of a list, decided by what the list says, before anything is fetched."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from hdvg.config.conditions import condition_columns
from hdvg.errors import UsageError, suggestion
from hdvg.sources.lists.entries import ENTRY, Row

SAMPLE: Row = dict.fromkeys(ENTRY.names) | {
    "upload_date": datetime.date(2020, 1, 1),
    "title": "1",
    "language": "en",
}
"""A row on which a condition must work: a date that is none is found before a list is read."""

TYPES = {column.name: column.type for column in ENTRY}
EXAMPLE = "`duration_s between 10 and 1200` or `licence_class in ('cc0', 'cc-by')`"


@dataclass(frozen=True)
class Choice:
    """Which entries of a list are taken: at most the first `most` are read, and those pass of which all conditions hold.

    A condition that needs what the list does not say is unknown: the entry passes it, or with `strict` fails it.
    """

    most: int = 10_000
    conditions: tuple[str, ...] = ()
    strict: bool = False


@dataclass(frozen=True)
class Chosen:
    """Rows that pass, how many each condition dropped (of several the first), and how many it was unknown of: of those that
    pass, or if strict of those it dropped."""

    rows: list[Row]
    dropped: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)


def check_conditions(conditions: Sequence[str]) -> None:
    """Raise UsageError for what is no condition on the columns of `ENTRY`."""
    for text in conditions:
        try:
            condition_columns(text, TYPES, _check_known, example=EXAMPLE)
            _answers([SAMPLE], [text])
        except ValueError as error:
            raise UsageError(f"--where {text!r}: {error}") from None


def _check_known(columns: Sequence[str]) -> None:
    for column in columns:
        if column not in TYPES:
            hint = f"{suggestion(column, TYPES)} there are: {', '.join(TYPES)}".strip()
            raise ValueError(f"a list says nothing of `{column}`; {hint}")


def choose_entries(rows: Sequence[Row], choice: Choice) -> Chosen:
    """The entries that pass, in their order. Raises UsageError where a condition cannot be computed for a value in them."""
    if not choice.conditions or not rows:
        return Chosen(list(rows))
    chosen = Chosen([])
    for row, answers in zip(rows, _answers(rows, choice.conditions), strict=True):
        outcomes = dict(zip(choice.conditions, answers, strict=True))
        failed = next(
            (text for text, passes in outcomes.items() if passes is False or (choice.strict and not passes)), None
        )
        if failed is None:
            chosen.rows.append(row)
            chosen.unknown.update(text for text, passes in outcomes.items() if passes is None)
        else:
            chosen.dropped[failed] += 1
            chosen.unknown.update([failed] if outcomes[failed] is None else [])
    return chosen


def _answers(rows: Sequence[Row], conditions: Sequence[str]) -> list[tuple[bool | None, ...]]:
    import duckdb

    with duckdb.connect(config={"threads": 1, "enable_external_access": False, "temp_directory": ""}) as connection:
        table = pa.Table.from_pylist([row | {"place": place} for place, row in enumerate(rows)], schema=PLACED)
        connection.register("entries", table)
        try:
            asked = ", ".join(f"({text})" for text in conditions)
            return connection.execute(f"select {asked} from entries order by place").fetchall()
        except duckdb.Error as error:
            raise UsageError(f"--where: {str(error).splitlines()[0]}; write such as {EXAMPLE}") from None


PLACED = ENTRY.append(pa.field("place", pa.int64()))
