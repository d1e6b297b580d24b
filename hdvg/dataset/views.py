"""The SQL of one stage: the view of its newest rows, which items it is for, what of them is to be done, and what failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hdvg.dataset.stages import entry_of, resolve

if TYPE_CHECKING:
    from hdvg.config.recipe import Recipe
    from hdvg.config.rules import Verdicts
    from hdvg.dataset.stages import Entry


@dataclass(frozen=True)
class Scope:
    """What the SQL is made for: a dataset's settings, and where the rows of its stages are read."""

    recipe: Recipe
    verdicts: Verdicts
    measures: tuple[str, ...]
    """The keyframe measures to take, in order."""
    stages: tuple[str, ...]
    """The stages that the dataset was made for, in order; one that came later has no parts yet."""
    rows: Callable[[str], str]
    """SQL: the rows of all parts of a stage, none if it has none."""
    made: Callable[[str], bool]
    """Whether a stage was wanted at any time, so that there are parts of it."""
    living: str = ""
    """SQL behind a table's name that leaves out what is forgotten."""
    compared: bool = False
    """Whether published sets gave scenes: a split then counts only for those that it was made with."""

    def fill(self, sql: str) -> str:
        """The SQL with the conditions that it names in braces."""
        conditions = {"may_pass": self.verdicts.may_pass, "passes": self.verdicts.before_captions}
        for name, condition in conditions.items():
            if f"{{{name}}}" in sql:
                sql = sql.replace(f"{{{name}}}", f"({condition()})")
        return sql


class StageViews:
    """The SQL of an entry of the table of stages; where a stage's SQL differs, it has a subclass."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry

    def views(self, scope: Scope) -> str:
        """The statements that make its views: the newest row of every item."""
        keys = "video_id" if self.entry.key == "video_id" else "video_id, clip_id"
        return view(
            self.entry.rows_view(),
            f"select * from {scope.rows(self.entry.name)}\n"
            f"qualify row_number() over (partition by {keys} order by generation desc) = 1",
        )

    def due(self, scope: Scope, stage: str) -> str:
        """The keys of the items that one of its stages is for."""
        return scope.fill(self.entry.due)

    def wanted(self, scope: Scope, stage: str) -> str:
        """The items of one of its stages, each with the last word on it, if there is one."""
        return last_words(stage, self.entry.key, self.due(scope, stage), f"from {self.entry.rows_view()}")

    def failures(self, scope: Scope) -> list[str]:
        """What did not work out at its stages, of videos that are fine."""
        return [failed(self.entry.rows_view(), self.entry.key, f"'{self.entry.name}'")]

    def items(self, stage: str) -> str:
        """The items of one of its stages, a row each, with every column that its function needs."""
        return self.entry.items


class ShardViews(StageViews):
    """Which shard holds what: no items, nothing that fails."""

    def views(self, scope: Scope) -> str:
        """The parts, as they are."""
        return view(self.entry.rows_view(), f"select * from {scope.rows(self.entry.name)} order by shard")

    def failures(self, scope: Scope) -> list[str]:
        """None."""
        return []


def view(name: str, sql: str) -> str:
    """The statement that makes a view; `hdvg.dataset.view_making` relies on its shape."""
    return f"create or replace view {name} as\n{sql};\n"


def last_words(stage: str, key: str, due: str, rows: str, *, status: str = "r.status") -> str:
    """SQL: the items that are due at a stage, each with the last word on it; `rows` is `from` a view of newest rows.

    `status`: SQL for that word, if it is not the newest row's status.
    """
    keys = "video_id" if key == "video_id" else "video_id, clip_id"
    return (
        f"select '{stage}' as stage, {key} as key, video_id, {status} as old_status, r.reason as old_reason, r.attempt\n"
        f"from ({due})\nleft join (select {keys}, status, reason, attempt {rows}) r using ({keys})"
    )


def failed(rows: str, key: str, stage: str) -> str:
    """SQL: the rows of a view, or of SQL in parentheses, that are not ok; `stage` is SQL for the stage's name."""
    return (
        f"select r.{key} as key, {stage} as stage, r.status, r.reason, r.detail, r.attempt, v.source, video_id\n"
        f"from {rows} r join videos v using (video_id) where r.status <> 'ok' and v.status = 'ok'"
    )


def stage_views(stage: str) -> StageViews:
    """What makes the SQL of a stage."""
    entry = entry_of(stage)
    made: StageViews = resolve(entry.views)(entry)
    return made
