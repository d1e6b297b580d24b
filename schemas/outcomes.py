"""The columns that every row of every stage's part carries: what became of the item."""

from schemas.columns import INT, REAL, STR, column

OUTCOME = [
    column("video_id", STR, "hash of the canonical source"),
    column("status", STR, "`ok`, `failed` (final) or `retry` (may be tried again)"),
    column("reason", STR, "why it is not ok: a name from the closed list in hdvg/errors.py"),
    column("detail", STR, "the reason in words, for people", volatile=True),
    column("generation", INT, "0 for the first part of a unit; the newest generation of an item counts", volatile=True),
    column("attempt", INT, "how many times the item was tried", volatile=True),
    column("seconds", REAL, "time the item took", volatile=True),
    column(
        "sandbox",
        STR,
        "what stood around the child processes that opened the item's files; `off` if nothing did, null if there was no child",
        volatile=True,
        later=True,
    ),
]
