"""Rows of clips as the page's grid shows them: any stretch of any order, the ten-millionth row as soon as the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hdvg.config.rules import Rule
from hdvg.dataset.clip_files import HELD, grouped_rows
from hdvg.dataset.snapshot import SOURCE
from hdvg.errors import UsageError
from hdvg.explore.counting import choose
from hdvg.explore.masks import Asking, Mask
from hdvg.explore.selection import Selection
from hdvg.explore.sidecar import ROW_GROUP
from hdvg.explore.state import State, keep
from schemas.measures import DERIVED

MOST_ROWS = 500
FIRST = 50
FIRST_ROWS, LEAST_ROWS = 2000, 200_000
"""Rows of an order that are found without sorting all, and of the dataset from which on that pays."""
NEAR = 3
"""Row groups that are read whole."""
SORTED_TEXTS = ("caption", "title", "video_id", "clip_id", "source")
PLAIN = (
    *("clip_id", "video_id", "duration_s", "start_s", "end_s", "width", "height", "fps", "title", "source", "caption"),
    "captioner",
)
"""What every row has."""
OF_FILES = (*HELD, "clip_codec", "cut_status", "video_sha256", "unit", "keyframes", "n_frames")
"""What is read beside, to say whether a clip can be played."""
Places = NDArray[np.uint32]


@dataclass(frozen=True)
class Page:
    """Which rows are wanted, in which order."""

    offset: int = 0
    limit: int = FIRST
    column: str | None = None
    descending: bool = False
    shown: tuple[str, ...] = ()


def read_page(asked: Mapping[str, Any], state: State) -> Page:
    """The page that a question asks for. Raises UsageError for what is none."""
    offset, limit = asked.get("offset", 0), asked.get("limit", FIRST)
    if not isinstance(offset, int) or not isinstance(limit, int) or offset < 0 or not 0 < limit <= MOST_ROWS:
        raise UsageError(f"offset = {offset!r}, limit = {limit!r}: rows from 0, at most {MOST_ROWS} at a time")
    sort = asked.get("sort") or {}
    column = sort.get("column") if isinstance(sort, dict) else None
    shown = asked.get("columns") or []
    known = {*state.sidecar.columns, *SORTED_TEXTS}
    odd = (
        [name for name in (*shown, *filter(None, [column])) if name not in known]
        if isinstance(shown, list)
        else ["columns"]
    )
    if odd:
        raise UsageError(f"column {str(odd[0])[:80]!r}: unknown; /api/meta lists them")
    return Page(offset, limit, column, bool(sort.get("descending")) if column else False, tuple(shown))


def rows_of(state: State, selection: Selection, page: Page, asking: Asking) -> dict[str, Any]:
    """`{total, offset, rows}` of a selection."""
    places, count, likeness = _order(state, selection, page, asking)
    wanted = places[page.offset : page.offset + page.limit]
    rows = described(state, wanted, rules=selection.rules, shown=page.shown)
    for number, row in enumerate(rows):
        row["n"] = page.offset + number
        if likeness:
            row["likeness"] = likeness.get(int(wanted[number]))
    return {"snapshot": state.snapshot, "total": count, "offset": page.offset, "rows": rows}


def described(
    state: State, places: Sequence[int] | Places, *, rules: tuple[Rule, ...], shown: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Rows at these places, in this order, as the page has them."""
    named = [column for rule in rules for column in rule.columns]
    statuses = [f"{home}_status" for rule in rules for home in sorted(rule.homes)]
    table = take(state, places, [*PLAIN, *OF_FILES, *statuses, *named, *shown])
    reasons = _reasons(state, table, rules)
    found = []
    for row, broken in zip(table.to_pylist(), reasons, strict=True):
        said = state.marks.of(row["clip_id"])
        newest = said[0] if said else {}
        found.append(
            {name: row[name] for name in PLAIN}
            | {"keep": not broken, "reasons": broken, "media": state.files.media(row)}
            | {"mark": newest.get("mark"), "note": newest.get("note"), "edited": newest.get("caption")}
            | {"values": {name: row[name] for name in shown}}
        )
    return found


def take(state: State, places: Sequence[int] | Places, columns: Sequence[str]) -> pa.Table:
    """Rows of the sidecar at these places, in this order.

    Of neighbours the row group is read; of rows that lie apart DuckDB reads less than all groups that hold one.
    """
    asked = np.asarray(places, np.int64)
    held = pq.read_schema(state.sidecar.rows).names
    names = [name for name in dict.fromkeys(columns) if name in held]
    rising = np.unique(asked)
    if len(np.unique(rising // ROW_GROUP)) > NEAR:
        listed = ", ".join(map(str, rising.tolist()))
        table = state.table(f"select {', '.join(names)} from held where place in ({listed}) order by place")
    else:
        with pq.ParquetFile(state.sidecar.rows) as file:
            parts = [table for _, table in grouped_rows(file, rising, names)]
            table = pa.concat_tables(parts) if parts else file.schema_arrow.empty_table().select(names)
    return table.take(pa.array(np.searchsorted(rising, asked)))


def place_of(state: State, clip_id: str) -> int | None:
    """The row of a clip; None if it is not in the dataset."""
    draw = DERIVED["draw"][1].replace("clip_id", "?")  # rows lie in its order: one row group is read
    found = state.table(f"select place from {SOURCE} where draw = {draw} and clip_id = ?", [clip_id, clip_id])
    return found["place"][0].as_py() if len(found) else None


def _reasons(state: State, table: pa.Table, rules: tuple[Rule, ...]) -> list[list[str]]:
    if not len(table):
        return []
    verdicts = replace(state.dataset.plan.verdicts, rules=rules, quantiles=state.quantiles(rules))
    with state.connection.cursor() as cursor:
        cursor.register("page", state.marks.with_marks(table))
        try:
            found = cursor.sql(f"select {verdicts.reasons()} as reasons from page").to_arrow_table()
        except duckdb.Error as error:
            raise UsageError(str(error).splitlines()[0]) from None
        finally:
            cursor.unregister("page")
    reasons: list[list[str]] = found["reasons"].to_pylist()
    return reasons


def _order(state: State, selection: Selection, page: Page, asking: Asking) -> tuple[Places, int, dict[int, float]]:
    """Rows of a selection in their order, at least up to the page's end; how many there are; how like the clip that is named."""
    quantiles = state.quantiles(selection.rules)
    keys = tuple(state.masks.key(condition, quantiles) for condition in selection.conditions)
    key = (keys, page.column, page.descending)
    held = state.orders.get(key)
    if held is None:
        mask = choose(state, selection, quantiles, asking).mask
        likeness = _likeness(state, selection)
        if page.column is not None:
            first = _first(state, page, mask, asking)
            if first is not None:
                return first, int(np.count_nonzero(mask)), likeness
            whole = _sorted(state, page, asking)
            held = whole[mask[whole]], likeness
        elif likeness:
            held = np.array([place for place in likeness if mask[place]], np.uint32), likeness
        else:
            held = np.flatnonzero(mask).astype(np.uint32), likeness
        keep(state.orders, key, held)
    places, likeness = held
    return places, len(places), likeness


def _likeness(state: State, selection: Selection) -> dict[int, float]:
    if selection.like is None:
        return {}
    place = place_of(state, selection.like)
    if place is None:
        raise UsageError(f"like: no clip {selection.like[:80]!r} in the dataset")
    places, cosines = state.likeness.similar(place)
    return dict(zip(places.tolist(), cosines.tolist(), strict=True))


def _first(state: State, page: Page, mask: Mask, asking: Asking) -> Places | None:
    """The first rows by a number, without sorting all; None where these do not reach the page's end, or are few anyway."""
    column, many = state.sidecar.columns.get(page.column or ""), page.offset + page.limit
    if column is None or column.kind == "text" or many > FIRST_ROWS or len(mask) < LEAST_ROWS:
        return None
    name = column.name
    sql = f"select place::uinteger as place, {name}::double as value from held where {name} is not null"
    table = state.table(sql, asking=asking)
    places, values = table["place"].to_numpy(), table["value"].to_numpy()
    chosen = mask[places]
    places, values = places[chosen], values[chosen]
    if len(places) < many or np.isnan(values).any():
        return None
    values = -values if page.descending else values
    bound = np.partition(values, many - 1)[many - 1]
    best = np.concatenate([np.flatnonzero(values < bound), np.flatnonzero(values == bound)])
    order = np.lexsort((places[best], values[best]))[:many]
    return np.asarray(places[best[order]])


def _sorted(state: State, page: Page, asking: Asking) -> Places:
    """All rows by a column; those without a value last."""
    key = ("all", page.column, page.descending)
    held: Places | None = state.orders.get(key)
    if held is None:
        way = "desc" if page.descending else "asc"
        sql = f"select place::uinteger as place from {SOURCE} order by {page.column} {way} nulls last, place"
        held = state.table(sql, asking=asking)["place"].to_numpy()
        keep(state.orders, key, held)
    return held
