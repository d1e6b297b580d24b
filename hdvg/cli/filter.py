"""The command that decides which clips are kept, by other rules if given, or reports what other rules would do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hdvg.cli import output
from hdvg.cli.arguments import Folder, Json, NewRule, Sets
from hdvg.cli.recipes import checked_names, dubious_names
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
        return _suppose(current, wanted, what_if or [], (target_keep, tune), as_json=as_json)
    if sets or recipe:
        current = decide(dataset, wanted)
    output.status(current, as_json=as_json)


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
    from dataclasses import asdict

    from hdvg.filtering.supposition import supposed

    found = supposed(dataset, recipe.keep, rules, goal=goal, say=output.note)
    report = {name: value for name, value in asdict(found).items() if value is not None}
    report["new_rule"] = bool(dubious_names(found.sets, dataset.plan.recipe.keep))
    output.what_if({"dataset": str(dataset.root), **report}, as_json=as_json)
