"""The SQL of measures that are taken alone: what rows hold of each, what clips lack, and what stands in the place of the pass's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from hdvg.config.own_measures import Taken, is_new
from hdvg.dataset.stages import ASSESS, LEARNED, REMEASURE
from hdvg.dataset.views import Scope, StageViews, failed, last_words, view
from schemas.pass_measures import PASS

NEWEST = "qualify row_number() over (partition by video_id, clip_id order by status = 'ok', generation desc) = 1"
"""SQL: of a clip's rows the newest that is not ok, if there is one: a later row may be of another measure."""
STAGES = (REMEASURE, LEARNED, ASSESS)
"""Those that take them, in order."""

MAPS = {"number": "numbers", "flag": "flags", "label": "labels", "list": "lists"}
"""The columns of parts that hold values of own measures, by their kind; a series lies in the pack."""

KEYFRAMES = "coalesce(packs.pack, c.keyframes) as keyframes"
PACKS = "left join packs on packs.video_id = c.video_id and packs.replaces = c.keyframes\n"
"""SQL: the pack that stands for a split's own: also if nothing is taken any more, for the split's own is gone."""

FIRST = " ".join(f"{name}=1" for name in PASS if not is_new(name))
"""What a split of the first release holds."""


class Alone(StageViews):
    """One stage for what costs little before the cut, one for what models say, and one for the rest; a part holds all that were
    taken together."""

    def views(self, scope: Scope) -> str:
        """All rows; and with the last of these stages, what they come to for each clip, and the packs that they made."""
        rows = view(self.entry.rows_view(), f"select * from {scope.rows(self.entry.name)}")
        if self.entry.name != ASSESS:
            return rows
        every = f"({' union all by name '.join(f'from {stage}_rows' for stage in STAGES)})"
        packs = (  # of several stages, each with generations of its own
            f"select video_id, replaces, pack, pack_number from {every} where pack is not null qualify row_number() over "
            "(partition by video_id, replaces order by coalesce(pack_number, 0) desc, generation desc, pack) = 1"
        )
        values = ", ".join(_held(one) for one in scope.recipe.measure.taken)
        alone = f"select video_id, clip_id, {values} from {every} group by video_id, clip_id"
        return rows + view("packs", packs) + (view("alone", alone) if values else "")

    def due(self, scope: Scope, stage: str) -> str:
        """The clips that no rule has dropped so far and that lack one; all, if the recipe asks for all numbers."""
        verdicts, place = scope.verdicts, STAGES.index(stage)
        later = [one.name for one in scope.recipe.measure.taken if one.is_new and STAGES.index(one.stage) >= place]
        passes = verdicts.before_captions() if stage == ASSESS else verdicts.passes_before(*later)
        open_to_all = scope.recipe.measure.all and stage != ASSESS
        judged = "true" if open_to_all else f"({passes}) and {verdicts.may_pass(besides=later)}"
        return f"select video_id, clip_id, {stage}_word as word from measured where {judged}"

    def wanted(self, scope: Scope, stage: str) -> str:
        """The last word on a clip is of what it lacks: null if a measure was not tried."""
        newest = f"from {stage}_rows {NEWEST}"
        return last_words(stage, self.entry.key, self.due(scope, stage), newest, status="word")

    def failures(self, scope: Scope) -> list[str]:
        """Of each clip that still lacks a measure the newest row that says why."""
        name, rows = self.entry.name, self.entry.rows_view()
        if not scope.recipe.measure.taken:
            return []
        lacking = f"(select video_id, clip_id from measured where {name}_word <> 'ok')"
        found = f"(from {rows} semi join {lacking} using (video_id, clip_id) where status <> 'ok' {NEWEST})"
        return [failed(found, self.entry.key, f"'{name}'")]


def _held(one: Taken) -> str:
    """SQL: the newest word on a measure of a clip's rows, and its values."""
    holds = f"list_contains(string_split(measure_versions, ' '), '{one.mark}')"
    values = [f"arg_max(status, generation) filter ({holds}) as {one.name}_status"]
    for field in one.fields():
        source = f"{MAPS[one.columns[field.name][0]]}['{field.name}']" if one.is_own else field.name
        values.append(f"arg_max_null({source}, generation) filter ({holds} and status = 'ok') as {field.name}")
    return ", ".join(values)


def alone_sql(scope: Scope) -> dict[str, str]:
    """The parts of schemas/manifest.sql that put such measures beside those of the pass, or in their place."""
    taken = scope.recipe.measure.taken
    packed = any(map(scope.made, STAGES))
    if not taken:
        nothing = ", ".join(f"null::varchar as {stage}_{what}" for stage in STAGES for what in ("lacks", "word"))
        return {
            "alone_replaced": f" replace ({KEYFRAMES})" if packed else "",
            "alone_columns": f"{nothing}, ",
            "alone_joins": PACKS if packed else "",
            "own_columns": "",
            "own_measures": "null::varchar",
        }
    replaced = [KEYFRAMES]
    columns = ["c.keyframes as split_pack", "packs.pack_number"]
    own = [field.name for one in taken if one.is_own for field in one.fields()]
    for one in taken:
        if not one.is_own:
            for field in one.fields():
                replaced.append(f"case when alone.{one.name}_status = 'ok' then alone.{field.name} else c.{field.name} end as {field.name}")  # fmt: skip
        else:
            columns += [f"alone.{field.name}" for field in one.fields()]
        columns.append(f"{_status(one)} as {one.name}_status")
    for stage in STAGES:
        columns += _lacks(stage, [one for one in taken if one.stage == stage])
    return {
        "alone_replaced": f" replace ({', '.join(replaced)})",
        "alone_columns": "".join(f"{column}, " for column in columns),
        "alone_joins": f"left join alone using (video_id, clip_id)\n{PACKS}",
        "own_columns": "".join(f"c.{name}, " for name in own),
        "own_measures": _as_json(own),
    }


def _as_json(names: Sequence[str]) -> str:
    """SQL: these columns as the text of a JSON object; null where all are."""
    if not names:
        return "null::varchar"
    known = ", ".join(f"c.{name}::varchar" for name in names)
    held = ", ".join(f"{name}: c.{name}" for name in names)
    return f"case when coalesce({known}) is not null then to_json({{{held}}})::varchar end"


def clips_without(ask: Callable[[str], list[dict[str, Any]]]) -> dict[str, int]:
    """The measures of the pass that splits do not hold in today's version, and how many clips these are.

    `ask` gives the rows of a query over the dataset's views.
    """
    counts: Counter[str] = Counter()
    for row in ask(
        "select measure_versions as held, count(*) as clips from split_rows "
        "where clip_id is not null and status = 'ok' group by all"
    ):
        held = (row["held"] or FIRST).split()
        counts.update({name: row["clips"] for name, one in PASS.items() if f"{name}={one.version}" not in held})
    return dict(counts)


def _lacks(stage: str, taken: Sequence[Taken]) -> list[str]:
    """SQL: the marks of the measures that a clip lacks, and the word on them together."""
    if not taken:
        return [f"null::varchar as {stage}_lacks", f"'ok' as {stage}_word"]
    held = [_status(one) for one in taken]
    marks = [f"case when {word} is distinct from 'ok' then '{one.mark}' end" for word, one in zip(held, taken, strict=True)]  # fmt: skip
    any_is = {word: " or ".join(f"{one} = '{word}'" for one in held) for word in ("retry", "failed")}
    unknown = " or ".join(f"{one} is null" for one in held)
    return [
        f"concat_ws(' ', {', '.join(marks)}) as {stage}_lacks",
        f"case when {unknown} then null when {any_is['retry']} then 'retry' when {any_is['failed']} then 'failed' else 'ok' end as {stage}_word",
    ]


def _status(one: Taken) -> str:
    """SQL: the last word on that version of a measure: of the rows that took it alone, else of the split's; null if of none."""
    alone = f"alone.{one.name}_status"
    if one.is_own:
        return alone
    first = "" if one.is_new or one.version != "1" else "c.measure_versions is null or "
    of_split = f"{first}list_contains(string_split(c.measure_versions, ' '), '{one.mark}')"
    return f"coalesce({alone}, case when {of_split} then 'ok' end)"
