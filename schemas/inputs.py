"""`inputs`: one row for every accepted line of a list of links, immutable, with the unit it belongs to."""

from schemas.columns import INT, STR, column, table

INPUTS = table(
    [
        column("link_id", STR, "hash of the link's text and of how often it stood before in its list"),
        column("link", STR, "the link as it was given"),
        column("line", INT, "its line or row in the list, from 1"),
        column("origin", STR, "file name of the list, or the link itself"),
        column("seq", INT, "number of the accepted list, from 1: earlier lists win over later ones"),
        column("source", STR, "canonical source: what is fetched; null for a bad line"),
        column("video_id", STR, "hash of the canonical source; null for a bad line"),
        column("unit", STR, "the unit of work this video belongs to; null unless status is `new`"),
        column("status", STR, "`new`: a video of its own; `failed`: a bad line or a duplicate"),
        column("reason", STR, "why it failed: `bad_input` or `duplicate`"),
        column("detail", STR, "the reason in words"),
    ]
)
