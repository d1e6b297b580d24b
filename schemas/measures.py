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
        "motion_px_s", REAL, "mean optical flow between neighbouring frames, px/s at 256 px width; null for one frame"
    ),
    column("static_share", REAL, "share of frames that equal the one before (mean difference < 0.5 levels), 0-1"),
    column("sharpness", REAL, "variance of the Laplacian of luminance at up to 640 px width"),
    column("phash", STR, "64-bit DCT perceptual hash of the middle keyframe, 16 hex digits"),
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
