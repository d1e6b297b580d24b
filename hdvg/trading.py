"""The commands that trade: published metadata in, common formats out, and what is to be forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hdvg import show
from hdvg.asking import Folder, Json

trading = typer.Typer()


@trading.command()
def export(
    dataset: Folder,
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="hd-vg, webdataset, lance, datasets or croissant")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="a new folder, or an export to bring up to date")],
    where: Annotated[
        str | None, typer.Option("--where", metavar="CONDITION", help="only kept clips of which this SQL condition holds")
    ] = None,
    all_given: Annotated[
        bool, typer.Option("--all-given", help="hd-vg: all imported metadata, clips or not; --where is then over its columns")
    ] = False,
    max_mb: Annotated[float | None, typer.Option("--max-mb", min=0.001, help="most MB of clips in a file; as the shards")] = None,
    url: Annotated[str | None, typer.Option("--url", help="where it will be found, for its description")] = None,
    cite: Annotated[str | None, typer.Option("--cite", metavar="TEXT", help="how to cite it, for its description")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Write the kept clips for other tools: a killed export goes on, an unchanged one writes nothing.

    Example: hdvg export my-dataset --to webdataset --out my-tars --where 'duration_s > 3 and open_licence'
    """
    from hdvg.dataset import Dataset
    from hdvg.exporting import Wanted
    from hdvg.exporting import export as write

    wanted = Wanted(to, out, where=where, all_given=all_given, max_mb=max_mb, url=url, cite=cite)
    try:
        said = write(Dataset.open(dataset), wanted, show.console())
    except KeyboardInterrupt:
        typer.echo("\nstopped; files that are finished stay: the same command goes on from here", err=True)
        raise typer.Exit(130) from None
    if as_json:
        return show.print_json(said)
    typer.echo(
        f"{said['out']}: {said['clips']} of {said['kept']} {said['of']} as {said['format']}, {said['files']} files, "
        f"{said['bytes'] / 2**20:.1f} MiB; {said['files_written']} written in {said['seconds']:.1f} s"
    )
    if said["left_out"]:
        show.print_table(["left out", "clips"], (row.values() for row in said["left_out"]))
