"""The SQL of the keyframe measures, and of what is computed over the whole pool of clips."""

from __future__ import annotations

from hdvg.dataset.parts import nulls
from hdvg.dataset.views import Scope, StageViews, failed, last_words, view
from hdvg.measures.keyframed import OF_SOUND
from schemas.measures import KEYFRAME_MEASURED, POOL

SOUNDING = "select d.*, v.sha256 from dataset d join videos v using (video_id)"
"""SQL: clips, and the file of their video."""


class Keyframed(StageViews):
    """One view for each measure that was wanted at any time."""

    def views(self, scope: Scope) -> str:
        """The newest row of every clip, measure by measure."""
        return "".join(
            view(
                f"{name}_rows",
                f"select * from {scope.rows(name)}\n"
                "qualify row_number() over (partition by video_id, clip_id order by generation desc) = 1",
            )
            for name in KEYFRAME_MEASURED
            if scope.made(name)
        )

    def due(self, scope: Scope, stage: str) -> str:
        """The clips that pass every rule that can be decided before it; all, if the recipe asks for all numbers."""
        verdicts = scope.verdicts
        passes = "true" if scope.recipe.measure.all else f"({verdicts.passes_before(stage)}) and {verdicts.may_pass()}"
        return f"select video_id, clip_id from measured where {passes}"

    def items(self, stage: str) -> str:
        """The clips; of those whose sound is measured, where that is."""
        return SOUNDING if stage in OF_SOUND else self.entry.items

    def wanted(self, scope: Scope, stage: str) -> str:
        """As of any stage."""
        return last_words(stage, self.entry.key, self.due(scope, stage), f"from {stage}_rows")

    def failures(self, scope: Scope) -> list[str]:
        """Of the measures that are wanted now."""
        return [failed(f"{name}_rows", self.entry.key, f"'{name}'") for name in scope.measures]


class Pooled(StageViews):
    """What is computed over all clips at once: the parts that the newest index names count."""

    def views(self, scope: Scope) -> str:
        """Their rows, with the index's `content`; or those of the newest part of all clips, as earlier versions wrote it."""
        sql = (
            f"with every as (select * from {scope.rows(self.entry.name)}),\n"
            "newest as (select * from every where clip_id is null or part is null "
            "qualify generation = max(generation) over ())\n"
            "select every.* replace (newest.content as content) from every join newest using (part) where every.clip_id is not null\n"
            "union all by name select * from newest where clip_id is not null"
        )
        return view(self.entry.rows_view(), sql)

    def wanted(self, scope: Scope, stage: str) -> str:
        """The clips that are compared, if the recipe asks for it; "" if not."""
        if POOL not in scope.recipe.homes:
            return ""
        return (
            f"select '{stage}' as stage, clip_id as key, video_id, pool_status as old_status, null::varchar as old_reason, "
            f"null::bigint as attempt\nfrom measured where {scope.verdicts.in_pool()}"
        )

    def failures(self, scope: Scope) -> list[str]:
        """None: it is computed, or not yet."""
        return []


def measured_columns(scope: Scope) -> tuple[str, str]:
    """SQL for the view `measured`: the columns of all keyframe measures, null where one was never taken, and the joins."""
    columns, joins = [], []
    for name, fields in KEYFRAME_MEASURED.items():
        if scope.made(name):
            columns += [f"{name}_rows.status as {name}_status", *(f"{name}_rows.{field.name}" for field in fields)]
            joins.append(f"left join {name}_rows using (video_id, clip_id)\n")
        else:
            columns += [f"null::varchar as {name}_status", nulls(fields)]
    return "".join(f"{column}, " for column in columns), "".join(joins)
