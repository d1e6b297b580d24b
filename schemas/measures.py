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
