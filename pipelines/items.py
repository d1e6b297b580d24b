"""The items of each stage: the columns that it needs of what is pending, as `graph.Stage.needs` names them."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Item(TypedDict):
    """A video or clip with the id that is its key, and how often it was tried."""

    key: str
    video_id: str
    attempt: int


class SourceItem(Item):
    """What is fetched, at first or again; with the scenes that a published set gives, rows of schemas.given, if they are known."""

    source: str
    given: NotRequired[list[dict[str, Any]] | None]
    given_digest: NotRequired[str | None]


class SplitItem(SourceItem):
    """A fetched video."""

    sha256: str


class CutItem(SourceItem):
    """A kept clip of a fetched video."""

    sha256: str
    clip_id: str
    start_pts: int
    end_pts: int
    n_frames: int
    first_look: str | None
    last_look: str | None
    decode_errors: int | None
    retimed_frames: int | None
    clean_left: float | None
    clean_top: float | None
    clean_width: float | None
    clean_height: float | None


class ClipItem(Item):
    """A clip with the pack of its video's keyframes."""

    clip_id: str
    keyframes: str


class Text(TypedDict):
    """A text of a clip."""

    kind: str
    text: str


class MatchItem(Item):
    """A clip with its texts, and the embedding of its pictures."""

    clip_id: str
    texts: list[Text]
    embedding: list[float] | None


class CutFile(TypedDict):
    """Where the bytes of a clip lie in media/, if it has been cut: see `hdvg.dataset.clip_files.HELD`."""

    clip_sha256: str | None
    clip_pack: str | None
    clip_offset: int | None
    clip_bytes: int | None


class RemeasureItem(SplitItem, CutFile):
    """A clip of a fetched video that lacks measures; `versions` are their marks, `split_pack` is the split's own pack.

    `pack_number` says how many packs took the split's place, if any did.
    """

    pack_number: int | None
    clip_id: str
    start_pts: int
    end_pts: int
    time_base: str
    keyframes: str
    split_pack: str
    versions: str


class AssessItem(Item, CutFile):
    """A cut and captioned clip that lacks measures of these."""

    clip_id: str
    keyframes: str
    split_pack: str
    pack_number: int | None
    texts: list[Text] | None
    versions: str


class LearnedItem(ClipItem):
    """A clip that lacks measures by models."""

    versions: str


AloneItem = RemeasureItem | LearnedItem | AssessItem
"""A clip that lacks measures that are taken alone."""
