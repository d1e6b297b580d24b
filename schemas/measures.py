"""`measures`: one row a clip, one column a number; measured once, decided by query."""

import pyarrow as pa

from schemas.columns import BOOL, INT, REAL, STR, column
from schemas.videos import FETCHED

MEASURED = [
    column("width", INT, "display width of the source picture, px"),
    column("height", INT, "display height of the source picture, px"),
    column("aspect", REAL, "display width / height, after pixel aspect and rotation"),
    column("fps", REAL, "frames of the clip over its duration"),
    column("duration_s", REAL, "(end_pts - start_pts) x time base, seconds"),
    column("luma_mean", REAL, "mean luminance, 0-255"),
    column("luma_std", REAL, "mean over frames of the luminance's standard deviation, 0-255"),
    column("black_share", REAL, "share of frames with at least 98 % of pixels darker than 32, 0-1"),
    column(
        "motion_px_s", REAL, "mean optical flow between neighbouring frames, px/s at 256 px width; null for one frame"
    ),
    column("static_share", REAL, "share of frames that equal the one before (mean difference < 0.5 levels), 0-1"),
    column("sharpness", REAL, "variance of the Laplacian of luminance at up to 640 px width"),
    column("phash", STR, "64-bit DCT perceptual hash of the middle keyframe, 16 hex digits"),
]

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
        "is taken for one; null where the video has too few unlike pictures to tell, as in one still scene",
    ),
    column("watermark_area", REAL, "share of the picture that such marks cover, 0-1; 0 without one"),
    column(
        "watermark_box",
        STR,
        "left,top,width,height of the largest sure mark in shares of the picture; null without one",
    ),
    column("watermark_model", STR, "name and version of the method"),
]

KEYFRAME_MEASURED: dict[str, list[pa.Field]] = {
    "watermark": WATERMARK,
    "text": TEXT,
    "nsfw": NSFW,
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
    column("duplicate", BOOL, "whether a better copy of the clip is kept, here or in an earlier dataset"),
    column("duplicate_of", STR, "clip_id of that copy"),
    column("duplicate_group", STR, "clip_id of the clip that names the group of copies; null for a clip without any"),
    column("duplicate_similarity", REAL, "share of equal bits of the perceptual hashes to that copy, 0-1"),
    column(
        "diverse_draw",
        REAL,
        "the clip's place, 0-1, in an order whose every beginning is spread over all kinds of clips",
    ),
]
"""What is told of a clip only beside all others: once all are measured, before the cut."""

SPLIT, POOL = "split", "pool"

HOMES = {field.name: SPLIT for field in MEASURED} | dict.fromkeys(DERIVED, SPLIT)
HOMES |= {field.name: stage for stage, fields in KEYFRAME_MEASURED.items() for field in fields}
HOMES |= {field.name: POOL for field in POOL_MEASURED}
"""The stage that fills each measure."""

ALL_MEASURED = [
    *MEASURED,
    *(field for field, _ in DERIVED.values()),
    *(field for fields in KEYFRAME_MEASURED.values() for field in fields),
    *POOL_MEASURED,
]
RULED = {field.name: field.type for field in ALL_MEASURED}
"""The measures that rules may name, and their types."""
