"""The options of commands that take links which are about lists on sites, and how a list is shown."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdvg.cli import output
from hdvg.cli.tables import plain, print_json, print_table
from hdvg.errors import UsageError

if TYPE_CHECKING:
    from hdvg.config.recipe import Recipe
    from hdvg.sources.lists.filter import Choice

MOST = 10_000
SHOWN = 50
COLUMNS = ("duration_s", "height", "licence_class", "upload_date", "language", "view_count", "title", "url")

ListOnly = Annotated[
    bool,
    typer.Option("--list-only", help="show what a list on a site would give: nothing is stored, no video is asked for"),
]
MaxItems = Annotated[
    int, typer.Option("--max-items", min=1, metavar="N", help="most entries that are read of each list on a site")
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="only entries of a list of which it holds: \"duration_s between 10 and 1200 and licence_class = 'cc-by'\"; "
        "may be repeated",
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="drop entries of which the list does not say what --where needs")
]
Json = Annotated[bool, typer.Option("--json", help="with --list-only: JSON, for scripts")]


def choose(
    links: Sequence[str] | None, *, list_only: bool, most: int, where: Sequence[str] | None, strict: bool, as_json: bool
) -> tuple[tuple[str, ...], Choice]:
    """The sources of links and which entries of lists are taken. With an option for lists any http(s) link is one.

    Raises UsageError for such an option without a list, and for what is no condition.
    """
    from hdvg.sources.lists.filter import Choice, check_conditions
    from hdvg.sources.lists.source import as_lists

    used = {"--list-only": list_only, "--max-items": most != MOST, "--where": where, "--strict": strict}
    names = [name for name, value in used.items() if value]
    if as_json and not list_only:
        raise UsageError("--json goes with --list-only; what is in a dataset: hdvg status DATASET --json")
    if strict and not where:
        raise UsageError("--strict goes with --where: it drops entries that do not say what a condition needs")
    check_conditions(where or ())
    taken = as_lists(links or (), because=names[0]) if names else tuple(links or ())
    return taken, Choice(most, tuple(where or ()), strict)


def show_lists(links: Sequence[str], choice: Choice, recipe: Recipe, *, as_json: bool) -> bool:
    """Read lists on sites and print what would come; nothing is stored. False if one of them broke off."""
    from hdvg.sandbox import Sandbox
    from hdvg.sources.lists.filter import choose_entries
    from hdvg.sources.lists.listing import PRELOAD
    from hdvg.sources.lists.source import list_source
    from pipelines.listing import counting, look, report

    lists: list[dict[str, Any]] = []
    whole = True
    with tempfile.TemporaryDirectory() as folder, closing(Sandbox(PRELOAD)) as sandbox:
        for number, source in enumerate(filter(None, map(list_source, links))):
            kept = Path(folder) / str(number)
            with counting(kept, output.console()):
                found = look(source, choice, folder=kept, recipe=recipe, sandbox=sandbox)
            chosen = choose_entries(found.rows, choice)
            lists.append({"links": source.text, "says": report(found, chosen, choice), "rows": chosen.rows})
            whole &= found.broken is None
    if as_json:
        print_json(lists)
    else:
        _print(lists)
    return whole


def _print(lists: Sequence[Mapping[str, Any]]) -> None:
    for found in lists:
        rows = found["rows"]
        if rows:
            print_table(COLUMNS, ([row[name] for name in COLUMNS] for row in rows[:SHOWN]))
        if len(rows) > SHOWN:
            typer.echo(f"… {len(rows) - SHOWN} more; --json gives all")
        for line in found["says"]:
            typer.echo(f"{plain(found['links'])}: {plain(line)}")
        typer.echo(
            f"to take these: the same without --list-only, with --links {shlex.quote(found['links'])} --out DATASET"
        )
