"""The part files' schemas, put together from the tables' columns; `hdvg/dataset/stages.py` says whose is which."""

from schemas.captions import CAPTION as CAPTION_COLUMNS
from schemas.captions import MATCH as MATCH_COLUMNS
from schemas.clips import CUT as CUT_COLUMNS
from schemas.clips import GIVEN_SPAN, GIVEN_VIDEO, SPAN
from schemas.columns import INT, STR, column, table
from schemas.measures import KEYFRAME_MEASURED, POOL_MEASURED
from schemas.outcomes import OUTCOME
from schemas.pass_measures import MEASURE_FAULTS, MEASURE_VERSIONS, MEASURED, REMEASURED
from schemas.videos import FETCHED, SCANNED

CLIP = column("clip_id", STR, "the clip")

DOWNLOAD = table(OUTCOME, FETCHED)

SPLIT = table(OUTCOME, SPAN, MEASURED, [MEASURE_VERSIONS, MEASURE_FAULTS], SCANNED, GIVEN_SPAN, GIVEN_VIDEO)
"""One row a video (clip_id null), then one row for each of its clips: a unit's part is a single, atomic file."""

KEYFRAME_MEASURES = {name: table(OUTCOME, [CLIP], fields) for name, fields in KEYFRAME_MEASURED.items()}
"""By keyframe measure."""

REMEASURE = table(OUTCOME, [CLIP], REMEASURED)

POOL = table(
    OUTCOME,
    [CLIP],
    POOL_MEASURED,
    [
        column("content", STR, "of the index: hash of the clips that were compared"),
        column("part", STR, "unit and hash of the rows of a unit's part", volatile=True, later=True),
    ],
)
"""One row a clip in the part of its unit; in the index (unit `all`) one row for each of these parts, and one for itself.

Parts of earlier versions are one for all clips: their rows have no `part`.
"""

CUT = table(OUTCOME, CUT_COLUMNS)

CAPTION = table(OUTCOME, CAPTION_COLUMNS)

MATCH = table(OUTCOME, MATCH_COLUMNS)

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
