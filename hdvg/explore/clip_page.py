"""One clip's page: what `hdvg explain` knows, its neighbours in the video, its copies, and what people say of it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from hdvg.dataset.snapshot import SOURCE
from hdvg.explore.grid import described
from hdvg.explore.state import State
from hdvg.reports.explain import explain

NEIGHBOURS = 200
LARGE = 200_000
"""Clips from which on only a clip's unit is read; how often a caption is used is then counted within that alone."""


def page(state: State, row: Mapping[str, Any]) -> dict[str, Any]:
    """All that is known of a clip, ready for JSON; `row` is the sidecar's."""
    clip_id = row["clip_id"]
    found = asdict(explain(state.dataset, clip_id, unit=row["unit"] if len(state.sidecar.lengths_s) > LARGE else None))
    said = [{name: one[name] for name in ("author", "written_at", "mark", "caption", "note")} for one in state.marks.of(clip_id)]  # fmt: skip
    return found | {
        "media": state.files.media(row),
        "frames": row["n_frames"],
        "neighbours": _neighbours(state, row),
        "duplicates": _copies(state, clip_id),
        "annotations": said,
        "command": shlex.join(["hdvg", "explain", str(state.dataset.root), clip_id]),
    }


def _neighbours(state: State, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Clips of the same video by time, those nearest to this one if there are many."""
    sql = f"""select place, clip_id, start_s, end_s, opens_with, closes_with from (
        select *, row_number() over (order by start_s, clip_id) as n from {SOURCE} where video_id = ?)
        order by abs(n - (select count(*) from {SOURCE} where video_id = ? and start_s <= ?)) limit {NEIGHBOURS}"""
    start = state.table(f"select start_s from {SOURCE} where video_id = ? and clip_id = ?", [row["video_id"], row["clip_id"]])  # fmt: skip
    near = state.table(sql, [row["video_id"], row["video_id"], start["start_s"][0].as_py()]).to_pylist()
    rules = state.dataset.plan.recipe.rules
    keeps = {one["clip_id"]: one["keep"] for one in described(state, [one["place"] for one in near], rules=rules)}
    found = []
    for one in sorted(near, key=lambda one: (one["start_s"], one["clip_id"])):
        place = one.pop("place")
        found.append({**one, "keep": keeps[one["clip_id"]], "here": one["clip_id"] == row["clip_id"], "place": place})
    return found


def _copies(state: State, clip_id: str) -> list[dict[str, Any]]:
    """Clips of its group of duplicates, itself too; none if it stands alone."""
    sql = f"""select clip_id, duplicate_how as how, duplicate_bits as bits, not coalesce(duplicate, false) as stays from {SOURCE}
        where duplicate_group = (select any_value(duplicate_group) from {SOURCE} where clip_id = ?) order by stays desc, bits limit {NEIGHBOURS}"""
    found: list[dict[str, Any]] = state.table(sql, [clip_id]).to_pylist()
    return found if len(found) > 1 else []
