"""The SQL of what is fetched and split, and of the scenes that published sets give; where none is given nothing is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hdvg.dataset.parts import no_rows
from hdvg.dataset.views import Scope, StageViews, view
from schemas.clips import GIVEN_SPAN
from schemas.given import GIVEN

if TYPE_CHECKING:
    from hdvg.config.recipe import Recipe

PLACES = ("parent", "parent_start_ms", "parent_end_ms", "start_frame", "end_frame", "start_ms", "end_ms")
"""Columns of a scene that say where it lies."""

SCENE = ("origin", "given_id", "caption", *PLACES)

FAILURES = """select s.given_id as key, 'split' as stage, s.status, s.reason, s.detail, s.attempt, v.source, video_id
from split_rows s join videos v using (video_id)
where s.clip_id is not null and s.status <> 'ok' and v.status = 'ok' and s.generation = v.split_generation"""
"""SQL: given scenes that did not become clips."""

OF_VIDEOS = """select video_id as key, stage, status, reason, detail, attempt, source, video_id
from videos where status in ('failed', 'retry')"""
"""SQL: videos that were not fetched, or not split."""

SAID = """select video_id, line.start_s, line.end_s, line.text, line.word_starts_s, language, origin from (
    select video_id, unnest(subtitles) as line, subtitles_language as language, subtitles_origin as origin from (
        select * from {newest}
    ) where status = 'ok'
)"""
"""SQL: a row a line of the subtitles that came with a video, seconds of the player's clock."""


def has_given(root: Path) -> bool:
    """Whether a published set gave scenes of the dataset at any time: its split parts then have columns for them."""
    return (root / "given").is_dir()


class Downloads(StageViews):
    """What was fetched: a video that failed stands in `videos`; one that was fetched in part may be fetched again."""

    def views(self, scope: Scope) -> str:
        """The newest row of every video, and what is said in it."""
        # a part that cannot be fetched again with further scenes stays: its clips are there
        first = "(status = 'ok' or reason in ('blocked_content', 'forgotten')) desc, " if partly(scope) else ""
        newest = (
            f"{scope.rows(self.entry.name)} {scope.living}\n"
            f"qualify row_number() over (partition by video_id order by {first}generation desc) = 1"
        )
        rows = view(self.entry.rows_view(), f"select * exclude (subtitles) from {newest}")
        return rows + view("subtitles", SAID.format(newest=newest))

    def wanted(self, scope: Scope, stage: str) -> str:
        """Every accepted video; again those whose parts do not cover the scenes that are given now."""
        covered = f"case when d.status <> 'ok' or {_covers('d')} then d.status end" if partly(scope) else "d.status"
        return (
            f"select '{stage}' as stage, video_id as key, video_id, {covered} as old_status, d.reason as old_reason, d.attempt\n"
            "from (select distinct video_id from inputs where status = 'new') left join downloaded d using (video_id)"
            f"{' left join given_videos g using (video_id)' if partly(scope) else ''}"
        )

    def failures(self, scope: Scope) -> list[str]:
        """Those of videos: a duplicate is one too."""
        return [OF_VIDEOS]


class Splits(StageViews):
    """What was split: one row a video, then one for each of its clips."""

    def views(self, scope: Scope) -> str:
        """All rows, and the newest one of every video."""
        newest = "qualify row_number() over (partition by video_id order by generation desc) = 1"
        rows = view(self.entry.rows_view(), f"select * from {scope.rows(self.entry.name)} {scope.living}")
        return rows + view("scanned", f"select * from {self.entry.rows_view()} where clip_id is null\n{newest}")

    def wanted(self, scope: Scope, stage: str) -> str:
        """Every fetched video; again where other scenes are given than it was split by."""
        ready = f" and ({_covers('v')})" if partly(scope) else ""
        of_given = "case when s.given_digest is not distinct from g.given_digest then s.status end"
        return (
            f"select '{stage}' as stage, video_id as key, video_id,\n"
            f"    {of_given if scope.compared else 's.status'} as old_status, s.reason as old_reason, s.attempt\n"
            "from videos v left join scanned s using (video_id)"
            f"{' left join given_videos g using (video_id)' if scope.compared else ''} where v.stage = 'split'{ready}"
        )

    def failures(self, scope: Scope) -> list[str]:
        """Those of given scenes; those of videos stand beside the downloads'."""
        return [FAILURES] if scope.compared else []


def partly(scope: Scope) -> bool:
    """Whether videos are fetched in part, for the scenes that are given."""
    return scope.compared and scope.recipe.fetch.sections == "auto"


def given_sql(recipe: Recipe, *, read: str | None, living: str) -> dict[str, str]:
    """The parts of schemas/manifest.sql that are about given scenes.

    `read` is SQL for the rows of `given/`, None if there are no files; `living`: SQL that leaves out what is forgotten.
    """
    return {
        "given": f"select * from {read or no_rows(GIVEN)} {living}",
        "given_videos": f"select {_videos(recipe.split.given, read)}",
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
