"""The recipes that ship, of datasets and of trainings: the settings of whole runs, as TOML that users copy and change."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hdvg.config.recipe import Recipe, load_recipe, parse, read_toml
from hdvg.errors import UsageError, suggestion
from hdvg.training.settings import TrainRecipe

FOLDER = Path(__file__).parent


def shipped(folder: str = ".") -> list[str]:
    """Names of the recipes that ship; those of trainings lie in the folder `train`."""
    return sorted(path.stem for path in (FOLDER / folder).glob("*.toml"))


def find_recipe(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe of that name or file, with `section.key=value` overrides. Raises UsageError if there is none."""
    return load_recipe(_find(name, "."), overrides)


def rule_names() -> set[str]:
    """The names of all rules of the recipes that ship."""
    return {name for recipe in shipped() for name in read_toml(FOLDER / f"{recipe}.toml").get("keep", {})}


def find_train_recipe(name: str, overrides: Iterable[str] = ()) -> TrainRecipe:
    """The training recipe of that name or file, likewise."""
    path = _find(name, "train")
    return parse(TrainRecipe, read_toml(path), overrides, where=str(path))


def _find(name: str, folder: str) -> Path:
    path = FOLDER / folder / f"{name}.toml"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        names = shipped(folder)
        otherwise = f"shipped: {', '.join(names)}; or the path of a TOML file"
        raise UsageError(f"no recipe `{name}`; {suggestion(name, names, otherwise)}")
    return path
