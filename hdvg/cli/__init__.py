"""The command line: thin, and light to start; every heavy import stands inside a command's body."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdvg import __version__
from hdvg.cli import output
from hdvg.cli.exchange import trading
from hdvg.cli.forget import removing
from hdvg.cli.inspect import Folder, Json, asking
from hdvg.cli.list_options import MOST, ListOnly, MaxItems, Strict, Where, choose, show_lists
from hdvg.cli.list_options import Json as ListJson
from hdvg.cli.signals import interruptible
from hdvg.cli.train import learning
from hdvg.environment import require_linux
from hdvg.errors import HdvgError, UsageError

if TYPE_CHECKING:
    from hdvg.config.recipe import Recipe
    from hdvg.dataset.dataset import Dataset
    from hdvg.sources.lists.filter import Choice

app = typer.Typer(
    name="hdvg",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    help="Turn links to videos into a curated text-video dataset.\n\nStart: hdvg run demo --links links.txt --out my-dataset",
)
recipes = typer.Typer(no_args_is_help=True, help="List, show and check recipes: the settings of a whole run.")
app.add_typer(recipes, name="recipe")
app.add_typer(asking)
app.add_typer(learning)
app.add_typer(trading)
app.add_typer(removing)

Target = Annotated[
    str,
    typer.Argument(metavar="RECIPE|DATASET", help="a recipe with --out; or a dataset, to go on with its own settings"),
]
Links = Annotated[
    list[str] | None,
    typer.Option(
        "--links",
        "-l",
        metavar="FILE|FOLDER|URL",
        help="text, CSV, JSONL or Parquet list, folder of videos, one link, or a list on a site: list:URL, archive:QUERY, "
        "commons:Category:NAME; may be repeated",
    ),
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="DATASET", help="the dataset's folder, made if it is not there")
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="KEY=VALUE",
        help="override a setting: 'keep.too_short=duration_s >= 3'; null takes a rule away",
    ),
]
RunnerName = Annotated[
    str | None,
    typer.Option("--runner", metavar="ray|serial", help="ray: all cores or a cluster; serial: this process only"),
]
Cpus = Annotated[int | None, typer.Option("--cpus", min=1, help="CPUs to use on this machine; default all")]
Gpus = Annotated[int | None, typer.Option("--gpus", min=0, help="GPUs to use on this machine; default all")]
Address = Annotated[
    str | None, typer.Option("--address", metavar="HOST:PORT", help="a Ray cluster that sees the dataset's folder")
]
NewWork = Annotated[bool, typer.Option("--new-work", help="accept settings that fetch or split all videos anew")]


@app.callback(invoke_without_command=True)
def version(
    wanted: Annotated[bool, typer.Option("--version", help="print the version", is_eager=True)] = False,
) -> None:
    """Print the version and leave."""
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def run(
    target: Target, links: Links = None, out: Out = None, sets: Sets = None, runner: RunnerName = None,
    cpus: Cpus = None, gpus: Gpus = None, address: Address = None, new_work: NewWork = False,
    list_only: ListOnly = False, max_items: MaxItems = MOST, conditions: Where = None, strict: Strict = False, as_json: ListJson = False,
) -> None:  # fmt: skip
    """Run the whole graph: links in, Parquet shards out. Interrupt it at will; the same command goes on.

    Example: hdvg run demo --links links.txt --out my-dataset --set 'keep.too_short=duration_s >= 3'
    """
    taken, choice = choose(links, list_only=list_only, most=max_items, where=conditions, strict=strict, as_json=as_json)
    if list_only:
        return _list(target, sets, taken, choice, as_json=as_json)
    _work(target, out, sets, links=taken, choice=choice, new_work=new_work, where=(runner, address, cpus, gpus))


def _stage_command(stage: str, doc: str) -> None:
    """Add the command that runs one stage of the graph."""

    def command(
        target: Target, links: Links = None, out: Out = None, sets: Sets = None, runner: RunnerName = None,
        cpus: Cpus = None, gpus: Gpus = None, address: Address = None, new_work: NewWork = False,
        list_only: ListOnly = False, max_items: MaxItems = MOST, conditions: Where = None, strict: Strict = False, as_json: ListJson = False,
    ) -> None:  # fmt: skip
        taken, choice = choose(
            links, list_only=list_only, most=max_items, where=conditions, strict=strict, as_json=as_json
        )
        if list_only:
            return _list(target, sets, taken, choice, as_json=as_json)
        _work(
            target, out, sets,
            links=taken, choice=choice, new_work=new_work, where=(runner, address, cpus, gpus), stage=stage,
        )  # fmt: skip

    app.command(stage, help=f"{doc}, and show what is done, failed and pending.")(command)


_stage_command("download", "Only fetch the videos (hdvg download demo --links links.txt --out my-dataset)")
_stage_command("split", "Only decode what is fetched: shots, measures, keyframes (hdvg split my-dataset)")
_stage_command("measure", "Only take the keyframe measures that the recipe's rules need (hdvg measure my-dataset)")


@app.command("filter")
def filter_(
    dataset: Folder,
    sets: Sets = None,
    recipe: Annotated[str | None, typer.Option("--recipe", help="take the rules of this recipe")] = None,
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            "--what-if", metavar="RULE", help="report what this bound would change, such as 'duration_s>=3'; change nothing"
        ),
    ] = None,
    target_keep: Annotated[
        float | None,
        typer.Option("--target-keep", min=0, max=1, metavar="SHARE", help="find thresholds that keep it; change nothing"),
    ] = None,
    tune: Annotated[
        str | None,
        typer.Option("--tune", metavar="MEASURES", help="whose bounds --target-keep moves: 'sharpness>=,motion_px_s>='"),
    ] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Decide which clips are kept, by other rules if given. A query: no media is touched.

    Example: hdvg filter my-dataset --set 'keep.too_short=duration_s >= 3' --set keep.static=null

    To look before: hdvg filter my-dataset --what-if 'duration_s>=3', or --target-keep 0.31 --tune 'sharpness>=,motion_px_s>='
    """
    from hdvg.dataset.dataset import Dataset
    from pipelines.run import decide

    current = Dataset.open(dataset)
    wanted = _other_rules(current.plan.recipe, recipe, sets or []) if sets or recipe else current.plan.recipe
    if what_if or tune is not None or target_keep is not None:
        return _suppose(current, wanted, what_if or [], (target_keep, tune), as_json=as_json)
    if sets or recipe:
        current = decide(dataset, wanted)
    output.status(current, as_json=as_json)


_stage_command("cut", "Only cut the kept clips (hdvg cut my-dataset --set cut.mode=encode)")


@app.command()
def caption(
    target: Target, out: Out = None, sets: Sets = None, runner: RunnerName = None,
    cpus: Cpus = None, gpus: Gpus = None, address: Address = None,
    captioner: Annotated[str | None, typer.Option("--captioner", help="write beside the captions there are, with this one")] = None,
    model: Annotated[str | None, typer.Option("--model", help="its model: an id or a folder")] = None,
    name: Annotated[str | None, typer.Option("--name", help="what to call this writer; by default as its captioner")] = None,
    where: Annotated[
        str | None, typer.Option("--recaption-where", metavar="CONDITION", help="only clips of which this holds")
    ] = None,
) -> None:  # fmt: skip
    """Only caption the kept clips, and check what was written. Both texts of a clip stay; `captions` tells the best.

    Example: hdvg caption my-dataset --set caption.captioner=blip2

    To redo the doubtful ones: hdvg caption my-dataset --captioner vlm --recaption-where 'caption_similarity < 0.2'
    """
    if captioner is None and (model or name or where):
        raise UsageError(
            "--model, --name and --recaption-where go with --captioner: say who is to write, such as --captioner vlm"
        )
    if captioner == "none":
        raise UsageError("--captioner none writes nothing; --set caption.also.NAME=null takes a writer away")
    if captioner is not None:
        writer = f"caption.also.{name or captioner}"
        told = {"captioner": captioner, "model": model, "where": where}
        sets = [
            *(f"{writer}.{key}={json.dumps(value)}" for key, value in told.items() if value is not None),
            *(sets or []),
        ]
    _work(target, out, sets, where=(runner, address, cpus, gpus), stage="caption")


@app.command()
def shard(dataset: Folder) -> None:
    """Write, or complete, the Parquet shards of the kept clips. Example: hdvg shard my-dataset"""
    from pipelines.run import shard as write

    with interruptible():
        fine = write(dataset, output.console())
    if not fine:
        raise typer.Exit(1)


@app.command()
def retry(
    dataset: Folder,
    reason: Annotated[list[str], typer.Option("--reason", help="a failure's reason, such as throttled; may be repeated")],
    sets: Sets = None, runner: RunnerName = None, cpus: Cpus = None, gpus: Gpus = None, address: Address = None,
) -> None:  # fmt: skip
    """Try failed items again, by reason, and whatever follows from them. Example: hdvg retry my-dataset --reason throttled"""
    from hdvg.errors import REASONS

    unknown = [name for name in reason if name not in REASONS]
    if unknown:
        raise UsageError(f"--reason {unknown[0]}: no such reason; there are: {', '.join(REASONS)}")
    _work(str(dataset), None, sets, where=(runner, address, cpus, gpus), retry=tuple(reason))


@recipes.command("list")
def recipe_list(as_json: Json = False) -> None:
    """List the recipes that ship."""
    from hdvg.reports.wants import wants
    from pipelines.recipes import find_recipe, shipped

    found = [(name, find_recipe(name)) for name in shipped()]
    rows = [{"name": name, "wants": ", ".join(wants(one)) or "nothing", "about": one.about} for name, one in found]
    if as_json:
        output.print_json(rows)
    else:
        output.print_table(["name", "wants", "about"], (row.values() for row in rows))


@recipes.command("show")
def recipe_show(
    recipe: Annotated[str, typer.Argument(help="a shipped recipe or a TOML file")],
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Print a recipe with every setting, as TOML to copy and change. Example: hdvg recipe show demo > mine.toml"""
    from pipelines.recipes import find_recipe

    found = find_recipe(recipe, sets or ())
    if as_json:
        output.print_json(found.model_dump())
    else:
        typer.echo(found.to_toml(), nl=False)


@recipes.command("validate")
def recipe_validate(
    recipe: Annotated[str, typer.Argument(help="a shipped recipe or a TOML file")], sets: Sets = None
) -> None:
    """Check a recipe: unknown keys, types, ranges. Exit 0, or 2 with what is wrong."""
    from pipelines.recipes import find_recipe

    typer.echo(f"{find_recipe(recipe, sets or ()).name}: fine")


def _other_rules(current: Recipe, recipe: str | None, sets: list[str]) -> Recipe:
    """The recipe with the rules of another one, and what --set says of rules."""
    from hdvg.config.recipe import parse_recipe
    from pipelines.recipes import find_recipe

    table = current.model_dump(exclude_none=True)
    if recipe:
        table["keep"] = find_recipe(recipe).keep
    wanted = parse_recipe(table, sets)
    if wanted.model_copy(update={"keep": current.keep}) != current:
        raise UsageError("hdvg filter changes keep.* only; for other settings: hdvg run DATASET --set …")
    return wanted


def _suppose(
    dataset: Dataset, recipe: Recipe, rules: list[str], goal: tuple[float | None, str | None], *, as_json: bool
) -> None:
    """Report what verdicts would be by the recipe's rules, what is supposed of them, and thresholds for a keep rate."""
    from hdvg.config.rules import parse_rules
    from hdvg.dataset.snapshot import measures
    from hdvg.filtering.edit import suppose
    from hdvg.filtering.tune import parse_axes
    from hdvg.filtering.tune import tune as find
    from hdvg.filtering.whatif import what_if

    share, tuned = goal
    if (share is None) != (tuned is None):
        raise UsageError(
            "--target-keep SHARE and --tune MEASURES go together: --target-keep 0.31 --tune 'motion_px_s>=,sharpness>='"
        )
    keep = dict(recipe.keep)
    for rule in rules:
        keep = suppose(keep, rule)
    axes = parse_axes(tuned, keep) if tuned is not None else []
    said = {}
    named = {
        column for kept in (dataset.plan.recipe.keep, keep) for rule in parse_rules(kept) for column in rule.columns
    }
    with measures(dataset, named, output.note) as connection:
        if share is not None:
            found = find(connection, keep, axes, target_share=share)
            keep, said = found.keep, {"tuned": found.found}
        report = {"dataset": str(dataset.root), **what_if(connection, dataset.plan, keep), **said}
    output.what_if(report, as_json=as_json)


def _work(
    target: str, out: Path | None, sets: list[str] | None, *, where: tuple[str | None, str | None, int | None, int | None],
    links: tuple[str, ...] = (), choice: Choice | None = None, new_work: bool = False, stage: str | None = None,
    retry: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """Run the graph, or one stage of it, then say where the dataset stands."""
    from hdvg.dataset.dataset import Dataset
    from hdvg.sources.lists.filter import Choice
    from pipelines.run import Task, Where
    from pipelines.run import run as run_task

    runner, address, cpus, gpus = where
    if runner not in (None, "ray", "serial"):
        raise UsageError(f"--runner {runner}: ray or serial")
    root, recipe = _resolve(target, out, sets or [])
    task = Task(
        links=links,
        choice=choice or Choice(),
        stage=stage,
        retry=retry,
        new_work=new_work,
        where=Where(runner, address, cpus, gpus),
    )
    with interruptible():
        fine = run_task(root, recipe, task, output.console())
    dataset = Dataset.open(root)
    if stage is None:
        output.status(dataset, as_json=False)
    else:
        output.stage_counts(dataset, task.stages(dataset.plan))
    if not fine:
        typer.echo(
            "a list of links broke off (see above), or some items failed in a way hdvg does not know: "
            "hdvg query … \"from failures where reason = 'error'\"",
            err=True,
        )
        raise typer.Exit(1)


def _list(target: str, sets: list[str] | None, links: tuple[str, ...], choice: Choice, *, as_json: bool) -> None:
    """Show what lists on sites would give, by the settings of a recipe or a dataset."""
    from pipelines.recipes import find_recipe

    is_dataset = (Path(target) / "dataset.toml").exists()
    recipe = _resolve(target, None, sets or [])[1] if is_dataset else find_recipe(target, sets or [])
    with interruptible():
        whole = show_lists(links, choice, recipe, as_json=as_json)
    if not whole:
        raise typer.Exit(1)


def _resolve(target: str, out: Path | None, sets: list[str]) -> tuple[Path, Recipe]:
    """The dataset's folder and the recipe: `target` names the recipe if --out is given, else the dataset."""
    from hdvg.config.recipe import parse_recipe
    from hdvg.dataset.dataset import Dataset
    from pipelines.recipes import find_recipe, shipped

    if out is not None:
        return out, find_recipe(target, sets)
    if target in shipped() and not (Path(target) / "dataset.toml").exists():
        raise UsageError(f"recipe {target}: say where the dataset is to lie with --out DATASET")
    dataset = Dataset.open(Path(target))
    return dataset.root, parse_recipe(
        dataset.plan.recipe.model_dump(exclude_none=True), sets, where=f"{target}/dataset.toml"
    )


def main() -> None:
    """The console script."""
    # threads of a network that wait must sleep: spinning, two of them on two busy cores took nine times the CPU
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        require_linux()
        app()
    except HdvgError as error:
        typer.echo(f"hdvg: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
