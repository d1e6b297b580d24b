"""HD-VILA-100M: one JSON object a line, `{"video_id", "url", "clip": [{"clip_id", "span": [start, end]}, …]}`.

Known, from its README (github.com/microsoft/XPretrain): these keys, and spans as `HH:MM:SS.mmm`. It has no captions in these
files. Assumed: that a clip is its span of time; its own script copies streams, which begin at the keyframe before. A Parquet file
of the same columns is read as well.
"""

from __future__ import annotations

from typing import Any

from hdvg.published.entries import UNREADABLE, Bad, Scene, forward, said, time_ms, timed
from hdvg.published.tables import Row, rest


def read_row(row: Row) -> tuple[str, list[Scene | Bad]]:
    """A video and its clips."""
    return row["url"], [_scene(clip, row["video_id"]) for clip in row["clip"]]


def _scene(clip: Any, video: str) -> Scene | Bad:
    try:
        start, end = clip["span"]
        span = forward(time_ms(start), time_ms(end))
        return timed(clip["clip_id"], video, span, clip.get("caption"), rest(clip, "clip_id", "span", "caption"))
    except (*UNREADABLE, AttributeError) as error:
        name = clip.get("clip_id") if isinstance(clip, dict) else None
        return Bad(name if isinstance(name, str) else None, said(error))
