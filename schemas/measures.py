"""`measures`: one row a clip, one column a number; measured once, decided by query."""

from schemas.columns import INT, REAL, STR, column

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
        "flicker_levels",
        REAL,
        "mean distance of a frame's luminance from its moving average over 0.4 s, 0-127.5; null under three frames",
    ),
    column("static_share", REAL, "share of frames that equal the one before (mean difference < 0.5 levels), 0-1"),
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
    column(
        "motion_px_s", REAL, "mean optical flow between neighbouring frames, px/s at 256 px width; null for one frame"
    ),
    column("camera_px_s", REAL, "mean of the affine motion that most of the picture follows, px/s at 256 px width"),
    column("local_px_s", REAL, "mean of the motion that the camera's does not explain, px/s at 256 px width"),
    column(
        "shake_px_s",
        REAL,
        "mean change of the camera's motion from frame to frame, px/s at 256 px width; null where all is shown twice",
    ),
    column(
        "svd_flow_px",
        REAL,
        "mean Farneback flow between frames half a second apart, px at 16 px on the shorter side, as in SVD",
    ),
    column("colourfulness", REAL, "of Hasler and Süsstrunk 2003: 0 grey, 33 moderate, 109 extreme"),
    column("under_share", REAL, "share of pixels at level 10 or below, 0-1; black bars count"),
    column("over_share", REAL, "share of pixels at level 245 or above, 0-1"),
    column("active_width", REAL, "display width without bars of a flat colour, px; null where all is flat"),
    column("active_height", REAL, "display height without bars of a flat colour, px; null where all is flat"),
    column("active_share", REAL, "share of the picture's area that is not bars, 0-1; null where all is flat"),
    column("active_aspect", REAL, "active width / active height; null where all is flat"),
    column(
        "detail_height_px",
        REAL,
        "height of the smallest picture that holds the strong edges' detail, px, up to height; null without such edges",
    ),
    column("interlace_share", REAL, "share of frames in which two fields are woven together (combs), 0-1"),
    column("sharpness", REAL, "variance of the Laplacian of luminance at up to 640 px width"),
    column("noise_levels", REAL, "standard deviation of noise in plain places (Immerkær 1996), levels 0-255"),
    column("blockiness", REAL, "mean step at the edges of 8 px blocks over the mean step inside; 1 is none"),
    column("phash", STR, "64-bit DCT perceptual hash of the middle keyframe, 16 hex digits"),
]
