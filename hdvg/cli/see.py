"""The commands that show a dataset: in a browser, in a file to send, in a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdvg.cli import output
from hdvg.cli.arguments import Folder, Json
from hdvg.cli.signals import interruptible
from hdvg.cli.tables import print_json
from hdvg.dataset.location import bucket_link, dataset_text
from hdvg.errors import UsageError

if TYPE_CHECKING:
    from hdvg.config.recipe import Recipe
    from hdvg.dataset.dataset import Dataset
    from hdvg.explore.serving import Started

commands = typer.Typer()

NEEDS = {"starlette": "starlette", "uvicorn": "uvicorn"}


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
    from hdvg.page.write import written

    if out is None and card is None and not as_json:
        raise UsageError("say where the report goes: hdvg report DATASET -o report.html (or -o card.md, or --json)")
    other = None if compare is None else _other(compare)
    figures = written(Dataset.open(dataset), out=out, card=card, compare=other, say=output.note)
    if as_json:
        return print_json(figures)
    for path in filter(None, (out, card)):
        typer.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB" if path == out else str(path))


def _other(name: str) -> Dataset | Recipe:
    """What is compared with: the dataset in a folder or a bucket, else a recipe."""
    from hdvg.dataset.dataset import Dataset
    from pipelines.recipes import find_recipe

    if Path(name).is_dir() or bucket_link(name):
        return Dataset.open(Path(dataset_text(name)))
    return find_recipe(name)


@commands.command()
def explore(
    dataset: Folder,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="listen here; by default on a free port")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="open the link in this machine's browser")] = True,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="listen beyond this machine; needs --allow-host, and TLS before it")
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="what browsers call the TLS server before it; may be repeated"),
    ] = None,
    author: Annotated[str | None, typer.Option("--author", metavar="NAME", help="who marks clips; by default the user")] = None,
) -> None:  # fmt: skip
    """Look through a dataset in a browser: thresholds to drag, clips to play and mark, SQL, a run as it goes. Ctrl-C ends it.

    Example: hdvg explore my-dataset
    """
    from hdvg.dataset.dataset import Dataset
    from hdvg.registry import require

    require(NEEDS, called="hdvg explore", extra="explore")
    from hdvg.explore.serving import Place, serve

    opened = Dataset.open(dataset)
    root = opened.root

    def ready(started: Started) -> None:
        typer.echo(f"explore {opened.name}: {started.link}")
        typer.echo("the link opens one browser, once; Ctrl-C ends the server", err=True)
        typer.echo(
            f"figures for Prometheus: {started.address}metrics with the bearer token {started.metrics}", err=True
        )
        if browser:
            open_link(started.link)

    with interruptible():
        serve(root, Place(host, port, tuple(allow_host or ())), author=author or user(), folder=Path.cwd(), ready=ready)


def user() -> str:
    """Who works at this machine, as the system has it."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def open_link(link: str) -> None:
    """Open a link in this machine's browser, if it has a screen."""
    import os
    import webbrowser

    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(link)


@commands.command()
def sheet(
    dataset: Folder,
    sql: Annotated[
        str, typer.Argument(metavar="SELECT", help="one SELECT that gives clip_id; its other columns stand below each clip")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="FILE.png, or FILE.gif, in which clips move")],
    columns: Annotated[
        int | None, typer.Option("--columns", min=1, max=40, help="clips beside each other; default 2, in a GIF 5")
    ] = None,
    frames: Annotated[
        int | None, typer.Option("--frames", min=1, max=32, help="of a clip; default 4 in a row, in a GIF 8 in turn")
    ] = None,
    limit_s: Annotated[float, typer.Option("--limit-s", help="stop a query after this many seconds")] = 300.0,
) -> None:  # fmt: skip
    """Make a contact sheet of the clips that a query gives: their frames, verdicts and captions in one picture.

    Example: hdvg sheet my-dataset "select clip_id, sharpness from dataset order by sharpness limit 40" -o blurred.png
    """
    import hdvg
    from hdvg.dataset.dataset import Dataset
    from hdvg.reports.beside import note_written
    from hdvg.reports.sheet import Layout, write_sheet

    ending = out.suffix.lower()
    if ending not in (".png", ".gif"):
        raise UsageError(f"--out {out}: a sheet is a .png, or a .gif in which clips move")
    moves = ending == ".gif"
    layout = Layout(columns or (5 if moves else 2), frames or (8 if moves else 4), moves)
    with hdvg.open(dataset) as opened:
        rows = opened.sql(sql, limit_s=limit_s).to_pylist()
    without = write_sheet(Dataset.open(dataset), rows, out, layout)
    note_written(Dataset.open(dataset), "sheet", [out])
    typer.echo(out)
    if without:
        typer.echo(f"{without} of the clips have no picture in this dataset: see hdvg verify", err=True)
