"""`clips`: the shots of a video as exact spans, and the files cut from them."""

from schemas.columns import INT, REAL, STR, column

SPAN = [
    column("clip_id", STR, "hash of (video content hash, start_pts, end_pts, time base)"),
    column("time_base", STR, "seconds per tick, such as `1/15360`"),
    column("start_pts", INT, "pts of the first frame"),
    column("end_pts", INT, "pts just after the last frame (exclusive)"),
    column("start_frame", INT, "index of the first frame in decode order of display"),
    column("end_frame", INT, "index just after the last frame (exclusive)"),
    column("n_frames", INT, "frames in the clip"),
    column("start_s", REAL, "start_pts in seconds, for people"),
    column("end_s", REAL, "end_pts in seconds, for people"),
    column("keyframes", STR, "hash of the pack in media/ that holds this clip's keyframes"),
]

CUT = [
    column("clip_id", STR, "the clip that was cut"),
    column("clip_sha256", STR, "hash of the cut file: its name in media/"),
    column("clip_bytes", INT, "size of the cut file"),
    column("clip_width", INT, "width of the cut picture, px"),
    column("clip_height", INT, "height of the cut picture, px"),
    column("clip_codec", STR, "codec of the cut file"),
]
