"""What people say of clips, as SQL: the marks of a clip as columns that rules may name, and a caption as one more text."""

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
PERSONS_TEXTS = """
    union all by name
    select -1 as place, 'person' as writer, 'person' as captioner, 'person' as kind, 'ok' as status, video_id, clip_id, caption as text,
        words, repeated_words, repeated_trigrams, odd_characters, boilerplate
    from annotations where caption is not null and words is not null
    qualify row_number() over (partition by clip_id order by written_at desc, author) = 1"""
"""SQL: the newest caption that anyone wrote of each clip, behind the rows of `captioned`."""

NOBODY = ", ".join(f"false as {name}" for name in MARKED_NAMES)


def are_there(root: Path) -> bool:
    """Whether anyone ever said anything of a clip."""
    return bool(files(root, "tables", of=NAME))


def are_named(recipe: Recipe) -> bool:
    """Whether a rule, or the condition of a writer, looks at marks."""
    conditions = [writer.condition for writer in recipe.caption.writers.values()]
    rules = [*recipe.rules, *(rule for rule in conditions if rule is not None)]
    return any(name in rule.columns for rule in rules for name in MARKED_NAMES)


def are_used(recipe: Recipe) -> bool:
    """Whether what people say has a part in verdicts or captions."""
    return recipe.caption.takes_persons or are_named(recipe)


def marked_by(rows: str) -> str:
    """SQL: a row of `clip_id` and `MARKED` for each clip of which anyone said anything; `rows` are the newest annotations."""
    columns = ", ".join(f"coalesce(bool_or(mark = '{mark}'), false) as marked_{mark}" for mark in MARKS)
    return f"select clip_id, {columns} from {rows} group by clip_id"


def table_sql(root: Path, prefix: str, recipe: Recipe, *, forgotten: bool, is_unit: bool) -> dict[str, str]:
    """The parts of schemas/manifest.sql that read tables which no stage makes, and say of each clip how it is marked and captioned.

    A unit's views have none of these tables, unless the recipe uses what people say.
    """
    names: Collection[str] = TABLES if not is_unit else [NAME] if are_used(recipe) else []
    views = tables_sql(root, prefix, forgotten=forgotten, names=names)
    if NAME not in names or not are_there(root):
        return {"table_views": views, "marked_columns": NOBODY, "marked_join": "", "persons_texts": ""}
    columns = ", ".join(f"coalesce(marks.{name}, false) as {name}" for name in MARKED_NAMES)
    join = f"\nleft join ({marked_by(NAME)}) marks on marks.clip_id = c.clip_id"
    texts = PERSONS_TEXTS if recipe.caption.takes_persons else ""
    return {"table_views": views, "marked_columns": columns, "marked_join": join, "persons_texts": texts}
