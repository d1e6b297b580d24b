"""The SQL of the views of scenes that published sets give; where none is given they are empty, and nothing is read."""

from __future__ import annotations

from pathlib import Path

from hdvg.dataset.parts import no_rows
from hdvg.dataset.plan import Plan
from schemas.clips import GIVEN_SPAN
from schemas.given import GIVEN

PLACES = ("parent", "parent_start_ms", "parent_end_ms", "start_frame", "end_frame", "start_ms", "end_ms")
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


def given_sql(plan: Plan, *, read: str | None, compared: bool, living: str) -> dict[str, str]:
    """The parts of schemas/manifest.sql that tell of given scenes.

    `read` is SQL for the rows of `given/`, None if there are no files; `compared`: whether a split counts only for the scenes
    it was made with; `living`: SQL that leaves out what is forgotten.
    """
    partly = compared and plan.recipe.fetch.sections == "auto"
    return {
        "split_status": "case when s.given_digest is not distinct from g.given_digest then s.status end"
        if compared
        else "s.status",
        "download_status": f"case when d.status <> 'ok' or {_covers('d')} then d.status end" if partly else "d.status",
        # a part that cannot be fetched again with further scenes stays: its clips are there
        "download_order": "(status = 'ok' or reason in ('blocked_content', 'forgotten')) desc, " if partly else "",
        "download_join": " left join given_videos g using (video_id)" if partly else "",
        "split_ready": f" and ({_covers('v')})" if partly else "",
        "given_join": " left join given_videos g using (video_id)" if compared else "",
        "given": f"select * from {read or no_rows(GIVEN)} {living}",
        "given_videos": f"select {_videos(plan.recipe.split.given, read)}",
        "given_failures": FAILURES if compared else "",
        "given_columns": ", ".join(f"c.{field.name}" for field in GIVEN_SPAN),
    }


def _covers(download: str) -> str:
    """SQL: whether what was fetched is enough for the scenes that are given now."""
    return f"{download}.sections_digest is null or {download}.sections_digest = coalesce(g.given_digest, '')"


def _videos(mode: str, read: str | None) -> str:
    """SQL: each video with its scenes, if they are to be used, and a hash of these and of how."""
    if read is None or mode == "ignore":
        return "null::varchar as video_id, null::varchar as given_digest, null::struct(given_id varchar)[] as given where false"
    row = "{" + ", ".join(f"'{name}': {name}" for name in SCENE) + "}"
    order = ", ".join(("origin", "file", "place", *SCENE))
    scenes = f"select video_id, list({row} order by {order}) as given from given group by video_id"
    return f"video_id, md5('{mode} ' || given::varchar) as given_digest, given\nfrom ({scenes})"
