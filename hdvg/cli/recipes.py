"""The commands about recipes, and how a command finds its recipe: by name, file or dataset, with what --set says."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdvg.cli.arguments import AllowEnv, Json, NewRule, Sets, with_leave
from hdvg.cli.tables import print_json, print_table
from hdvg.errors import UsageError

if TYPE_CHECKING:
    from hdvg.config.recipe import Recipe
    from hdvg.training.settings import TrainRecipe

commands = typer.Typer(no_args_is_help=True, help="List, show and check recipes: the settings of a whole run.")

Named = Annotated[str, typer.Argument(metavar="RECIPE", help="a shipped recipe or a TOML file")]


@commands.command("list")
def recipe_list(as_json: Json = False) -> None:
    """List the recipes that ship, of datasets and of trainings."""
    from hdvg.reports.wants import wants
    from pipelines.recipes import find_recipe, find_train_recipe, shipped

    found = [(name, find_recipe(name)) for name in shipped()]
    rows = [
        {"name": name, "for": "run", "wants": ", ".join(wants(one)) or "nothing", "about": one.about}
        for name, one in found
    ]
    rows += [
        {"name": name, "for": "train", "wants": "", "about": find_train_recipe(name).about} for name in shipped("train")
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(["name", "for hdvg", "wants", "about"], (row.values() for row in rows))


@commands.command("show")
def recipe_show(
    recipe: Named,
    sets: Sets = None,
    new_rule: NewRule = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="every setting with its sentence, what it takes, its default and value")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print a recipe with every setting, as TOML to copy and change. Example: hdvg recipe show demo > mine.toml

    To read what settings mean: hdvg recipe show demo --explain
    """
    from hdvg.config.recipe import as_toml

    found = any_recipe(recipe, sets or (), new_rule=new_rule)
    if explain:
        return _explain(found, as_json=as_json)
    if as_json:
        print_json(found.model_dump())
    else:
        typer.echo(as_toml(found), nl=False)


def _explain(recipe: Recipe | TrainRecipe, *, as_json: bool) -> None:
    """Every setting in words."""
    from dataclasses import asdict

    from hdvg.config.described import as_text, described

    settings = described(recipe)
    if as_json:
        return print_json([asdict(setting) for setting in settings])
    for line in as_text(settings):
        typer.echo(line)


@commands.command("validate")
def recipe_validate(recipe: Named, sets: Sets = None, new_rule: NewRule = False, allow_env: AllowEnv = None) -> None:
    """Check a recipe: unknown keys, types, ranges, and that it sends no secret. Exit 0, or 2 with what is wrong."""
    from hdvg.config.recipe import Recipe
    from hdvg.config.secrets import refuse_secrets

    found = any_recipe(recipe, with_leave(sets, private=False, env=allow_env), new_rule=new_rule)
    if isinstance(found, Recipe):
        refuse_secrets(found)
    typer.echo(f"{found.name}: fine")


def any_recipe(name: str, sets: Iterable[str], *, new_rule: bool) -> Recipe | TrainRecipe:
    """The recipe of a dataset or of a training of that name or file, with what --set says."""
    from pipelines.recipes import find_any

    checked = checked_names(sets, getattr(find_any(name), "keep", {}), new_rule=new_rule)
    return find_any(name, checked)


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
