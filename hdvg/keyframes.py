"""A clip as captioners and measures of keyframes see it: a few stored pictures and its row of measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shot:
    """One clip as a captioner sees it.

    `keyframes`: "first", "middle", "last" -> JPEG bytes. `measures`: the clip's row of measures, by column name, what a
    published set gives (`given_caption`, `given_origin`), its video's `title`, `extractor`, `subtitles_language` and
    `subtitles_origin`, `spoken`, the lines said while it lasts, and `written`, the texts of another writer; a captioner
    does without those that are absent or None. `preview`: frames of its preview as WebP, each with its seconds from the
    clip's start, for a writer with `frames`.
    """

    clip_id: str
    keyframes: Mapping[str, bytes]
    measures: Mapping[str, Any]
    preview: Sequence[tuple[float, bytes]] = ()
