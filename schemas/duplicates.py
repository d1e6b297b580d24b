"""The index of earlier datasets' clips, against which new ones are compared."""

from schemas.columns import REAL, STR, column
from schemas.pass_measures import MEASURED

INDEXED = [
    column("clip_id", STR, "the clip"),
    column("dataset", STR, "label of the dataset it belongs to"),
    column("video_id", STR, "the video it belongs to"),
    column("duration_s", REAL, "its length, seconds"),
    *(field for field in MEASURED if field.name in ("phashes", "phashes_inner")),
]
