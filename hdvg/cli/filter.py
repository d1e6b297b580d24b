"""The command that decides which clips are kept, by other rules if given, or reports what other rules would do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdvg.cli import output
from hdvg.cli.arguments import Folder, Json, NewRule, Sets
from hdvg.cli.changes import changes_of
from hdvg.cli.recipes import checked_names, dubious_names
from hdvg.dataset.location import shown
from hdvg.errors import UsageError

if TYPE_CHECKING:
    from hdvg.config.recipe import Recipe
    from hdvg.dataset.dataset import Dataset

commands = typer.Typer()


@commands.command("filter")
def filter_(
    dataset: Folder,
    sets: Sets = None,
    recipe: Annotated[str | None, typer.Option("--recipe", help="take the rules of this recipe")] = None,
    new_rule: NewRule = False,
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
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE.png|svg", help="with --what-if or --target-keep: draw funnel and histograms, now and then")
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
    wanted = current.plan.recipe
    if sets or recipe:
        wanted = _other_rules(wanted, recipe, checked_names(sets or (), wanted.keep, new_rule=new_rule))
    if what_if or tune is not None or target_keep is not None:
        return _suppose(current, wanted, Supposed(tuple(what_if or ()), (target_keep, tune), plot), as_json=as_json)
    if plot is not None:
        raise UsageError(
            f"--plot goes with --what-if or --target-keep; as things are: hdvg status DATASET --plot {plot}"
        )
    if as_json:
        return output.status(decide(dataset, wanted) if sets or recipe else current, as_json=True)
    with changes_of(dataset, "filter"):
        if sets or recipe:
            decide(dataset, wanted)


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


@dataclass(frozen=True)
class Supposed:
    """What is asked: rules, a share to keep with the measures to tune, and where a plot goes."""

    rules: tuple[str, ...]
    goal: tuple[float | None, str | None]
    plot: Path | None


def _suppose(dataset: Dataset, recipe: Recipe, asked: Supposed, *, as_json: bool) -> None:
    """Report what verdicts would be by the recipe's rules, what is supposed of them, and thresholds for a keep rate."""
    from hdvg.filtering.supposition import supposed

    if asked.plot is not None:
        from hdvg.page.plots import check_place

        check_place(asked.plot)
    found = supposed(dataset, recipe.keep, asked.rules, goal=asked.goal, say=output.note)
    if asked.plot is not None:
        _plot(dataset, {effect.rule: effect.asks for effect in found.rules}, asked.plot)
    report = {name: value for name, value in asdict(found).items() if value is not None}
    report["new_rule"] = bool(dubious_names(found.sets, dataset.plan.recipe.keep))
    output.what_if({"dataset": shown(str(dataset.root)), **report}, as_json=as_json)


def _plot(dataset: Dataset, keep: dict[str, str], path: Path) -> None:
    """Draw what is now and what would be by the rules `keep`."""
    from hdvg.filtering.histograms import spread
    from hdvg.page.plots import plot_spread

    found = spread(dataset, supposed=keep, say=output.note)
    plot_spread(found, path, title=f"{dataset.name} (recipe {dataset.plan.recipe.name}), what if")
    typer.echo(path, err=True)
