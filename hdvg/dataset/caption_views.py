"""The SQL of the caption views: texts of all writers, which of them is best, and what is still to be written."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hdvg.config.caption import MAIN, Writer, stage_of
from hdvg.dataset.parts import no_rows, read_parts
from hdvg.dataset.plan import Plan
from schemas.captions import CAPTION_TOLD, KINDS
from schemas.measures import CAPTION, MATCH
from schemas.parts import part_schema

DESCENDING = frozenset({"sound", "similarity", "agreement", "words", "place"})
"""Of what texts are chosen by, what is better the larger it is; of the others less is better."""

SAID = "status = 'ok' and text is not null"
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


def caption_sql(plan: Plan, files: Callable[[str], str]) -> dict[str, str]:
    """The parts of schemas/manifest.sql that tell of the writers' texts; `files` tells a stage's parts."""
    caption = plan.recipe.caption
    sound = (
        f"words >= {caption.min_words} and repeated_trigrams <= {caption.max_repeated_trigrams!r} "
        f"and odd_characters <= {caption.max_odd_characters!r} and not boilerplate"
    )
    order = [f"{name} {'desc' if name in DESCENDING else 'asc'} nulls last" for name in caption.best]
    weights = " ".join(f"when '{kind}' then {caption.weights.get(kind, 0.0)!r}" for kind in KINDS)
    return {
        "captioned": _rows(plan, CAPTION, files),
        "matched": _rows(plan, MATCH, files),
        "sound": sound,
        "best_order": ", ".join((*order, "place")),
        "kind_weight": f"case kind {weights} end::double",
        "kind_place": f"list_position({list(KINDS)}, kind)",
        "caption_columns": ", ".join(f"checked.{field.name}" for fields in CAPTION_TOLD.values() for field in fields),
    }


def caption_wanted(plan: Plan, *, only: str | None = None) -> str:
    """SQL: what the writers have still to do; with `only`, at that stage alone."""
    return "".join(sql for stage, sql in _wanted(plan) if only in {None, stage})


def _rows(plan: Plan, step: str, files: Callable[[str], str]) -> str:
    """SQL: the newest word of every writer on every clip, at a step."""
    parts = []
    for place, writer in enumerate(plan.recipe.caption.writers):
        stage = stage_of(step, writer)
        if stage in plan.writing:
            parts.append(
                f"select {place} as place, '{writer}' as writer, '{stage}' as stage, * "
                f"from {read_parts(stage, files(stage))}\n"
                "qualify generation = max(generation) over (partition by video_id, clip_id)"
            )
    none = f"select 0 as place, null::varchar as writer, null::varchar as stage, * from {no_rows(part_schema(step))}"
    return "\nunion all by name\n".join(parts) or none


def _wanted(plan: Plan) -> Iterable[tuple[str, str]]:
    """Stage and SQL, for each writer: the clips it is to write for, then its texts that are to be matched."""
    due = plan.verdicts.before_captions()
    for writer, settings in plan.recipe.caption.writers.items():
        where = _condition(writer, settings)
        yield _last_words(CAPTION, writer, f"select video_id, clip_id from measured where {due} and {where}")
        if stage_of(MATCH, writer) in plan.writing:
            written = f"select distinct video_id, clip_id from captioned where {SAID} and writer = '{writer}'"
            ready = f"select video_id, clip_id from measured where {due} and semantics_status is not null"
            yield _last_words(MATCH, writer, f"from ({written}) semi join ({ready}) using (video_id, clip_id)")


def _condition(writer: str, settings: Writer) -> str:
    """SQL: whether a clip is one for the writer; once it has written for it, that stays so, whatever the text made better."""
    if settings.condition is None:
        return "true"
    return f"({settings.condition.sql({})} or clip_id in (select clip_id from captioned where writer = '{writer}'))"


def _last_words(step: str, writer: str, clips: str) -> tuple[str, str]:
    """Stage and SQL: the last word of a writer's step on each of the `clips`."""
    view = {CAPTION: "captioned", MATCH: "matched"}[step]
    words = ", ".join(f"any_value({name}) as {name}" for name in ("status", "reason", "attempt"))
    stage = stage_of(step, writer)
    return stage, (
        f"\nunion all by name\nselect '{stage}' as stage, clip_id as key, video_id, "
        f"r.status as old_status, r.reason as old_reason, r.attempt\nfrom ({clips})\n"
        f"left join (select video_id, clip_id, {words} from {view} where writer = '{writer}' group by all) r "
        "using (video_id, clip_id)"
    )


def items_sql(step: str, writer: str = MAIN) -> str:
    """SQL: the items of a writer's stage, a row a clip."""
    if step == CAPTION:
        return (
            "select d.*, v.title, v.extractor, v.subtitles_language, v.subtitles_origin, s.spoken from measured d "
            f"join videos v using (video_id) left join ({SPOKEN}) s using (video_id, clip_id)"
        )
    texts = "list({'kind': kind, 'text': text} order by kind) as texts"
    return (
        f"select t.*, m.embedding from (select video_id, clip_id, {texts} from captioned "
        f"where {SAID} and writer = '{writer}' group by all) t join measured m using (video_id, clip_id)"
    )
