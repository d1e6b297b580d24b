"""`captions`: the text of each clip and who wrote it."""

from schemas.columns import STR, column

CAPTION = [
    column("clip_id", STR, "the clip that was captioned"),
    column("captioner", STR, "which captioner wrote it"),
    column("model", STR, "its model and a hash of the weights"),
    column("text", STR, "the caption"),
]
