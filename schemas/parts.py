"""The part files: one schema per stage, put together from the tables' columns."""

import pyarrow as pa

from schemas.captions import CAPTION, MATCH
from schemas.clips import CUT, GIVEN_SPAN, GIVEN_VIDEO, SPAN
from schemas.columns import INT, STR, column, table
from schemas.measures import KEYFRAME_MEASURED, MEASURED, POOL_MEASURED
from schemas.outcomes import OUTCOME
from schemas.videos import FETCHED, SCANNED

CLIP = column("clip_id", STR, "the clip")

PARTS = {
    "download": table(OUTCOME, FETCHED),
    # one row a video (clip_id null), then one row for each of its clips: a unit's part is a single, atomic file
    "split": table(OUTCOME, SPAN, MEASURED, SCANNED, GIVEN_SPAN, GIVEN_VIDEO),
    **{name: table(OUTCOME, [CLIP], fields) for name, fields in KEYFRAME_MEASURED.items()},
    "pool": table(OUTCOME, [CLIP], POOL_MEASURED, [column("content", STR, "hash of the clips that were compared")]),
    "cut": table(OUTCOME, CUT),
    "caption": table(OUTCOME, CAPTION),
    "match": table(OUTCOME, MATCH),
}


def part_schema(stage: str) -> pa.Schema:
    """The schema of a stage's parts; the stages of further writers, `caption-vlm`, have that of the first."""
    return PARTS[stage.partition("-")[0]]


SHARD_PART = table(
    [
        column("shard", STR, "path of the shard in the dataset"),
        column("split", STR, "name of the split"),
        column("content", STR, "hash of what the shard holds: its rows and the settings that packed them"),
        column("sha256", STR, "hash of the shard file"),
        column("bytes", INT, "size of the shard file"),
        column("n_clips", INT, "clips in it"),
    ]
)
