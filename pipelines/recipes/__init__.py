"""The recipes that ship: the settings of whole runs, as TOML that users copy and change."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from hdvg.config import Recipe, load_recipe
from hdvg.errors import UsageError

FOLDER = Path(__file__).parent


def shipped() -> list[str]:
    """Names of the recipes that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def find_recipe(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe of that name or file, with `section.key=value` overrides. Raises UsageError if there is none."""
    path = FOLDER / f"{name}.toml"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        near = difflib.get_close_matches(name, shipped(), n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"shipped: {', '.join(shipped())}; or the path of a TOML file"
        raise UsageError(f"no recipe `{name}`; {hint}")
    return load_recipe(path, overrides)
