"""OpenVid-1M: a CSV of clips, `video,caption,aesthetic score,motion score,temporal consistency score,camera motion,frame,fps,seconds`.

Known: the columns, from its files; and of names such as `<YouTube id>_34_49to679.mp4`, from its authors (issue 7 of
github.com/NJU-PCALab/OpenVid-1M): 34 is a clip of the video, and the frames 49 to 679 of that clip are the scene.
Not published: where clip 34 lies in the video. So the parent has no times here, and such a scene cannot be found again in the
video; its video, its text and its scores are still taken. Assumed: the last frame is exclusive (mostly `frame` is the difference).
Clips from elsewhere (`pexels_…`, `pixabay_…`, `celebv_…`) name no link, and are rejected.
"""

from __future__ import annotations

import re

from hdvg.published.entries import Bad, Scene, watch
from hdvg.published.tables import Row, rest

NAME = re.compile(r"(([\w-]{11})_\d+)_(\d+)to(\d+)\.mp4", re.ASCII)
TAKEN = ("video", "caption", "fps")


def read_row(row: Row) -> tuple[str, list[Scene | Bad]]:
    """A video and its one scene."""
    name = row["video"]
    found = NAME.fullmatch(name)
    if found is None:
        raise ValueError("the name tells no YouTube video and frames")
    parent, video, start, end = found[1], found[2], int(found[3]), int(found[4])
    if not start < end:
        raise ValueError(f"the span goes backwards: frame {start} to {end}")
    fps = float(row["fps"])
    if not 0 < fps < 1000:
        raise ValueError(f"fps is {fps}")
    return watch(video), [(name, parent, None, None, fps, start, end, None, None, row["caption"], rest(row, *TAKEN))]
