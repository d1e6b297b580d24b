"""Previews: a section of a video's pack, with small frames of its clips for people to look at."""

import pyarrow as pa

from schemas.columns import REAL, STR, column, table

PREVIEWS = table(
    [
        column("clip_id", STR, "the clip"),
        column("at_s", pa.list_(REAL), "of each frame, its seconds from the clip's first frame; they grow"),
        column(
            "frames",
            pa.list_(pa.binary()),
            "WebP, upright, with square pixels; none where nothing of the clip decoded",
        ),
    ]
)
