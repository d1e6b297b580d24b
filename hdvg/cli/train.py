"""The commands about training: encode a dataset's clips, train a network, sample from it, export it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdvg.cli import output
from hdvg.cli.arguments import Address, Folder, Json
from hdvg.cli.signals import interruptible
from hdvg.cli.tables import print_json, print_table
from hdvg.dataset.location import dataset_text, is_mirror, local_folder, refuse_mirror
from hdvg.errors import UsageError
from hdvg.registry import require
from hdvg.training import NEEDS

if TYPE_CHECKING:
    from hdvg.latents.encode import Report
    from hdvg.model.diffusion import Sampler
    from hdvg.training.load import Which

commands = typer.Typer()

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
Run = Annotated[Path, typer.Argument(metavar="RUN", callback=local_folder, help="a training run's folder")]
Weights = Annotated[
    str, typer.Option("--weights", metavar="ema|raw", help="running mean of the weights, or the weights")
]
Step = Annotated[int | None, typer.Option("--checkpoint", metavar="STEP", help="by default the newest good one")]
NAMED = 3
"""Clips named for each reason."""


@commands.command()
def encode(
    dataset: Folder,
    recipe: TrainRecipeName = "tiny",
    sets: Sets = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="processes; default one a GPU, or one for every two cores")
    ] = None,
    address: Address = None,
    as_json: Json = False,
) -> None:
    """Encode the kept clips as latents and their texts as states, below DATASET/latents. Only what is not there is made.

    Example: hdvg encode my-dataset --recipe tiny --set data.codec_channels=12
    """
    require(NEEDS, called="hdvg encode", extra="train")
    from dataclasses import asdict

    from hdvg.dataset.dataset import Dataset
    from hdvg.latents.encode import encode as make
    from hdvg.latents.workers import run_jobs
    from hdvg.progress import Bars
    from pipelines.recipes import find_train_recipe

    found, run = find_train_recipe(recipe, sets or ()), run_jobs
    if address is not None:
        refuse_mirror(
            dataset,
            "its latents stay on the machine that makes them; `hdvg train --address` has each node make its own",
        )
        from pipelines.encode_on_ray import on_cluster

        run = on_cluster(address)
    with interruptible(), Bars(output.console()) as bars:
        opened = Dataset.open(dataset)
        report = make(opened, found.data, where=found.draw.where, workers=workers, run=run, watch=bars)
    if as_json:
        print_json(asdict(report))
    else:
        _print(report)


def _near(word: str, out: Path | None) -> str:
    """`DATASET` or `DATASET=WEIGHT`, with the mirror's path in the place of a link into a bucket."""
    path, equals, weight = word.rpartition("=")
    place = Path(dataset_text(path if equals and "://" in path else word))
    if out is None and is_mirror(place):
        raise UsageError("say where the run is to lie, on this machine, with --out RUN: the dataset lies in a bucket")
    return f"{place}={weight}" if equals and "://" in path else str(place)


def _print(report: Report) -> None:
    """What was made, what was there, and each clip's fate that has no latents."""
    psnr = f", {report.psnr_db:.2f} dB on pictures not fitted to" if report.psnr_db is not None else ""
    typer.echo(f"codec {report.codec}{psnr}; text {report.text}")
    there = f"{report.there} there already" + (
        f", {report.bytes_per_clip} bytes a clip" if report.bytes_per_clip else ""
    )
    typer.echo(f"clips: {report.encoded} encoded, {there}, {report.wanted} wanted")
    typer.echo(f"texts: {report.texts} encoded, {report.texts_there} there already")
    if report.tags:
        typer.echo("tags: " + ", ".join(f"{tag} {clips}" for tag, clips in report.tags.items()))
    if report.lengths is not None and (cut := report.lengths.said()):
        typer.echo(cut)
    for title, reasons in (("without latents", report.without), ("failed", report.failed)):
        for reason, names in reasons.items():
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            typer.echo(f"{title}: {len(names)} {reason}: {', '.join(names[:NAMED])}{more}")
    typer.echo(f"{report.seconds:.1f} s")


@commands.command()
def train(
    datasets: Annotated[list[str], typer.Argument(metavar="DATASET[=WEIGHT]...", help="what to train on; several are mixed by weight")],
    recipe: TrainRecipeName = "tiny",
    sets: Sets = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="RUN", callback=local_folder, help="the run's folder; default DATASET-RECIPE beside the first dataset")
    ] = None,
    which_steps: Annotated[
        str | None, typer.Option("--which-steps", metavar="CLIP_ID", help="say when the run saw this clip; train nothing")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="processes, over a Ray cluster if several; each has a GPU if there is one")] = 1,
    address: Annotated[
        str | None, typer.Option("--address", metavar="HOST:PORT", help="a Ray cluster that sees the folders of the run and of datasets that lie in no bucket")
    ] = None,
    without_texts: Annotated[bool, typer.Option("--without-texts", help="train though no clip has a text: without prompts")] = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE.png|svg", help="draw the losses at the end; with a RUN for DATASET only draw its own")
    ] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Train a text-to-video network on the kept clips. Interrupt it at will; the same command goes on, bit by bit on a CPU.

    Example: hdvg train my-dataset --recipe tiny --set run.minutes=5 --out my-run
    """
    if plot is not None and _plotted(datasets, plot):
        return
    require(NEEDS, called="hdvg train", extra="train")
    from hdvg.training import runs
    from pipelines.recipes import find_train_recipe

    found = find_train_recipe(recipe, sets or ())
    mix = runs.mixed([_near(word, out) for word in datasets])
    task = runs.Task(found, mix, (out or runs.folder_of(mix, found)).resolve(), without_texts)
    if which_steps is not None:
        return _say_steps(task.folder, which_steps, as_json=as_json)
    task = runs.ready(task, say=output.note)
    if workers > 1 or address is not None:
        from pipelines.train_on_ray import train_on_ray

        with interruptible():
            end = train_on_ray(task, output.console(), workers=workers, address=address, quiet=as_json)
    else:
        from hdvg.training.stopping import Signals

        signals = Signals()
        with interruptible(), runs.begun(task, output.console()) as lines:
            for line in lines:
                typer.echo(line, err=as_json)
            with signals.caught():
                end = runs.work(task, stop=signals, console=output.console(), device=runs.device())
    _plot_end(task.folder, plot)
    if as_json:
        print_json({"run": str(task.folder), "steps": end.step, "why": end.why})
    else:
        typer.echo(
            f"{end.step} steps, {end.why}; the same command goes on, longer with --set run.minutes=… or run.steps=…"
        )
    if end.code:
        raise typer.Exit(end.code)


def _plotted(words: list[str], path: Path) -> bool:
    """Draw the losses of a run, if the only word is a run's folder."""
    from hdvg.page.plots import check_place, plot_training
    from hdvg.training import journal

    check_place(path)
    run = Path(words[0])
    if len(words) > 1 or not (run / journal.LOG).is_file():
        return False
    plot_training(journal.read(run), path, title=run.resolve().name)
    typer.echo(path, err=True)
    return True


def _plot_end(run: Path, path: Path | None) -> None:
    """Draw the losses of a run that has ended; if that cannot be, say why: the run is none the worse."""
    try:
        if path is not None:
            _plotted([str(run)], path)
    except UsageError as error:
        output.note(str(error))


def _say_steps(run: Path, clip_id: str, *, as_json: bool) -> None:
    """When a run saw a clip, by its own record."""
    from dataclasses import asdict

    from hdvg.training import provenance

    answer = provenance.which_steps(provenance.read(run), clip_id, until=provenance.steps_done(run))
    if as_json:
        print_json(asdict(answer))
    else:
        typer.echo(answer.said())


@commands.command()
def sample(
    run: Run,
    prompts: Annotated[list[str], typer.Argument(metavar="PROMPT...", help="what a video is to show; one video each")],
    seed: Annotated[int, typer.Option("--seed", help="of the noise; the same seed gives the same files")] = 0,
    steps: Annotated[int, typer.Option("--steps", min=1, help="how often the network is asked")] = 20,
    guidance: Annotated[float, typer.Option("--guidance", min=0, help="how strongly the prompt leads; 1: no more than it was learnt")] = 4.0,
    sampler: Annotated[
        str | None, typer.Option("--sampler", metavar="ddim|dpm++|euler", help="by default ddim, for rectified flow euler")
    ] = None,
    frames: Annotated[int | None, typer.Option("--frames", min=1, help="by default as many as it was trained on")] = None,
    size: Annotated[str | None, typer.Option("--size", metavar="HxW", help="pixels, multiples of 8; by default as trained")] = None,
    checkpoint: Step = None,
    weights: Weights = "ema",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FOLDER|FILE.mp4", callback=local_folder, help="by default a folder in RUN/samples")
    ] = None,
    gif: Annotated[bool, typer.Option("--gif/--no-gif", help="a GIF beside each mp4")] = True,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Sample videos from a trained network: an mp4 and a GIF for every prompt.

    Example: hdvg sample my-run "a boat on a lake" --steps 20 --sampler dpm++ --seed 7
    """
    import hdvg
    from hdvg.training.generate import place_of

    model = hdvg.load(run, checkpoint=checkpoint, weights=_which(weights))
    shape = model.trained.recipe.data.buckets[0]
    wish = model.wish(
        tuple(prompts),
        sampler=_sampler(sampler) if sampler else None,
        size=(frames or shape[0], *(_size(size) if size else shape[1:])),
        seed=seed,
        steps=steps,
        guidance=guidance,
    )
    place = place_of(out, model.trained, run, wish, gif=gif)
    listing = model.write(wish, place)
    if as_json:
        return print_json({"folder": str(place.folder), **listing})
    rows = ([place.folder / row["mp4"], row["prompt"]] for row in listing["samples"])
    print_table(["video", "prompt"], rows)


@commands.command("export-model")
def export_model(
    run: Run,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", callback=local_folder, help="a new folder")],
    checkpoint: Step = None,
    weights: Weights = "ema",
) -> None:
    """Write a trained network as a folder in diffusers' layout; what diffusers has no place for lies beside it.

    Example: hdvg export-model my-run --out my-model
    """
    require(NEEDS, called="hdvg export-model", extra="train")
    from hdvg.training.export import export
    from hdvg.training.load import open_trained

    trained = open_trained(run, step=checkpoint, which=_which(weights), say=output.note)
    export(trained, run, out)
    typer.echo(f"{out}: {trained.weights} of step {trained.step}")


def _which(weights: str) -> Which:
    if weights == "ema" or weights == "raw":
        return weights  # type: ignore[return-value]
    raise UsageError(f"--weights {weights}: ema or raw")


def _sampler(name: str) -> Sampler:
    if name in ("ddim", "dpm++", "euler"):
        return name  # type: ignore[return-value]
    raise UsageError(f"--sampler {name}: ddim, dpm++ or euler")


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found:
        raise UsageError(f"--size {text}: height x width in pixels, such as 64x112")
    return int(found[1]), int(found[2])
