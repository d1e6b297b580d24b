"""The commands that show a dataset: in a file to send, in a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hdvg.cli.arguments import Folder
from hdvg.errors import UsageError

commands = typer.Typer()


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
    from hdvg.reports.sheet import Layout, write_sheet

    ending = out.suffix.lower()
    if ending not in (".png", ".gif"):
        raise UsageError(f"--out {out}: a sheet is a .png, or a .gif in which clips move")
    moves = ending == ".gif"
    layout = Layout(columns or (5 if moves else 2), frames or (8 if moves else 4), moves)
    with hdvg.open(dataset) as opened:
        rows = opened.sql(sql, limit_s=limit_s).to_pylist()
    without = write_sheet(Dataset.open(dataset), rows, out, layout)
    typer.echo(out)
    if without:
        typer.echo(f"{without} of the clips have no picture in this dataset: see hdvg verify", err=True)
