"""The commands that show a dataset: a report to send."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdvg.cli import output
from hdvg.cli.arguments import Folder, Json
from hdvg.cli.tables import print_json
from hdvg.errors import UsageError

if TYPE_CHECKING:
    from hdvg.config.recipe import Recipe
    from hdvg.dataset.dataset import Dataset

commands = typer.Typer()


@commands.command()
def report(
    dataset: Folder,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="the page, FILE.html, or a Markdown card, FILE.md"),
    ] = None,
    card: Annotated[Path | None, typer.Option("--card", metavar="FILE.md", help="write the Markdown card too")] = None,
    compare: Annotated[
        str | None, typer.Option("--compare", metavar="DATASET|RECIPE", help="what only this or only the other keeps")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a page that shows the dataset: one file that opens from disk, with thresholds to drag, or a Markdown card.

    Example: hdvg report my-dataset -o report.html --card card.md
    """
    from hdvg.dataset.dataset import Dataset
    from hdvg.reports.page.write import written

    if out is None and card is None and not as_json:
        raise UsageError("say where the report goes: hdvg report DATASET -o report.html (or -o card.md, or --json)")
    other = None if compare is None else _other(compare)
    figures = written(Dataset.open(dataset), out=out, card=card, compare=other, say=output.note)
    if as_json:
        return print_json(figures)
    for path in filter(None, (out, card)):
        typer.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB" if path == out else str(path))


def _other(name: str) -> Dataset | Recipe:
    """What is compared with: the dataset of a folder, else a recipe."""
    from hdvg.dataset.dataset import Dataset
    from pipelines.recipes import find_recipe

    if Path(name).is_dir():
        return Dataset.open(Path(name))
    return find_recipe(name)
