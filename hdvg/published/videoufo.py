"""VideoUFO: a clip a row, `ID, Topic, Detailed_Caption, Brief_Caption, Start_Time, End_Time`, and six scores.

Known, from its card on Hugging Face: these columns of the Parquet files, beside `Middle_Frame`, a picture, which is not read; all texts.
The CSV calls them `Detailed Caption` and so on (seen in public code that reads it).
Assumed: an ID begins with the YouTube id of its video; times are stamps or seconds. The detailed caption is the scene's text, the brief
one goes to `extra`; a column `Video ID` or `YouTube ID`, if there is one, names the video.
"""

from __future__ import annotations

from hdvg.published.entries import Bad, Scene, forward, time_ms, timed, watch
from hdvg.published.tables import Row, rest, text

TAKEN = ("id", "video_id", "youtube_id", "start_time", "end_time", "detailed_caption")


def read_row(row: Row) -> tuple[str, list[Scene | Bad]]:
    """A video and one of its clips."""
    name = row["id"]
    video = text(row, "video_id", "youtube_id") or name[:11]
    span = forward(time_ms(row["start_time"]), time_ms(row["end_time"]))
    caption = text(row, "detailed_caption", "brief_caption")
    if caption is None:
        raise KeyError("detailed_caption")
    return watch(video), [timed(name, video, span, caption, rest(row, *TAKEN))]
