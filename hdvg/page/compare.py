"""Two datasets, or a dataset by two recipes, beside each other: what only one has or keeps, and which rules differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from hdvg.config.recipe import Recipe
from hdvg.config.rules import parse_rules
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.snapshot import SOURCE
from hdvg.errors import UsageError
from hdvg.filtering.pool import resolve_quantiles
from hdvg.filtering.whatif import Judge
from hdvg.page.gallery import cards

Row = dict[str, Any]
Compared = tuple[Row, dict[str, bytes]]
"""The figures, and the strips of the clips that are shown."""

SHOWN = 12
"""Clips that are shown of each side."""

SPANS = (
    "select clip_id, span_id(video_id, start_pts, end_pts, time_base) as span_id, len(reasons) = 0 as keep, duration_s, draw "
    "from clip_rows"
)
JOINED = """
create temp table spans as
select span_id, a.clip_id as a_clip, b.clip_id as b_clip, a.keep as a_keep, b.keep as b_keep,
    coalesce(a.duration_s, b.duration_s) as duration_s, coalesce(a.draw, b.draw) as draw
from a full join b using (span_id)
"""
OF_DATASETS = {
    "only in A": ("a_clip", "b_clip is null", "clips whose video or span B does not have"),
    "only in B": ("b_clip", "a_clip is null", "clips whose video or span A does not have"),
    "kept in A only": ("a_clip", "a_clip is not null and b_clip is not null and a_keep and not b_keep", "B has and drops them"),
    "kept in B only": ("b_clip", "a_clip is not null and b_clip is not null and b_keep and not a_keep", "A has and drops them"),
    "kept in both": (None, "a_keep and b_keep", ""),
    "dropped in both": (None, "not a_keep and not b_keep", ""),
}  # fmt: skip
"""By name: whose clips are shown, which they are, and what that says."""

OF_RECIPES = {
    "kept by A only": ("clip_id", "a_keep and not b_keep", "B's rules drop them"),
    "kept by B only": ("clip_id", "b_keep and not a_keep", "A's rules drop them"),
    "kept by both": (None, "a_keep and b_keep", ""),
    "dropped by both": (None, "not a_keep and not b_keep", ""),
}


def of_recipes(dataset: Dataset, connection: duckdb.DuckDBPyConnection, other: Recipe) -> Compared:
    """The dataset's clips by its own rules, A, and by those of another recipe, B. `connection` has the table `SOURCE`.

    Raises UsageError if a rule names a measure that this dataset does not have.
    """
    plan = dataset.plan
    try:
        rules = parse_rules(other.keep, plan.recipe.measure.columns)
    except ValueError as error:
        raise UsageError(f"--compare {other.name}: {error}") from None
    own, new = Judge(plan.recipe.rules, plan.quantiles), Judge(rules, resolve_quantiles(rules, connection, SOURCE))
    a, b = (" and ".join(f"coalesce({test}, false)" for test in judge.tests) or "true" for judge in (own, new))
    of = f"(select clip_id, duration_s, draw, {a} as a_keep, {b} as b_keep from {SOURCE})"
    sides = _sides(connection, of, OF_RECIPES)
    shown, pictures = cards(dataset, _ids(sides))
    names = {"a": f"recipe {plan.recipe.name}", "b": f"recipe {other.name}"}
    by = "The same clips and measures, judged twice; a measure that was not taken of a clip fails its rule."
    rules_ = _rules(plan.recipe.keep, other.keep)
    return names | {"by": by, "sides": sides, "rules": rules_, "clips": shown}, pictures


def of_datasets(dataset: Dataset, other: Dataset) -> Compared:
    """The clips of two datasets: the same where video and span are the same."""
    connection = duckdb.connect()
    for name, one in (("a", dataset), ("b", other)):
        with one.manifest() as manifest:
            spans: pa.Table = manifest.table(SPANS)
        connection.register(f"{name}_spans", spans)
        connection.execute(
            f"create temp table {name} as select * from {name}_spans qualify row_number() over (partition by span_id order by clip_id) = 1"
        )
    connection.execute(JOINED)
    sides = _sides(connection, "spans", OF_DATASETS)
    same = connection.execute("select count(*) from spans where a_clip = b_clip").fetchall()[0][0]
    shown: dict[str, Row] = {}
    pictures: dict[str, bytes] = {}
    for one, own in ((dataset, ("only in A", "kept in A only")), (other, ("only in B", "kept in B only"))):
        rows, strips = cards(one, _ids(side for side in sides if side["name"] in own))
        shown, pictures = shown | rows, pictures | strips
    called = {"a": dataset.name, "b": other.name}
    by = f"Clips are the same where their video and span are (span_id); {same} have the same clip_id too."
    rules = _rules(dataset.plan.recipe.keep, other.plan.recipe.keep)
    return called | {"by": by, "sides": sides, "rules": rules, "clips": shown}, pictures


def _sides(
    connection: duckdb.DuckDBPyConnection, source: str, sides: Mapping[str, tuple[str | None, str, str]]
) -> list[Row]:
    made = []
    for name, (shown, where, about) in sides.items():
        clips, hours = connection.execute(
            f"select count(*), coalesce(sum(duration_s), 0) / 3600 from {source} where {where}"
        ).fetchall()[0]
        rows: Sequence[tuple[str]] = ()
        if shown is not None:
            rows = connection.execute(
                f"select {shown} from {source} where {where} order by draw limit {SHOWN}"
            ).fetchall()
        listed = [{"clip_id": clip, "value": None} for (clip,) in rows]
        made.append({"name": name, "about": about, "clips": clips, "hours": hours, "rows": listed})
    return made


def _ids(sides: Any) -> list[str]:
    return [row["clip_id"] for side in sides for row in side["rows"]]


def _rules(a: Mapping[str, str], b: Mapping[str, str]) -> list[Row]:
    names = dict.fromkeys((*a, *b))
    return [{"rule": name, "a": a.get(name), "b": b.get(name)} for name in names if a.get(name) != b.get(name)]
