"""The SQL of the views of scenes that published sets give; where none is given they are empty, and nothing is read."""

from __future__ import annotations

from pathlib import Path

from hdvg.settings import Plan
from schemas.clips import GIVEN_SPAN, GIVEN_VIDEO
from schemas.columns import SQL_TYPES
from schemas.given import GIVEN

PLACES = ("parent_start_ms", "parent_end_ms", "start_frame", "end_frame", "start_ms", "end_ms")
"""Columns of a scene that say where it lies."""

SCENE = ("origin", "given_id", "caption", *PLACES)

FAILURES = """
union all by name
select s.given_id as key, 'split' as stage, s.status, s.reason, s.detail, s.attempt, v.source, video_id
from split_rows s join videos v using (video_id)
where s.clip_id is not null and s.status <> 'ok' and v.status = 'ok' and s.generation = v.split_generation"""


def has_given(root: Path) -> bool:
    """Whether a published set gave scenes of the dataset at any time: its split parts then tell of them."""
    return (root / "given").is_dir()


def given_sql(plan: Plan, read: str | None, *, union: bool) -> dict[str, str]:
    """The parts of schemas/manifest.sql that tell of given scenes.

    `read` is SQL for what is read of `given/`, None if there are no files; `union`: parts with and without the columns of
    given scenes lie side by side.
    """
    fields = (*GIVEN_SPAN, *GIVEN_VIDEO)
    empty = ", ".join(f"null::{SQL_TYPES[field.type]} as {field.name}" for field in GIVEN)
    scenes = "null::varchar as video_id, null::varchar as given_digest, null::struct(given_id varchar)[] as given"
    mode = plan.recipe.split.given
    if read is not None and mode != "ignore":
        row = "{" + ", ".join(f"'{name}': {name}" for name in SCENE) + "}"
        scenes = f"video_id, md5('{mode} ' || given::varchar) as given_digest, given"
        scenes += (
            f"\nfrom (select video_id, list({row} order by origin, file, place) as given from given group by video_id)"
        )
    else:
        scenes += " where false"
    return {
        "split_union": ", union_by_name = true" if union else "",
        "no_given_columns": ", ".join(f"null::{SQL_TYPES[field.type]} as {field.name}" for field in fields),
        "given": f"select * from {read}" if read else f"select {empty} where false",
        "given_videos": f"select {scenes}",
        "given_failures": FAILURES if union else "",
        "given_columns": ", ".join(f"c.{field.name}" for field in GIVEN_SPAN),
    }
