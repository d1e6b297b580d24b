"""The commands of training: encode a dataset's clips for a trainer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdvg import show

if TYPE_CHECKING:
    from hdvg.latents.encode import Report

learning = typer.Typer()

Folder = Annotated[Path, typer.Argument(metavar="DATASET", help="the dataset's folder")]
TrainRecipeName = Annotated[
    str,
    typer.Option(
        "--recipe", metavar="NAME|FILE", help="training recipe: tiny, small, sd21, modelscope, or a TOML file"
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", metavar="KEY=VALUE", help="override a setting: data.codec_channels=12; may be repeated"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON, for scripts")]
NAMED = 3
"""Clips named for each reason."""


@learning.command()
def encode(
    dataset: Folder,
    recipe: TrainRecipeName = "tiny",
    sets: Sets = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="processes; default one a GPU, or one for every two cores")
    ] = None,
    as_json: Json = False,
) -> None:
    """Encode the kept clips as latents and their texts as states, below DATASET/latents. Only what is not there is made.

    Example: hdvg encode my-dataset --recipe tiny --set data.codec_channels=12
    """
    from dataclasses import asdict

    from hdvg.dataset import Dataset
    from hdvg.latents.encode import encode as make
    from hdvg.latents.progress import Bars
    from pipelines.recipes import find_train_recipe

    found = find_train_recipe(recipe, sets or ())
    with Bars(show.console()) as bars:
        report = make(Dataset.open(dataset), found.data, where=found.draw.where, workers=workers, watch=bars)
    if as_json:
        show.print_json(asdict(report))
    else:
        _print(report)


def _print(report: Report) -> None:
    """What was made, what was there, and each clip's fate that has no latents."""
    psnr = f", {report.psnr_db:.2f} dB on pictures not fitted to" if report.psnr_db is not None else ""
    typer.echo(f"codec {report.codec}{psnr}; text {report.text}")
    there = f"{report.there} there already" + (
        f", {report.bytes_per_clip} bytes a clip" if report.bytes_per_clip else ""
    )
    typer.echo(f"clips: {report.encoded} encoded, {there}, {report.wanted} wanted")
    typer.echo(f"texts: {report.texts} encoded, {report.texts_there} there already")
    for title, reasons in (("without latents", report.without), ("failed", report.failed)):
        for reason, names in reasons.items():
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            typer.echo(f"{title}: {len(names)} {reason}: {', '.join(names[:NAMED])}{more}")
    typer.echo(f"{report.seconds:.1f} s")
