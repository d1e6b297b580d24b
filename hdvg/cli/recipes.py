"""The commands about recipes, and how a command finds its recipe: by name, file or dataset, with what --set says."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdvg.cli import output
from hdvg.cli.arguments import Json, NewRule, Sets
from hdvg.errors import UsageError

if TYPE_CHECKING:
    from hdvg.config.recipe import Recipe

commands = typer.Typer(no_args_is_help=True, help="List, show and check recipes: the settings of a whole run.")

Named = Annotated[str, typer.Argument(metavar="RECIPE", help="a shipped recipe or a TOML file")]


@commands.command("list")
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


@commands.command("show")
def recipe_show(recipe: Named, sets: Sets = None, new_rule: NewRule = False, as_json: Json = False) -> None:
    """Print a recipe with every setting, as TOML to copy and change. Example: hdvg recipe show demo > mine.toml"""
    found = named_recipe(recipe, sets or (), new_rule=new_rule)
    if as_json:
        output.print_json(found.model_dump())
    else:
        typer.echo(found.to_toml(), nl=False)


@commands.command("validate")
def recipe_validate(recipe: Named, sets: Sets = None, new_rule: NewRule = False) -> None:
    """Check a recipe: unknown keys, types, ranges. Exit 0, or 2 with what is wrong."""
    typer.echo(f"{named_recipe(recipe, sets or (), new_rule=new_rule).name}: fine")


def named_recipe(name: str, sets: Iterable[str], *, new_rule: bool = False) -> Recipe:
    """The recipe of that name or file, with what --set says. Raises UsageError, also as `checked_names`."""
    from pipelines.recipes import find_recipe

    checked = checked_names(sets, find_recipe(name).keep, new_rule=new_rule)
    return find_recipe(name, checked)


def of_target(
    target: str, out: Path | None, sets: Iterable[str], *, new_rule: bool = False, only_read: bool = False
) -> tuple[Path, Recipe]:
    """The dataset's folder and the recipe: `target` names the recipe if --out is given, else the dataset.

    With `only_read` a recipe needs no --out; the folder is then of no use.
    """
    from hdvg.config.recipe import parse_recipe
    from hdvg.dataset.dataset import Dataset
    from pipelines.recipes import shipped

    is_dataset = (Path(target) / "dataset.toml").exists()
    if out is not None or (only_read and not is_dataset):
        return out or Path(), named_recipe(target, sets, new_rule=new_rule)
    if target in shipped() and not is_dataset:
        raise UsageError(f"recipe {target}: say where the dataset is to lie with --out DATASET")
    dataset = Dataset.open(Path(target))
    recipe = dataset.plan.recipe
    checked = checked_names(sets, recipe.keep, new_rule=new_rule)
    return dataset.root, parse_recipe(recipe.model_dump(exclude_none=True), checked, where=f"{target}/dataset.toml")


def checked_names(sets: Iterable[str], rules: Collection[str], *, new_rule: bool) -> list[str]:
    """What --set says, its names of rules looked at; `rules` are those of the recipe or dataset at hand.

    Raises UsageError for a name that no recipe knows and that is close to one that exists, unless it is a `new_rule`.
    """
    found = list(sets)
    for problem in [] if new_rule else dubious_names(found, rules):
        raise UsageError(problem)
    return found


def dubious_names(sets: Iterable[str], rules: Collection[str]) -> list[str]:
    """What is wrong with the names of rules in these --set; see `checked_names`."""
    about_rules = [override for override in sets if override.startswith("keep.")]
    if not about_rules:
        return []
    from hdvg.config.rule_names import dubious_name
    from pipelines.recipes import rule_names

    known = {*rules, *rule_names()}
    return [problem for override in about_rules if (problem := dubious_name(override, known))]
