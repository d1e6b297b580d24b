"""`measures`: one row a clip, one column a number; measured once, decided by query."""

import pyarrow as pa

from schemas.captions import CAPTION_MEASURED
from schemas.columns import BOOL, INT, REAL, STR, column
from schemas.pass_measures import MEASURED
from schemas.videos import FETCHED

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

CLEAN = [
    column(
        "clean_area",
        REAL,
        "share of the picture in the largest rectangle, of an aspect of `measure.clean_aspects`, without bars, marks, subtitles, "
        "tickers and other text laid over it, 0-1",
        later=True,
    ),
    column("clean_left", REAL, "left side of that rectangle, in shares of the picture's width, 0-1", later=True),
    column("clean_top", REAL, "its top, in shares of the height, 0-1", later=True),
    column(
        "clean_width", REAL, "its width in shares of the picture's, 0-1; `clean_width * width` is in px", later=True
    ),
    column(
        "clean_height", REAL, "its height in shares of the picture's, 0-1; `clean_height * height` is in px", later=True
    ),
    column("clean_model", STR, "the methods that found what is laid over", later=True),
]

WRITTEN = [
    column(
        "text_written",
        STR,
        "what is written in the clip's keyframes, a line of text a line, from top to bottom; empty without text, and mostly where it "
        "is in a script that the reader does not know",
        later=True,
    ),
    column(
        "text_script",
        STR,
        "script of most of its letters: `latin`, `han` or, with Japanese, `kana`; null without letters",
        later=True,
    ),
    column("text_confidence", REAL, "mean probability of its characters, 0-1; null without", later=True),
    column(
        "written_model", STR, "text detector and reader, each with 12 hex digits of its weights' sha256", later=True
    ),
]

SPEECH = [
    column(
        "speech_share",
        REAL,
        "share of the clip's time in which somebody speaks, 0-1; pauses for breath count, singing may; 0 without sound; null of a part of a video",
        later=True,
    ),
    column("speech_model", STR, "the voice activity detector and 12 hex digits of its weights' sha256", later=True),
]

DUPLICATES = [
    column("duplicate", BOOL, "whether a better copy of the clip is there, in this dataset or an earlier one"),
    column("duplicate_of", STR, "clip_id of the better copy that stays in its place; null if there is none"),
    column("duplicate_group", STR, "clip_id of the copy that stays, the same for all clips of a group"),
    column(
        "duplicate_how",
        STR,
        "`exact` (the same hashes and duration), `near`, or `semantic` (by embeddings alone, `duplicates.semantic`); null if `duplicate` is false",
    ),
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
    "clean": CLEAN,
    "written": WRITTEN,
    "nsfw": NSFW,
    "speech": SPEECH,
    "semantics": SEMANTICS,
    "aesthetic": AESTHETIC,
    "classifier": CLASSIFIER,
}
"""Columns by keyframe measure: what is computed of a clip from its stored keyframes, or its sound, by a stage of that name."""

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
"""Columns that are computed from others by SQL, and are not stored."""

CLUSTERED = [
    column(
        "diverse_draw",
        REAL,
        "the clip's place, 0-1, in an order whose every beginning is spread over all kinds of clips",
    ),
    column(
        "cluster",
        INT,
        "number of its cluster of clips with like embeddings, 0 the largest; other clips in the pool, other numbers",
        later=True,
    ),
    column("cluster_group", INT, "number of the group of like clusters that it is in, 0 the largest", later=True),
    column(
        "balance_weight",
        REAL,
        "how often a trainer should draw the clip so that rare kinds count more, 1 on average of all that are compared, 4 at most; "
        "`draw.balance` of our own counts anew among the clips that it trains on",
        later=True,
    ),
]
"""Follow from the embeddings of all clips: null without."""

POOL_MEASURED = [*DUPLICATES, *CLUSTERED]
"""What is known of a clip only beside all others: once all are measured, before the cut."""

SPLIT, POOL = "split", "pool"

CAPTION, MATCH = CAPTION_STAGES = tuple(CAPTION_MEASURED)
"""The stages behind the cut that fill measures."""

HOMES = {field.name: SPLIT for field in MEASURED} | dict.fromkeys(DERIVED, SPLIT)
HOMES |= {field.name: stage for stage, fields in KEYFRAME_MEASURED.items() for field in fields}
HOMES |= {field.name: POOL for field in POOL_MEASURED}
HOMES |= {field.name: stage for stage, fields in CAPTION_MEASURED.items() for field in fields}
"""The stage that fills each measure."""

ALL_MEASURED = [
    *MEASURED,
    *(field for field, _ in DERIVED.values()),
    *(field for fields in KEYFRAME_MEASURED.values() for field in fields),
    *POOL_MEASURED,
    *(field for fields in CAPTION_MEASURED.values() for field in fields),
]
RULED = {field.name: field.type for field in ALL_MEASURED}
"""The measures that rules may name, and their types."""
NUMBERS = [name for name, kind in RULED.items() if pa.types.is_integer(kind) or pa.types.is_floating(kind)]
"""Those of them that are numbers."""
