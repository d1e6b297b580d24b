"""`rejected`: the entries of published metadata that were not taken, one file a metadata file; its being there says that the import is whole."""

from schemas.columns import INT, STR, column, table

REJECTED = table(
    [
        column("origin", STR, "the published set, as in `given`"),
        column("file", STR, "file name of the metadata"),
        column("place", INT, "number of the scene, or of what stands for one, in that file, from 1"),
        column("at", INT, "where its entry begins: the byte, from 0, of a JSON object; else the line or row, from 1"),
        column("given_id", STR, "what the entry calls itself, as far as that can be read"),
        column("link", STR, "the link of its video, as far as that can be read"),
        column("video_id", STR, "the video, if its link is one"),
        column("reason", STR, "`bad_input`, or `duplicate`: its id stands before"),
        column("detail", STR, "the reason in words"),
    ]
)
