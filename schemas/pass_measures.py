"""What the decode pass measures of a clip, and how the same measures are stored where they are taken alone."""

from dataclasses import dataclass

import pyarrow as pa

from schemas.columns import BOOL, INT, REAL, STR, column

GEOMETRY = [
    column("width", INT, "display width of the source picture, px"),
    column("height", INT, "display height of the source picture, px"),
    column("aspect", REAL, "display width / height, after pixel aspect and rotation"),
    column("fps", REAL, "frames of the clip over its duration"),
    column("duration_s", REAL, "(end_pts - start_pts) x time base, seconds"),
]
"""Known from the span and the file alone."""


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
    "camera": PassMeasure(
        "hdvg.measures.camera:Camera",
        2,
        [
            column(
                "camera",
                STR,
                "the strongest of `camera_moves`: `static`, `pan left`, `pan right`, `tilt up`, `tilt down`, `zoom in`, `zoom out`, "
                "`roll clockwise`, `roll counterclockwise`, `handheld`, or `mixed`",
                later=True,
            ),
            column(
                "camera_moves",
                STR,
                "what the camera does in most of the clip, the strongest first: `pan left, zoom in`; `static` alone if nothing, `mixed` if now this, now that",
                later=True,
            ),
            column("pan_pct_s", REAL, "pan, % of the width a second, to the right; 0 if it is no move", later=True),
            column("tilt_pct_s", REAL, "tilt, % of the height a second, up; 0 if it is no move", later=True),
            column("zoom_pct_s", REAL, "zoom, % a second, in; 0 if it is no move", later=True),
            column("roll_deg_s", REAL, "roll, degrees a second, clockwise; 0 if it is no move", later=True),
            column(
                "handheld_pct_s",
                REAL,
                "how unsteady a hand makes the picture, % of the width a second; null where that cannot be told, as in under one and a half seconds",
                later=True,
            ),
            column(
                "pan_share", REAL, "share of the clip in which the camera pans, the way it mostly pans, 0-1", later=True
            ),
            column("tilt_share", REAL, "share of the clip in which it tilts, the way it mostly tilts, 0-1", later=True),
            column("zoom_share", REAL, "share of the clip in which it zooms, the way it mostly zooms, 0-1", later=True),
            column("roll_share", REAL, "share of the clip in which it rolls, the way it mostly rolls, 0-1", later=True),
            column("camera_static_share", REAL, "share of the clip in which the camera stands, 0-1", later=True),
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
        [column("colourfulness", REAL, "of Hasler and Süsstrunk 2003: 0 grey, 33 moderate, 109 extreme")],
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
        [column("interlace_share", REAL, "share of frames in which two fields are woven together (combs), 0-1")],
    ),
    "sharpness": PassMeasure(
        "hdvg.measures.sharpness:Sharpness",
        1,
        [column("sharpness", REAL, "variance of the Laplacian of luminance at up to 640 px width")],
    ),
    "noise": PassMeasure(
        "hdvg.measures.noise:Noise",
        1,
        [column("noise_levels", REAL, "standard deviation of noise in plain places (Immerkær 1996), levels 0-255")],
    ),
    "blockiness": PassMeasure(
        "hdvg.measures.blockiness:Blockiness",
        1,
        [column("blockiness", REAL, "mean step at the edges of 8 px blocks over the mean step inside; 1 is none")],
    ),
    "sound": PassMeasure(
        "hdvg.measures.sound:Sound",
        1,
        [
            column("audio_channels", REAL, "channels of the sound, 0 if the clip has none", later=True),
            column("audio_share", REAL, "share of the clip's time that its sound covers, 0-1", later=True),
            column(
                "audio_offset_s",
                REAL,
                "how much later the video's sound begins than its picture, as muxed, s; negative: earlier; null without sound",
                later=True,
            ),
            column(
                "loudness_lufs",
                REAL,
                "integrated loudness of the clip, EBU R 128, LUFS: broadcasts have -23, streams -14; -70 is silence, or no sound",
                later=True,
            ),
            column(
                "audio_peak_dbfs",
                REAL,
                "largest sample, dBFS: 0 is full scale; -120 for silence, or no sound",
                later=True,
            ),
            column(
                "silence_share",
                REAL,
                "share of the clip's tenths of a second below -60 dBFS (root mean square), or without sound, 0-1",
                later=True,
            ),
            column(
                "clipped_share",
                REAL,
                "share of the clip's tenths of a second in which three samples on end reach full scale, 0-1",
                later=True,
            ),
        ],
    ),
    "onsets": PassMeasure(
        "hdvg.measures.onsets:Onsets",
        1,
        [
            column(
                "onset_motion",
                REAL,
                "how onsets of sound and motion correlate at the best lag of up to 0.5 s, 0-1; null for fewer than three of either, or 2 s",
                later=True,
            ),
            column("onset_lag_s", REAL, "that lag: how much later the sound is, s; negative: earlier", later=True),
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

MEASURE_FAULTS = column(
    "measure_faults",
    STR,
    "measures of the pass that failed on the clip, whose columns are null, and why: `Detail: TypeError: ...`; null if none did",
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
        "pack",
        STR,
        "hash of the pack in media/ that has previews and series of the user's own measures beside the keyframes",
    ),
    column("replaces", STR, "hash of the pack that the split made of the video; null if `pack` is"),
    column(
        "pack_number",
        INT,
        "1 for the first pack that replaces the split's, 2 for the one made of that, ...",
        later=True,
    ),
]
"""Stored of measures that are taken alone; which a row holds is said in `measure_versions`."""
