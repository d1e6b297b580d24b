"""What has come of a source that is fetched in parts, and what is to come next: between a fetching child, its caller, and `coverage`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12


@final
class FileAsked(TypedDict):
    """What has come of a file of that size, in pieces: start and end in it, and where they stand in the file of what is held."""

    round: int
    size: int
    pieces: list[list[int]]


@final
class PlaylistAsked(TypedDict):
    """What has come of a playlist: when each segment begins, whether there is an initialisation, which is number -1; of each
    piece the number, the place in the file of what is held, and its bytes."""

    round: int
    seconds: list[float]
    init: bool
    pieces: list[list[int]]


@final
class Need(TypedDict):
    """More must come: ranges of bytes, or numbers of segments."""

    need: list[list[int]] | list[int]


@final
class Whole(TypedDict):
    """The source cannot be taken apart, and why."""

    whole: str


class Found(TypedDict):
    """What makes an excerpt: the source's size, what stands in its holes, pieces as in `FileAsked`, numbers of segments."""

    size: int
    filler: Literal["zeros", "free", "void", "none"]
    pieces: Sequence[Sequence[int]]
    numbers: list[int]


@final
class Done(TypedDict):
    """All has come that is wanted."""

    done: Found
