"""The SQL of the caption views: texts of all writers, which of them is best, and what is still to be written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hdvg.config.writers import stage_of, step_and_writer
from hdvg.dataset.parts import no_rows
from hdvg.dataset.stages import part_schema
from hdvg.dataset.views import Scope, StageViews, failed, last_words, view
from schemas.captions import CAPTION_KINDS, CAPTION_MEASURED, PERSON, SAID

if TYPE_CHECKING:
    from hdvg.config.recipe import Recipe

DESCENDING = frozenset({"sound", "similarity", "agreement", "words", "place"})
"""Of what texts are chosen by, what is better the larger it is; of the others less is better."""

WORDED = "status = 'ok' and text is not null"
"""SQL: whether a row of `captioned` is a text; of some kinds there may be nothing to say, which is no failure."""


CLOCK = "start_pts * split_part(time_base, '/', 1)::double / split_part(time_base, '/', 2)::double"
"""SQL: when the player's clock is 0, seconds of the source's: at a video's first frame."""

SPOKEN = (
    "select c.video_id, c.clip_id, list({'start_s': s.start_s + zero_s, 'end_s': s.end_s + zero_s, 'text': s.text, "
    "'word_starts_s': list_transform(s.word_starts_s, lambda word_s: word_s + zero_s)} order by s.start_s, s.end_s) as spoken "
    f"from measured c join (select video_id, {CLOCK} as zero_s from videos) using (video_id) join subtitles s "
    "on s.video_id = c.video_id and s.start_s + zero_s < c.end_s and s.end_s + zero_s > c.start_s group by all"
)
"""SQL: the lines that are said while a clip lasts, in part or whole, seconds of the source's clock as those of the clip."""


FILES = (
    "{'sha256': v.sha256, 'clip_sha256': cuts.clip_sha256, 'clip_pack': cuts.clip_pack, 'clip_offset': cuts.clip_offset, "
    "'clip_bytes': cuts.clip_bytes} as held"
)
"""SQL: where a clip's bytes are, for a writer that hears it."""

ITEMS = (
    f"select d.*, v.title, v.extractor, v.subtitles_language, v.subtitles_origin, v.source, {FILES}, s.spoken from measured d "
    f"join videos v using (video_id) left join cuts using (video_id, clip_id) left join ({SPOKEN}) s using (video_id, clip_id)"
)
"""SQL: what a writer may look at, a row a clip."""


def caption_sql(recipe: Recipe) -> dict[str, str]:
    """The parts of schemas/manifest.sql that choose the best of the writers' texts."""
    caption = recipe.caption
    sound = (
        f"words >= {caption.min_words} and repeated_trigrams <= {caption.max_repeated_trigrams!r} "
        f"and odd_characters <= {caption.max_odd_characters!r} and not boilerplate"
    )
    order = [f"{name} {'desc' if name in DESCENDING else 'asc'} nulls last" for name in caption.best]
    kinds = [*([PERSON] if caption.takes_persons else []), *CAPTION_KINDS]
    weights = " ".join(f"when '{kind}' then {caption.weights.get(kind, 0.0)!r}" for kind in kinds)
    return {
        "sound": sound,
        "best_order": ", ".join((*order, "place")),
        "kind_weight": f"case kind {weights} end::double",
        "kind_place": f"list_position({kinds}, kind)",
        "said_columns": ", ".join(field.name for field in SAID),
        "caption_columns": ", ".join(
            f"checked.{field.name}" for fields in CAPTION_MEASURED.values() for field in fields
        ),
    }


def _of(writer: str) -> str:
    """SQL: whether a row of `captioned` is a text of that writer's."""
    return f"{WORDED} and writer = '{writer}'"


class Captions(StageViews):
    """What all writers wrote: one view, with the writer and its stage in every row."""

    def views(self, scope: Scope) -> str:
        """The newest word of every writer on every clip."""
        parts = [
            f"select {place} as place, '{writer}' as writer, '{stage}' as stage, * from {scope.rows(stage)}\n"
            "qualify generation = max(generation) over (partition by video_id, clip_id)"
            for place, writer in enumerate(scope.recipe.caption.writers)
            if (stage := stage_of(self.entry.name, writer)) in scope.stages
        ]
        nothing = no_rows(part_schema(self.entry.name))
        none = f"select 0 as place, null::varchar as writer, null::varchar as stage, * from {nothing}"
        return view(self.entry.rows_view(), "\nunion all by name\n".join(parts) or none)

    def due(self, scope: Scope, stage: str) -> str:
        """The clips that its writer is for; once it has written for one, that stays so, whatever the text made better."""
        writer = step_and_writer(stage)[1]
        settings = scope.recipe.caption.writers[writer]
        condition = settings.condition
        wrote = f"clip_id in (select clip_id from captioned where writer = '{writer}')"
        where = "true" if condition is None else f"({condition.sql({})} or {wrote})"
        texts = (
            "true"
            if settings.source is None
            else f"clip_id in (select clip_id from captioned where {_of(settings.source)})"
        )
        return (
            f"select video_id, clip_id from measured where {scope.verdicts.before_captions()} and {texts} and {where}"
        )

    def wanted(self, scope: Scope, stage: str) -> str:
        """As of any stage, though there are several rows of a clip: one for each kind of text."""
        words = ", ".join(f"any_value({name}) as {name}" for name in ("status", "reason", "attempt"))
        rows = (
            f"from (select video_id, clip_id, {words} from {self.entry.rows_view()} "
            f"where writer = '{step_and_writer(stage)[1]}' group by all)"
        )
        return last_words(stage, self.entry.key, self.due(scope, stage), rows)

    def failures(self, scope: Scope) -> list[str]:
        """Of all writers."""
        return [failed(self.entry.rows_view(), self.entry.key, "r.stage")]

    def items(self, stage: str) -> str:
        """The clips, with what is said in them, and the texts of all other writers."""
        texts = "list({'writer': writer, 'kind': kind, 'text': text} order by place, kind) as written"
        others = f"{WORDED} and writer <> '{step_and_writer(stage)[1]}'"
        return (
            f"select i.*, w.written from ({ITEMS}) i left join "
            f"(select video_id, clip_id, {texts} from captioned where {others} group by all) w using (video_id, clip_id)"
        )


class Matches(Captions):
    """How like each text is to its clip's pictures."""

    def due(self, scope: Scope, stage: str) -> str:
        """The clips that have a text of its writer and were looked at for embeddings."""
        writer = step_and_writer(stage)[1]
        written = f"select distinct video_id, clip_id from captioned where {_of(writer)}"
        passes = scope.verdicts.before_captions()
        ready = f"select video_id, clip_id from measured where {passes} and semantics_status is not null"
        return f"from ({written}) semi join ({ready}) using (video_id, clip_id)"

    def items(self, stage: str) -> str:
        """The clips with a list of their texts."""
        texts = "list({'kind': kind, 'text': text} order by kind) as texts"
        return (
            f"select t.*, m.embedding from (select video_id, clip_id, {texts} from captioned "
            f"where {WORDED} and writer = '{step_and_writer(stage)[1]}' group by all) t "
            "join measured m using (video_id, clip_id)"
        )
