"""Keyframe packs: one file in media/ per video, with the pictures that captioners and later measures look at."""

import pyarrow as pa

from schemas.columns import INT, STR, column, table

KEYFRAMES = table(
    [
        column("clip_id", STR, "the clip"),
        column(
            "position",
            STR,
            "`first`, `middle` or `last`: the middle of that third of the clip; `extra-0`, `extra-1`, ...: further "
            "pictures in order, in a video of at most 3 clips, so that it has up to 12 in all",
        ),
        column("frame", INT, "index of the frame in the source"),
        column("pts", INT, "its pts in the source"),
        column("width", INT, "width of the stored picture, px"),
        column("height", INT, "height of the stored picture, px"),
        column("jpeg", pa.binary(), "the picture, upright, with square pixels"),
    ]
)
