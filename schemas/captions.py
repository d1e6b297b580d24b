"""`captions`: the texts of each clip, who wrote them, and what is measured of each text."""

import pyarrow as pa

from schemas.columns import BOOL, INT, REAL, STR, column

SPEECH = "speech"
CAPTION_KINDS = ("short", "detailed", "title", SPEECH)
"""What a writer's text can be: a sentence, a paragraph, the source's own title, cleaned, or what is said in the clip."""

PERSON = "person"
"""The kind of the newest caption that someone wrote of a clip (`hdvg annotate`), where `caption.weights` has one for it."""

WORDING = [
    column("words", INT, "words of the text"),
    column("repeated_words", REAL, "share of the words that stand in the text before, 0-1; common short words count"),
    column("repeated_trigrams", REAL, "share of the runs of three words that stand in the text before, 0-1"),
    column(
        "odd_characters", REAL, "share of characters that are no letters of one script, digits, spaces or stops, 0-1"
    ),
    column(
        "boilerplate",
        BOOL,
        "whether it says what no caption should: a refusal, talk of being a model, a platform's phrase",
    ),
]
"""Computed from the text alone."""

SAID = [
    column("said_subject", STR, "who or what is in the clip, as a writer with `fields` says", later=True),
    column("said_action", STR, "what the subject does, likewise", later=True),
    column("said_place", STR, "where it is, likewise", later=True),
    column("said_light", STR, "the light, likewise", later=True),
    column("said_style", STR, "what kind of picture it is, likewise", later=True),
    column("said_shot_size", STR, "`extreme close-up` to `extreme wide shot`, likewise", later=True),
    column("said_angle", STR, "`eye level`, `high angle`, `low angle`, `overhead`, ..., likewise", later=True),
    column("said_camera", STR, "`static`, `pan left`, `zoom in`, `handheld`, ..., likewise", later=True),
    column("said_text", STR, "text that can be read in the picture, likewise; null if there is none", later=True),
    column("said_people", INT, "how many people can be seen, likewise", later=True),
    column(
        "said_against",
        STR,
        "of these fields the ones that a measure speaks against (`light`, `text`, `camera`), with commas; null if none does",
        later=True,
    ),
]
"""What a writer says of a clip field by field, the same in each of its rows of the clip."""

EVENTS = pa.list_(pa.struct([("at_s", REAL), ("text", STR)]))

CAPTION = [
    column("clip_id", STR, "the clip that was captioned"),
    column("kind", STR, "`short`, `detailed`, `title` or `speech`"),
    column(
        "text",
        STR,
        "the text: one line, NFC, no control characters; null if there is nothing of its kind to say, such as no title",
    ),
    column("language", STR, "ISO 639 code of its language; null if that is not known"),
    column("captioner", STR, "which captioner wrote it"),
    column("model", STR, "its model and a hash of the weights"),
    *WORDING,
    column("prompt_tokens", INT, "tokens sent to a service for it, counted once a clip; null for a model of our own"),
    column("output_tokens", INT, "tokens received, likewise"),
    *SAID,
    column(
        "said_events", EVENTS, "what happens when, seconds from the clip's start; null without `frames`", later=True
    ),
    column(
        "said_how",
        STR,
        "how the fields came: `asked` as JSON and nothing else, `repaired` of an answer, `again` after a bad one, `measured`; null without",
        later=True,
    ),
]

MATCH = [
    column("clip_id", STR, "the clip"),
    column("kind", STR, "which of the writer's texts"),
    column("similarity", REAL, "cosine of the embeddings of the text and of the clip (`embedding`), -1 to 1"),
    column("text_embedding", pa.list_(pa.float32()), "unit vector of the text, in the space of `embedding`"),
    column("match_model", STR, "model of the embeddings: numbers of others differ"),
]
"""Computed of a text beside the clip's pictures and its other texts."""

BEST_BY = (
    "sound",
    "similarity",
    "agreement",
    "words",
    "place",
    "repeated_words",
    "repeated_trigrams",
    "odd_characters",
)
"""What the best of several texts may be chosen by."""

CAPTION_MEASURED = {
    "caption": [
        column("caption_words", INT, "words of the caption"),
        column("caption_repeated_words", REAL, "share of its words that stand in it before, 0-1"),
        column("caption_repeated_trigrams", REAL, "share of its runs of three words that stand in it before, 0-1"),
        column("caption_odd_characters", REAL, "share of characters no caption needs, 0-1"),
        column("caption_boilerplate", BOOL, "whether it is a refusal, talk of being a model, or a platform's phrase"),
        column("caption_copies", INT, "clips whose caption is the very same, this one included"),
        *SAID,
    ],
    "match": [
        column("caption_similarity", REAL, "cosine of the embeddings of caption and clip, -1 to 1"),
        column(
            "caption_agreement",
            REAL,
            "mean cosine of the embeddings of the caption and of other writers' texts, -1 to 1; null without such",
        ),
    ],
}
"""Columns of a clip, by stage: the checks of the text that stands for it."""
