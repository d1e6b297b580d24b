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


@learning.command()
def train(
    datasets: Annotated[list[str], typer.Argument(metavar="DATASET[=WEIGHT]...", help="what to train on; several are mixed by weight")],
    recipe: TrainRecipeName = "tiny",
    sets: Sets = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="RUN", help="the run's folder; default DATASET-RECIPE beside the first dataset")
    ] = None,
    which_steps: Annotated[
        str | None, typer.Option("--which-steps", metavar="CLIP_ID", help="say when the run saw this clip; train nothing")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="processes, over a Ray cluster if several; each has a GPU if there is one")] = 1,
    address: Annotated[
        str | None, typer.Option("--address", metavar="HOST:PORT", help="a Ray cluster that sees the datasets' and the run's folders")
    ] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Train a text-to-video network on the kept clips. Interrupt it at will; the same command goes on, bit by bit on a CPU.

    Example: hdvg train my-dataset --recipe tiny --set run.minutes=5 --out my-run
    """
    from hdvg.training import runs
    from pipelines.recipes import find_train_recipe

    found = find_train_recipe(recipe, sets or ())
    mix = runs.mixed(datasets)
    task = runs.Task(found, mix, (out or runs.folder_of(mix, found)).resolve())
    if which_steps is not None:
        return _say_steps(task.folder, which_steps, as_json=as_json)
    if workers > 1 or address is not None:
        from pipelines.training import train_on_ray

        end = train_on_ray(task, show.console(), workers=workers, address=address)
    else:
        from hdvg.training.stops import Signals

        signals = Signals()
        with runs.begun(task, show.console()) as lines:
            for line in lines:
                typer.echo(line, err=as_json)
            with signals.caught():
                end = runs.work(task, stop=signals, console=show.console(), device=runs.device())
    if as_json:
        show.print_json({"run": str(task.folder), "steps": end.step, "why": end.why})
    else:
        typer.echo(f"{end.step} steps, {end.why}; the same command goes on, longer with --set run.minutes=… or run.steps=…")
    if end.code:
        raise typer.Exit(end.code)


def _say_steps(run: Path, clip_id: str, *, as_json: bool) -> None:
    """When a run saw a clip, by its own record."""
    from dataclasses import asdict

    from hdvg.training import provenance

    answer = provenance.which_steps(provenance.read(run), clip_id, until=provenance.steps_done(run))
    if as_json:
        show.print_json(asdict(answer))
    else:
        typer.echo(answer.said())
