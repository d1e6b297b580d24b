"""Tables for people and JSON for scripts, with what came from outside kept inert."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer

from hdvg.errors import UsageError, suggestion

KEYS = (
    "clip_id", "video_id", "key", "stage", "status", "reason", "keep", "reasons", "duration_s", "caption", "detail",
    "start_s", "end_s", "source", "link", "title",
)  # fmt: skip
"""Columns that are shown first where not all fit, in this order."""

WIDEST = 48
"""Characters that a column takes at most where not all fit; a longer value goes on in the next line."""

GAP = 2
FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]")
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
WHOLE = 1_000_000
"""Width of an output that is no terminal: nothing is cut or folded."""


def print_json(value: object) -> None:
    """For scripts."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def inert(value: object) -> str:
    """As `plain`, for CSV: a text that a spreadsheet would take for a formula has an apostrophe before it; numbers stay numbers."""
    shown = plain(value)
    is_formula = isinstance(value, str) and FORMULA.match(shown) and not NUMBER.fullmatch(shown)
    return f"'{shown}" if is_formula else shown


def plain(value: object) -> str:
    """A value as one line of text without control characters: what came from outside stays data."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | Mapping) else str(value)
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def terminal_width() -> int | None:
    """Characters of the terminal that standard output is; None if it is a pipe or a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_table(names: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Every column; on a terminal a long value goes on in the next line, elsewhere a row is one line."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(value)) for value in row))
    console = Console(width=terminal_width() or WHOLE)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


def choose_columns(names: Sequence[str], wanted: str) -> list[str]:
    """The columns that `--columns a,b` names, in its order. Raises UsageError for one that is not there."""
    chosen = [name.strip() for name in wanted.split(",") if name.strip()]
    for name in chosen:
        if name not in names:
            hint = suggestion(name, names, f"there are: {', '.join(names)}")
            raise UsageError(f"--columns {wanted}: the answer has no column `{name}`; {hint}")
    if not chosen:
        raise UsageError(f"--columns {wanted}: name at least one column; there are: {', '.join(names)}")
    return chosen


def print_fitting(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """As many columns as the terminal has room for, key columns first, and the names of the others below."""
    room = terminal_width()
    widths = {name: max(len(name), *(len(plain(row[name])) for row in rows), 1) for name in names}
    shown = list(names) if room is None else fitting(widths, room)
    print_table(shown, ([row[name] for name in shown] for row in rows))
    left = [name for name in names if name not in shown]
    if left:
        typer.echo(
            f"{len(left)} more columns: {', '.join(left)}; --columns a,b chooses, --all shows all, as do --json and --csv"
        )


def fitting(widths: Mapping[str, int], room: int) -> list[str]:
    """The columns that stand beside each other in `room` characters: all, in their order, or the key ones first, and then
    those for which there is room. `widths` are of their longest values."""
    if sum(widths.values()) + GAP * (len(widths) - 1) <= room:
        return list(widths)
    ordered = sorted(widths, key=lambda name: KEYS.index(name) if name in KEYS else len(KEYS))
    shown: list[str] = []
    used = -GAP
    for name in ordered:
        width = min(widths[name], WIDEST) + GAP
        if not shown or used + width <= room:
            shown.append(name)
            used += width
    return shown


def print_records(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Every column of every row, one below the other: for answers that are wider than any terminal."""
    for number, row in enumerate(rows, start=1):
        typer.echo(f"{'' if number == 1 else chr(10)}row {number}")
        print_table(["column", "value"], ([name, row[name]] for name in names))
