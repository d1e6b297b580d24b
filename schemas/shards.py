"""The product: Parquet shards with clip bytes, caption, span, measures, provenance and licence."""

import pyarrow as pa

from schemas.captions import CAPTION
from schemas.clips import CUT, SPAN
from schemas.columns import INT, REAL, STR, column, table
from schemas.measures import ALL_MEASURED
from schemas.videos import FETCHED

_PROVENANCE = {"title", "licence", "uploader_id", "upload_date", "categories", "webpage_url"}
_CAPTION = {"captioner", "model"}

TEXTS = pa.list_(
    pa.struct([("kind", STR), ("text", STR), ("language", STR), ("weight", REAL), ("captioner", STR), ("model", STR)])
)

SHARDS = table(
    [
        column("clip_id", STR, "hash of (video content hash, start_pts, end_pts, time base)"),
        column(
            "video",
            pa.binary(),
            "the clip, mp4: exactly the source's frames from cut_start_pts to cut_end_pts, the first at time 0",
        ),
        column("caption", STR, "the text"),
        column("texts", TEXTS, "the best text of each kind; `weight` says how often to draw it, of 1 in all"),
    ],
    [field for field in CAPTION if field.name in _CAPTION],
    [
        column("video_id", STR, "hash of the canonical source"),
        column("source", STR, "the canonical source: where the video came from"),
        column("video_sha256", STR, "hash of the source file"),
    ],
    [field for field in FETCHED if field.name in _PROVENANCE],
    [field for field in SPAN if field.name not in {"clip_id", "keyframes"}],
    [field for field in ALL_MEASURED if not pa.types.is_list(field.type)],
    [field for field in CUT if field.name not in {"clip_id", "cut_decoded_frames", "clip_pack", "clip_offset"}],
    [
        column(
            "own_measures",
            STR,
            "the user's own measures, questions and models of quality among them: a JSON object by column; null if none was taken",
            later=True,
        ),
    ],
    [column("schema_version", INT, "version of this layout")],
)
