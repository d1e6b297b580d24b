"""WebVid: a whole video a row, `videoid, contentUrl, duration, page_dir, name`; the name is its text.

Known, from its released CSV files and download.py (github.com/m-bain/webvid): these columns; `contentUrl` is the file itself, and
videos were stored as `<page_dir>/<videoid>.mp4`. The videos bear their site's watermark, and the links are no longer served: a lab that
holds the files puts their paths into `contentUrl`. Given is the whole video, so that shots are not looked for: `--set split.given=ignore` does.
"""

from __future__ import annotations

from hdvg.published.entries import Bad, Scene
from hdvg.published.tables import Row, rest, text

TAKEN = ("videoid", "contenturl", "name")


def read_row(row: Row) -> tuple[str, list[Scene | Bad]]:
    """A video, and the scene that is all of it."""
    scene = (str(row["videoid"]), None, None, None, None, 0, -1, None, None, text(row, "name"), rest(row, *TAKEN))
    return row["contenturl"], [scene]
