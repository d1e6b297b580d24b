"""What people say of clips, as SQL: the marks of a clip as columns that rules may name."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from hdvg.dataset.layout import files
from hdvg.dataset.tables import TABLES, tables_sql
from schemas.annotations import MARKED, MARKS

if TYPE_CHECKING:
    from hdvg.config.recipe import Recipe

NAME = "annotations"

MARKED_NAMES = tuple(field.name for field in MARKED)
NOBODY = ", ".join(f"false as {name}" for name in MARKED_NAMES)


def are_there(root: Path) -> bool:
    """Whether anyone ever said anything of a clip."""
    return bool(files(root, "tables", of=NAME))


def are_named(recipe: Recipe) -> bool:
    """Whether a rule, or the condition of a writer, looks at marks."""
    conditions = [writer.condition for writer in recipe.caption.writers.values()]
    rules = [*recipe.rules, *(rule for rule in conditions if rule is not None)]
    return any(name in rule.columns for rule in rules for name in MARKED_NAMES)


def marked_by(rows: str) -> str:
    """SQL: a row of `clip_id` and `MARKED` for each clip of which anyone said anything; `rows` are the newest annotations."""
    columns = ", ".join(f"coalesce(bool_or(mark = '{mark}'), false) as marked_{mark}" for mark in MARKS)
    return f"select clip_id, {columns} from {rows} group by clip_id"


def table_sql(root: Path, prefix: str, recipe: Recipe, *, forgotten: bool, is_unit: bool) -> dict[str, str]:
    """The parts of schemas/manifest.sql that read tables which no stage makes, and say of each clip how it is marked.

    A unit's views have none of these tables, unless the recipe names marks.
    """
    names: Collection[str] = TABLES if not is_unit else [NAME] if are_named(recipe) else []
    views = tables_sql(root, prefix, forgotten=forgotten, names=names)
    if NAME not in names or not are_there(root):
        return {"table_views": views, "marked_columns": NOBODY, "marked_join": ""}
    columns = ", ".join(f"coalesce(marks.{name}, false) as {name}" for name in MARKED_NAMES)
    join = f"\nleft join ({marked_by(NAME)}) marks on marks.clip_id = c.clip_id"
    return {"table_views": views, "marked_columns": columns, "marked_join": join}
