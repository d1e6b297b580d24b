"""InternVid: a clip a line, `YoutubeID, Start_timestamp, End_timestamp, Caption`, and scores.

Known, from its cards and viewers on Hugging Face: JSON lines with these names, stamps as `HH:MM:SS.mmm`, and `Aesthetic_Score` and
`UMT_Score` beside them. CSV and Parquet of the same columns are read as well; whether they are published is not known. Assumed: nothing more.
"""

from __future__ import annotations

from hdvg.published.entries import Bad, Scene, forward, time_ms, timed, watch
from hdvg.published.tables import Row, rest

TAKEN = ("youtubeid", "start_timestamp", "end_timestamp", "caption")


def read_row(row: Row) -> tuple[str, list[Scene | Bad]]:
    """A video and one of its clips."""
    video, start, end, caption = (row[name] for name in TAKEN)
    span = forward(time_ms(start), time_ms(end))
    return watch(video), [timed(None, video, span, caption, rest(row, *TAKEN))]
