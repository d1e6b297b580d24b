"""`given`: the scenes that a published set names, as it gives them; one file a unit, beside `inputs`."""

from schemas.columns import INT, REAL, STR, column, table

GIVEN = table(
    [
        column("video_id", STR, "the video, as in `inputs`"),
        column(
            "given_id", STR, "the scene's own id in the published set; made of the video's and the span if it has none"
        ),
        column(
            "origin",
            STR,
            "the published set: a key of `hdvg.published.sets.SETS`, such as `hd-vg`; `list`: a list of links",
        ),
        column("file", STR, "file name of the metadata"),
        column("place", INT, "number of the scene in that file, from 1"),
        column(
            "parent", STR, "the parent clip that frames are counted in, such as `<id>.3.mp4`; null if there is none"
        ),
        column("parent_start_ms", INT, "start of the parent in the video"),
        column("parent_end_ms", INT, "end of the parent in the video, exclusive"),
        column("fps", REAL, "frames a second, as the set says; null if it does not"),
        column("start_frame", INT, "first frame of the scene in its parent; null where the set gives times"),
        column("end_frame", INT, "frame after the last one; -1: the whole parent"),
        column("start_ms", INT, "start of the scene in the video; null where the set gives frames"),
        column("end_ms", INT, "end of the scene in the video, exclusive"),
        column("caption", STR, "the text that the set gives; null if it gives none"),
        column("extra", STR, "what else the set says of the scene, as JSON; null if nothing"),
    ]
)
