"""`measures`: one row a clip, one column a number; measured once, decided by query."""

import pyarrow as pa

from schemas.columns import BOOL, INT, REAL, STR, column

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
    column(
        "phashes",
        pa.list_(pa.uint64()),
        "64-bit DCT hashes of the frames shown 1/4 s, 3/4 s, ... after the clip's first (its middle one, if shorter), "
        "at most 128; 0 where the picture is too flat to tell",
    ),
    column("phashes_inner", pa.list_(pa.uint64()), "the same of the pictures without 5 % on each side"),
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
