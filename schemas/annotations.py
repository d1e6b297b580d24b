"""`annotations`: what people say of clips, one row a clip and author; the names under which rules may use their marks."""

from schemas.captions import WORDING
from schemas.columns import BOOL, STR, column, doc, table

MARKS = ("keep", "drop", "flag")
"""What a person may mark a clip with."""

ANNOTATIONS = table(
    [
        column("clip_id", STR, "the clip"),
        column("video_id", STR, "its video"),
        column("author", STR, "who says so, as they call themselves"),
        column("mark", STR, "`keep`, `drop` or `flag`; null: none, or one that was taken back"),
        column(
            "caption",
            STR,
            "a better caption in the author's words, one line; used where `caption.weights.person` is above 0",
        ),
        column("note", STR, "anything else, one line"),
    ],
    [column(field.name, field.type, f"{doc(field)}; of `caption`", later=True) for field in WORDING],
)
"""A row is all that its author says of the clip: the newest row counts, whole."""

MARKED = [
    column("marked_keep", BOOL, "whether someone marks the clip `keep`; false where nobody does"),
    column("marked_drop", BOOL, "whether someone marks the clip `drop`; false where nobody does"),
    column("marked_flag", BOOL, "whether someone marks the clip `flag`; false where nobody does"),
]
"""Columns of the view `dataset` that rules may name. They are stored in no part and no shard."""
