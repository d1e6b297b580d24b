"""Panda-70M: a CSV of videos, `videoID,url,timestamp,caption,matching_score`, cells of lists as Python writes them.

Known, from its repository (github.com/snap-research/Panda-70M) and rows that others show: the columns, timestamps as pairs of
`H:MM:SS.mmm`, and two more columns since: `desirable_filtering` and `shot_boundary_detection`, lists as long. JSON lines or Parquet
with real lists are read as well. Assumed: a list of another length than the timestamps' is a mistake in the whole row.
"""

from __future__ import annotations

import ast
import json
from typing import Any

from hdvg.published.entries import UNREADABLE, Bad, Scene, forward, said, time_ms, timed
from hdvg.published.tables import Row

EXTRAS = ("matching_score", "desirable_filtering", "shot_boundary_detection")


def read_row(row: Row) -> tuple[str, list[Scene | Bad]]:
    """A video and its clips."""
    names = [name for name in EXTRAS if row.get(name) not in (None, "")]
    spans, captions, *extras = (_list(row[name]) for name in ("timestamp", "caption", *names))
    if any(len(cells) != len(spans) for cells in (captions, *extras)):
        raise ValueError(f"lists of unlike length: {[len(cells) for cells in (spans, captions, *extras)]}")
    details = (
        json.dumps(dict(zip(names, cells, strict=True)), ensure_ascii=False) if names else None
        for cells in (zip(*extras, strict=True) if names else [()] * len(spans))
    )
    video = row["videoid"]
    return row["url"], [_scene(*clip, video) for clip in zip(spans, captions, details, strict=True)]


def _list(cell: Any) -> list[Any]:
    value = ast.literal_eval(cell) if isinstance(cell, str) else cell
    if not isinstance(value, list):
        raise ValueError("no list")
    return value


def _scene(stamps: Any, caption: str, extra: str | None, video: str) -> Scene | Bad:
    try:
        start, end = stamps
        return timed(None, video, forward(time_ms(start), time_ms(end)), caption, extra)
    except UNREADABLE as error:
        return Bad(video, said(error))
