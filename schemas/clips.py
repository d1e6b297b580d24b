"""`clips`: the shots of a video as exact spans, and the files cut from them."""

from schemas.columns import BOOL, INT, REAL, STR, column

SPAN = [
    column(
        "clip_id",
        STR,
        "hash of (video content hash, start_pts, end_pts, time base); with `fetch.sections = auto`, of a given scene, hash of "
        "(video_id, hash of the source's first 16 KiB, start_pts, end_pts, time base)",
    ),
    column("time_base", STR, "seconds per tick, such as `1/15360`"),
    column("start_pts", INT, "pts of the first frame"),
    column("end_pts", INT, "pts just after the last frame (exclusive)"),
    column("start_frame", INT, "index of the first frame in decode order of display; null if only a part was fetched"),
    column("end_frame", INT, "index just after the last frame (exclusive)"),
    column("n_frames", INT, "frames in the clip"),
    column("start_s", REAL, "start_pts in seconds, for people"),
    column("end_s", REAL, "end_pts in seconds, for people"),
    column(
        "opens_with",
        STR,
        "what stands before the first frame: `start` of the video, `cut`, `gradual` (fade, dissolve), `part` of a long "
        "shot, or `given`: the span was not looked for",
    ),
    column("opens_frames", INT, "frames left out before the clip: the gradual transition and its guard"),
    column(
        "closes_with", STR, "what stands after the last frame: `end` of the video, `cut`, `gradual`, `part` or `given`"
    ),
    column("closes_frames", INT, "frames left out after the clip: the gradual transition and its guard"),
    column("stitched", INT, "detected cuts inside the clip that were joined again: flashes, something passing by"),
    column("first_look", STR, "the first frame at 8 x 8 grey levels, 128 hex digits: what the cut is checked against"),
    column("last_look", STR, "the last frame, likewise"),
    column("keyframes", STR, "hash of the pack in media/ that holds this clip's keyframes"),
]

GIVEN_SPAN = [
    column("given_origin", STR, "the published set that gives the clip's span, as in `given`; null for a shot of ours"),
    column("given_id", STR, "the scene's id in that set; null for a shot of ours"),
    column(
        "given_shift_frames",
        INT,
        "frames of the source from where the published script's parent begins to the first at or after the parent's "
        "start: how much later `split.given = exact` counts; null where the set gives times",
    ),
    column("given_caption", STR, "the text that the set gives for the clip; null if it gives none"),
    column(
        "given_short_ms",
        INT,
        "milliseconds of the scene that its video lacks, for it ends before the scene does; null if it lacks none",
        later=True,
    ),
]
"""Stored where a published set gave scenes, null elsewhere."""

OF_VIEW = [
    column("span_id", STR, "hash of the video_id and the span's ends in seconds, exact: equal for part and whole"),
    column("partial", BOOL, "whether only a part of the clip's source was fetched, and it was cut from that"),
]
"""Computed in the views `clips` and `dataset`; stored nowhere."""

GIVEN_VIDEO = [column("given_digest", STR, "hash of the given scenes that the video was split by, and of the mode")]

CUT = [
    column("clip_id", STR, "the clip that was cut"),
    column("clip_sha256", STR, "hash of the cut file: its name in media/, unless a pack holds it"),
    column("clip_bytes", INT, "size of the cut file"),
    column("clip_width", INT, "width of the cut picture, px"),
    column("clip_height", INT, "height of the cut picture, px"),
    column("clip_codec", STR, "codec of the cut file"),
    column("cut_mode", STR, "how it was cut: `smart`, `encode` or `copy`; `virtual` if only the shards hold it"),
    column(
        "cut_start_pts", INT, "pts, in the source, of the clip's first frame; differs from start_pts for `copy` only"
    ),
    column("cut_end_pts", INT, "pts, in the source, just after its last frame"),
    column("cut_n_frames", INT, "frames in the cut file"),
    column("copied_frames", INT, "frames whose coded bytes are the source's"),
    column(
        "cut_decoded_frames",
        INT,
        "frames of the source decoded for this clip; a GOP that clips of one cut share counts for the first",
        volatile=True,
    ),
    column(
        "clip_pack",
        STR,
        "hash of the pack in media/ that holds the cut file; null if it is a file of its own",
        volatile=True,
        later=True,
    ),
    column(
        "clip_offset",
        INT,
        "where in the pack the cut file begins, bytes; it has `clip_bytes`",
        volatile=True,
        later=True,
    ),
]
