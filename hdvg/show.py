"""Put answers on the terminal: tables and JSON, with what came from outside kept inert."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from hdvg.dataset import Dataset


def console() -> Console:
    """Where progress and notes go: standard error."""
    from rich.console import Console

    return Console(stderr=True, markup=False, emoji=False)  # links and folders are shown as they are


def status(dataset: Dataset, *, as_json: bool) -> None:
    """The funnel, the reasons, what is pending, and how fast a run goes."""
    from hdvg.status import status as find

    said = find(dataset)
    if as_json:
        return print_json(said)
    typer.echo(f"{said['dataset']} (recipe {said['recipe']})")
    print_table(["stage", "items", "hours"], (row.values() for row in said["funnel"]))
    for title, key in (("dropped for", "dropped"), ("failures", "failures"), ("pending", "pending")):
        if said[key]:
            print_table(
                [title if index == 0 else name for index, name in enumerate(said[key][0])],
                (row.values() for row in said[key]),
            )
    if said["decode_passes"]["mean"] is not None:
        mean, most = said["decode_passes"]["mean"], said["decode_passes"]["max"]
        typer.echo(f"decode passes per source, split and cut together: {mean:.2f} on average, {most:.2f} at most")
    if said["running"]:
        speed, eta = said["videos_per_min"], said["eta_s"]
        typer.echo(
            f"running: {speed:.1f} videos/min, about {eta:.0f} s left" if speed and eta is not None else "running"
        )
    elif said["pending"]:
        typer.echo(f"to go on: hdvg run {os.path.relpath(dataset.root)}")


def stage_counts(dataset: Dataset, stage: str) -> None:
    """What of one stage is done, failed and pending."""
    with dataset.manifest() as manifest:
        counts = manifest.rows(
            "select coalesce(old_status, 'pending') as status, old_reason as reason, count(*) as items "
            "from wanted where stage = ? group by all order by items desc, status",
            [stage],
        )
    print_table([stage, "reason", "items"], (row.values() for row in counts))


def print_json(value: object) -> None:
    """For scripts."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def plain(value: object) -> str:
    """A value as one line of text without control characters: what came from outside stays data."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | Mapping) else str(value)
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def print_table(names: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """For people; no line is cut."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console() if sys.stdout.isatty() else Console(width=200)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(value)) for value in row))
    console.print(table)
