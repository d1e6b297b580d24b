"""`measures`: one row a clip, one column a number; measured once, decided by query."""

from dataclasses import dataclass

import pyarrow as pa

from schemas.captions import CAPTION_TOLD
from schemas.columns import BOOL, INT, REAL, STR, column
from schemas.videos import FETCHED

GEOMETRY = [
    column("width", INT, "display width of the source picture, px"),
    column("height", INT, "display height of the source picture, px"),
    column("aspect", REAL, "display width / height, after pixel aspect and rotation"),
    column("fps", REAL, "frames of the clip over its duration"),
    column("duration_s", REAL, "(end_pts - start_pts) x time base, seconds"),
]
"""Told by the span and the file alone."""


@dataclass(frozen=True)
class PassMeasure:
    """A measure that is taken of frames: its class, "module:Class", and its columns.

    Raise `version` when its numbers change: `hdvg measure` then takes it of clips that hold an older one, and nothing else
    is done again. Columns of one that came after the first release are marked `later=True`.
    """

    made_by: str
    version: int
    columns: list[pa.Field]


PASS: dict[str, PassMeasure] = {
    "luma": PassMeasure(
        "hdvg.measures.luma:Luma",
        1,
        [
            column("luma_mean", REAL, "mean luminance, 0-255"),
            column("luma_std", REAL, "mean over frames of the luminance's standard deviation, 0-255"),
            column("black_share", REAL, "share of frames with at least 98 % of pixels darker than 32, 0-1"),
            column(
                "flicker_levels",
                REAL,
                "mean distance of a frame's luminance from its moving average over 0.4 s, 0-127.5; null under three frames",
            ),
        ],
    ),
    "stillness": PassMeasure(
        "hdvg.measures.stillness:Stillness",
        1,
        [
            column(
                "static_share", REAL, "share of frames that equal the one before (mean difference < 0.5 levels), 0-1"
            ),
            column("freeze_share", REAL, "share of frames in the longest run that equal the one before, 0-1"),
            column(
                "slideshow_share",
                REAL,
                "share of frames in stills of 0.5 s or more next to another still, 1 s of change at most between, 0-1",
            ),
            column(
                "jump_levels",
                REAL,
                "largest mean difference of a frame to the one before, over the largest other within 0.2 s, 0-255: a missed cut",
            ),
        ],
    ),
    "motion": PassMeasure(
        "hdvg.measures.motion:Motion",
        1,
        [
            column(
                "motion_px_s",
                REAL,
                "mean optical flow between neighbouring frames, px/s at 256 px width; null for one frame",
            ),
            column(
                "camera_px_s", REAL, "mean of the affine motion that most of the picture follows, px/s at 256 px width"
            ),
            column("local_px_s", REAL, "mean of the motion that the camera's does not explain, px/s at 256 px width"),
            column(
                "shake_px_s",
                REAL,
                "mean change of the camera's motion from frame to frame, px/s at 256 px width; null where all is shown twice",
            ),
        ],
    ),
    "svd_flow": PassMeasure(
        "hdvg.measures.svd_flow:SvdFlow",
        1,
        [
            column(
                "svd_flow_px",
                REAL,
                "mean Farneback flow between frames half a second apart, px at 16 px on the shorter side, as in SVD",
            ),
        ],
    ),
    "colour": PassMeasure(
        "hdvg.measures.colour:Colour",
        1,
        [
            column("colourfulness", REAL, "of Hasler and Süsstrunk 2003: 0 grey, 33 moderate, 109 extreme"),
        ],
    ),
    "exposure": PassMeasure(
        "hdvg.measures.exposure:Exposure",
        1,
        [
            column("under_share", REAL, "share of pixels at level 10 or below, 0-1; black bars count"),
            column("over_share", REAL, "share of pixels at level 245 or above, 0-1"),
        ],
    ),
    "borders": PassMeasure(
        "hdvg.measures.borders:Borders",
        1,
        [
            column("active_width", REAL, "display width without bars of a flat colour, px; null where all is flat"),
            column("active_height", REAL, "display height without bars of a flat colour, px; null where all is flat"),
            column("active_share", REAL, "share of the picture's area that is not bars, 0-1; null where all is flat"),
            column("active_aspect", REAL, "active width / active height; null where all is flat"),
        ],
    ),
    "detail": PassMeasure(
        "hdvg.measures.detail:Detail",
        1,
        [
            column(
                "detail_height_px",
                REAL,
                "height of the smallest picture that holds the strong edges' detail, px, up to height; null without such edges",
            ),
        ],
    ),
    "interlace": PassMeasure(
        "hdvg.measures.interlace:Interlace",
        1,
        [
            column("interlace_share", REAL, "share of frames in which two fields are woven together (combs), 0-1"),
        ],
    ),
    "sharpness": PassMeasure(
        "hdvg.measures.sharpness:Sharpness",
        1,
        [
            column("sharpness", REAL, "variance of the Laplacian of luminance at up to 640 px width"),
        ],
    ),
    "noise": PassMeasure(
        "hdvg.measures.noise:Noise",
        1,
        [
            column("noise_levels", REAL, "standard deviation of noise in plain places (Immerkær 1996), levels 0-255"),
        ],
    ),
    "blockiness": PassMeasure(
        "hdvg.measures.blockiness:Blockiness",
        1,
        [
            column("blockiness", REAL, "mean step at the edges of 8 px blocks over the mean step inside; 1 is none"),
        ],
    ),
}
"""The measures of the one decode pass, by name; each can also be taken alone (`hdvg measure`)."""

HASHES = [
    column("phash", STR, "64-bit DCT perceptual hash of the middle keyframe, 16 hex digits"),
    column(
        "phashes",
        pa.list_(pa.uint64()),
        "64-bit DCT hashes of the frames shown 1/4 s, 3/4 s, ... after the clip's first (its middle one, if shorter), "
        "at most 128; 0 where the picture is too flat to tell",
    ),
    column("phashes_inner", pa.list_(pa.uint64()), "the same of the pictures without 5 % on each side"),
]
"""What clips are compared by."""

MEASURED = [*GEOMETRY, *(field for measure in PASS.values() for field in measure.columns), *HASHES]

MEASURE_VERSIONS = column(
    "measure_versions",
    STR,
    "the measures that the row holds, each with its version: `luma=1 motion=1`; null in a split of the first release, which "
    "holds version 1 of those that there were",
    later=True,
)

REMEASURED = [
    MEASURE_VERSIONS,
    *(field for measure in PASS.values() for field in measure.columns),
    column("numbers", pa.map_(STR, REAL), "numbers of the user's own measures, by column"),
    column("flags", pa.map_(STR, BOOL), "flags of the user's own measures, by column"),
    column("labels", pa.map_(STR, STR), "labels of the user's own measures, by column"),
    column("lists", pa.map_(STR, pa.list_(STR)), "lists of the user's own measures, by column"),
    column(
        "pack", STR, "hash of the pack in media/ that has the series of the user's own measures beside the keyframes"
    ),
    column("replaces", STR, "hash of the pack that the split made of the video; null if `pack` is"),
]
"""Stored of measures that are taken alone; which a row holds is said in `measure_versions`."""

TEXT = [
    column(
        "text_area",
        REAL,
        "share of the picture that boxes of text cover, largest of the clip's keyframes, 0-1 (SVD drops over 0.07)",
    ),
    column("text_boxes", INT, "boxes of text, about one a line, largest count of the clip's keyframes"),
    column(
        "text_stable",
        BOOL,
        "a box of text stays in place with the same letters in all keyframes: title, logo, sign; null if only one keyframe decodes and has text",
    ),
    column(
        "text_persistent",
        BOOL,
        "a box of text stands in place with the same letters in most of (up to 32) other clips of the video: a watermark; null if text but no other clip",
    ),
    column(
        "subtitle", BOOL, "a row of text stands low in the picture, centred, wide and short, in at least one keyframe"
    ),
    column("text_model", STR, "the text detector and the first 12 hex digits of its weights' sha256"),
]

NSFW = [
    column(
        "nsfw",
        REAL,
        "probability that a picture is not safe for work (nakedness), largest of the clip's keyframes, 0-1",
    ),
    column("nsfw_model", STR, "the network and the first 12 hex digits of its weights' sha256"),
]

WATERMARK = [
    column(
        "watermark",
        REAL,
        "how surely a mark that stays put over the video (logo, watermark, burnt-in text, clock) is in the clip, 0-1; from 0.5 it "
        "is taken for one; null where the video has too few unlike pictures to tell, as in one still scene, or two without a mark",
    ),
    column("watermark_area", REAL, "share of the picture that such marks cover, 0-1; 0 without one"),
    column(
        "watermark_box",
        STR,
        "left,top,width,height of the largest sure mark in shares of the picture; null without one",
    ),
    column("watermark_model", STR, "name and version of the method"),
]

DUPLICATES = [
    column("duplicate", BOOL, "whether a better copy of the clip is there, in this dataset or an earlier one"),
    column("duplicate_of", STR, "clip_id of the better copy that stays in its place; null if there is none"),
    column("duplicate_group", STR, "clip_id of the copy that stays, the same for all clips of a group"),
    column("duplicate_how", STR, "`exact` (the same hashes and duration) or `near`; null if `duplicate` is false"),
    column(
        "duplicate_bits",
        REAL,
        "mean bits of 64 in which the hashes differ from the better copy's, 0-64; 2 more if one is a crop",
    ),
    column("duplicate_in", STR, "label of the earlier dataset that holds the better copy; null if it is this one"),
]

SEMANTICS = [
    column(
        "embedding",
        pa.list_(pa.float32()),
        "unit vector of what the clip shows, the mean over its keyframes; comparable within one semantics_model only",
    ),
    column(
        "consistency",
        REAL,
        "least cosine between embeddings of two keyframes, -1 to 1; low: a cut inside; null for one keyframe",
    ),
    column("topic", STR, "the line of the file `measure.topics` that it is most like; null without such a file"),
    column("topic_similarity", REAL, "cosine of the embeddings of clip and topic, -1 to 1"),
    column(
        "screen", REAL, "how much it looks like a screen recording, user interface or slide, mean of keyframes, 0-1"
    ),
    column("title_card", BOOL, "whether it is a still card: lines of letters in the middle of a flat or dark ground"),
    column(
        "semantics_model", STR, "model of the embedding and 12 hex digits of its files; embeddings of others differ"
    ),
]

AESTHETIC = [
    column(
        "aesthetic",
        REAL,
        "the predictor's score, mean over keyframes; the LAION heads were trained on ratings from 1 to 10",
    ),
    column("aesthetic_model", STR, "CLIP image tower and head, each with 12 hex digits of its files"),
]

CLASSIFIER = [
    column("classifier_score", REAL, "probability of the label that the settings name, mean over keyframes, 0-1"),
    column("classifier_max", REAL, "the same, largest of the keyframes, 0-1"),
    column("classifier_model", STR, "network, 12 hex digits of its files, and the label"),
]

KEYFRAME_MEASURED: dict[str, list[pa.Field]] = {
    "watermark": WATERMARK,
    "text": TEXT,
    "nsfw": NSFW,
    "semantics": SEMANTICS,
    "aesthetic": AESTHETIC,
    "classifier": CLASSIFIER,
}
"""Columns by keyframe measure: what is told of a clip from its stored keyframes, by a stage of that name."""

DERIVED = {
    "short_px": (column("short_px", INT, "the shorter side of the display picture, px"), "least(width, height)"),
    "draw": (
        column(
            "draw",
            REAL,
            "a number drawn for the clip by its id, 0-1: `draw < 0.1` keeps a tenth, within any larger share",
        ),
        "md5_number_lower(clip_id) / 18446744073709551616.0",
    ),
    **{field.name: (field, f"v.{field.name}") for field in FETCHED if field.name in ("licence_class", "open_licence")},
}
"""Columns that are told from others by SQL, and are not stored."""

POOL_MEASURED = [
    *DUPLICATES,
    column(
        "diverse_draw",
        REAL,
        "the clip's place, 0-1, in an order whose every beginning is spread over all kinds of clips",
    ),
]
"""What is told of a clip only beside all others: once all are measured, before the cut."""

SPLIT, POOL = "split", "pool"

CAPTION, MATCH = CAPTION_STAGES = tuple(CAPTION_TOLD)
"""The stages behind the cut that fill measures."""

HOMES = {field.name: SPLIT for field in MEASURED} | dict.fromkeys(DERIVED, SPLIT)
HOMES |= {field.name: stage for stage, fields in KEYFRAME_MEASURED.items() for field in fields}
HOMES |= {field.name: POOL for field in POOL_MEASURED}
HOMES |= {field.name: stage for stage, fields in CAPTION_TOLD.items() for field in fields}
"""The stage that fills each measure."""

ALL_MEASURED = [
    *MEASURED,
    *(field for field, _ in DERIVED.values()),
    *(field for fields in KEYFRAME_MEASURED.values() for field in fields),
    *POOL_MEASURED,
    *(field for fields in CAPTION_TOLD.values() for field in fields),
]
RULED = {field.name: field.type for field in ALL_MEASURED}
"""The measures that rules may name, and their types."""
NUMBERS = [name for name, kind in RULED.items() if pa.types.is_integer(kind) or pa.types.is_floating(kind)]
"""Those of them that are numbers."""
