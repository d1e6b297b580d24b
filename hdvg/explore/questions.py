"""Questions about many clips: counts, histograms, cubes, rows, the map; each takes its JSON and gives JSON, or arrays as bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hdvg.errors import UsageError
from hdvg.explore import drafts
from hdvg.explore.arrays import pack
from hdvg.explore.counting import Chosen, choose, cube, histogram, total
from hdvg.explore.grid import MOST_ROWS, described, read_page, rows_of
from hdvg.explore.masks import Asking
from hdvg.explore.selection import known_column, read_selection
from hdvg.explore.state import Explorer, State

CHARTS = 200
OTHERS = 12
EIGHTH = 8
LEAST_ROWS = 200_000
"""A dataset of so few clips is counted whole at once."""

Body = Mapping[str, Any]


def _chosen(state: State, body: Body, asking: Asking, *, rows: int | None = None) -> Chosen:
    selection = read_selection(body.get("selection"), state.dataset.plan, state.sidecar.columns)
    return choose(state, selection, state.quantiles(selection.rules), asking, rows=rows)


def _names(asked: Any, state: State, *, most: int) -> list[str]:
    if not isinstance(asked, list) or len(asked) > most:
        raise UsageError(f"columns: a list of at most {most}")
    return list(dict.fromkeys(known_column(name, state.sidecar.columns).name for name in asked))


def hist(state: State, explorer: Explorer, body: Body, asking: Asking) -> bytes:
    """Histograms, each without what bounds its own measure."""
    names = _names(body.get("columns"), state, most=CHARTS)
    chosen = _chosen(state, body, asking)
    clips, hours = total(state.sidecar, chosen.mask)
    header = {"snapshot": state.snapshot, "clips": clips, "hours": hours, "total": len(state.sidecar.lengths_s)}
    return pack(header, {name: histogram(state.sidecar, name, chosen.without(name), asking) for name in names})


def cubes(state: State, explorer: Explorer, body: Body, asking: Asking) -> bytes:
    """The cube for a drag, of all rows or of the first eighth."""
    name = known_column(body.get("column"), state.sidecar.columns).name
    others = [other for other in _names(body.get("columns", []), state, most=OTHERS) if other != name]
    part = body.get("part", "all")
    if part not in ("all", "eighth"):
        raise UsageError(f"part = {str(part)[:40]!r}: all or eighth")
    total_rows = len(state.sidecar.lengths_s)
    is_part = part == "eighth" and total_rows > LEAST_ROWS
    chosen = _chosen(state, body, asking, rows=total_rows // EIGHTH if is_part else None)
    found = cube(state.sidecar, name, others, chosen.without(name), asking)
    header = {
        "snapshot": state.snapshot,
        "column": name,
        "share": 1 / EIGHTH if is_part else 1,
        "clips": int(found.clips[-1]),
    }
    return pack(header, {"clips": found.clips, "hours": found.hours, **found.others})


def count(state: State, explorer: Explorer, body: Body, asking: Asking) -> Any:
    """Clips and hours of a selection, exactly."""
    start = time.monotonic()
    chosen = _chosen(state, body, asking)
    clips, hours = total(state.sidecar, chosen.mask)
    lengths = state.sidecar.lengths_s
    of_all = {"total": len(lengths), "total_hours": float(lengths.sum()) / 3600}
    return {
        "snapshot": state.snapshot,
        "clips": clips,
        "hours": hours,
        **of_all,
        "ms": 1000 * (time.monotonic() - start),
    }


def rows(state: State, explorer: Explorer, body: Body, asking: Asking) -> Any:
    """A stretch of the selection's rows."""
    selection = read_selection(body.get("selection"), state.dataset.plan, state.sidecar.columns)
    return rows_of(state, selection, read_page(body, state), asking)


def search(state: State, explorer: Explorer, body: Body, asking: Asking) -> Any:
    """Rows of a selection in which words are."""
    return rows(state, explorer, _also(body, "text", body.get("text")), asking)


def similar(state: State, explorer: Explorer, body: Body, asking: Asking) -> Any:
    """Rows like a clip."""
    return rows(state, explorer, _also(body, "like", body.get("clip_id")), asking)


def lasso(state: State, explorer: Explorer, body: Body, asking: Asking) -> Any:
    """What lies within a polygon of the map."""
    body = _also(body, "polygon", body.get("polygon"))
    found = rows(state, explorer, body, asking)
    chosen = _chosen(state, body, asking)
    clips, hours = total(state.sidecar, chosen.mask)
    return {"clips": clips, "hours": hours, "rows": found["rows"]}


def places(state: State, explorer: Explorer, body: Body, asking: Asking) -> Any:
    """Rows of points of the map."""
    asked, most = body.get("places"), len(state.sidecar.lengths_s)
    if (
        not isinstance(asked, list)
        or len(asked) > MOST_ROWS
        or not all(isinstance(one, int) and 0 <= one < most for one in asked)
    ):
        raise UsageError(f"places: a list of at most {MOST_ROWS} numbers from /api/map")
    return {"rows": described(state, asked, rules=state.dataset.plan.recipe.rules)}


def codes(state: State, explorer: Explorer, body: Body, asking: Asking) -> bytes:
    """A measure's codes of the map's points."""
    name = known_column(body.get("column"), state.sidecar.columns).name
    points, _ = state.likeness.map
    return pack(
        {"snapshot": state.snapshot, "column": name}, {"codes": state.sidecar.codes_of(name)[points].astype(np.uint8)}
    )


def annotate(state: State, explorer: Explorer, body: Body, asking: Asking) -> Any:
    """Store what the person says of clips."""
    return {"written": state.marks.write(body.get("rows"), author=explorer.author)}


def whatif(state: State, explorer: Explorer, body: Body, asking: Asking) -> Any:
    """What verdicts would be by other rules."""
    return drafts.suppose(state, body.get("rules"), asking)


def compare(state: State, explorer: Explorer, body: Body, asking: Asking) -> Any:
    """Two drafts of rules beside each other."""
    given = {**(body.get("selection") or {}), "rules": None, "verdict": None}
    selection = read_selection(given, state.dataset.plan, state.sidecar.columns)
    return drafts.compare(state, body, selection, asking)


def recipe(state: State, explorer: Explorer, body: Body, asking: Asking) -> Any:
    """Save rules as a recipe."""
    return drafts.save(state, explorer.folder, body)


def sql(state: State, explorer: Explorer, body: Body, asking: Asking) -> Any:
    """A query of the user's own, in the sandbox."""
    from hdvg.explore.sql import ask

    return ask(state.dataset, body.get("sql"), limit=body.get("limit"))


def _also(body: Body, key: str, value: Any) -> Body:
    given = body.get("selection") or {}
    if not value or not isinstance(given, dict):
        raise UsageError(f"{key}: missing")
    return {**body, "selection": {**given, key: value}}


QUESTIONS: dict[str, Callable[[State, Explorer, Body, Asking], Any]] = {
    "/api/hist": hist,
    "/api/cube": cubes,
    "/api/count": count,
    "/api/rows": rows,
    "/api/search": search,
    "/api/similar": similar,
    "/api/lasso": lasso,
    "/api/places": places,
    "/api/codes": codes,
    "/api/annotations": annotate,
    "/api/whatif": whatif,
    "/api/compare": compare,
    "/api/recipe": recipe,
    "/api/sql": sql,
}
"""By route."""
