"""`tombstones`: what was taken down, as digests from which it cannot be read; immutable files."""

from schemas.columns import STR, column, table

TOMBSTONE_KINDS = ("video", "hash", "channel")
"""What a tombstone may name: a `video_id`, the `sha256` of a source file, an `uploader_id`."""

TOMBSTONES = table(
    [
        column("kind", STR, "`video`, `hash` (of a source file) or `channel`"),
        column("salt", STR, "random hex digits, the same in all tombstones of a dataset"),
        column("token", STR, "sha256 of `<salt>:<kind>:<name>`, so that no file holds the name"),
    ]
)
