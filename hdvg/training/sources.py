"""What a feed reads: stored latents of one or several datasets, and which of their clips are held out.

Shapes: T frames, H, W of the latent, C channels, L states of a text, X their width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from hdvg.errors import UsageError
from hdvg.order import uniform


class Clip(Protocol):
    """A clip as it is stored; every window has the same shape."""

    @property
    def clip_id(self) -> str: ...
    @property
    def video_id(self) -> str: ...
    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(T, H, W, C) of a window."""

    @property
    def windows(self) -> int:
        """Runs of frames, at least one."""

    @property
    def texts(self) -> Sequence[tuple[int, float]]:
        """(row, weight) of each text; none where the clip has none."""


class Latents(Protocol):
    """Latents and texts of a dataset's clips; reads from several threads are safe."""

    @property
    def clips(self) -> Sequence[Clip]:
        """Ordered by clip_id."""

    @property
    def wanted(self) -> int:
        """What the query counts; what is not in `clips` failed."""

    @property
    def codec(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def text_shape(self) -> tuple[int, int]:
        """(L, X)."""

    @property
    def digest(self) -> str: ...
    def read(self, clip: int, window: int, out: Any) -> None:
        """float16 into `out`, (T, H, W, C), or (T, H, W, 2 C) where mean and log variance are kept."""

    def read_text(self, row: int, out: Any) -> None:
        """float16 into `out`, (L, X); row -1 is the empty text."""


@dataclass(frozen=True)
class Member:
    """A dataset of the mix, drawn in proportion to `weight`; `name` is what the user calls it, such as its path."""

    latents: Latents
    name: str
    weight: float = 1.0


@dataclass(frozen=True)
class Held:
    """The clips that are never trained on: of each member their numbers, rising; and whether whole videos were taken."""

    by: Literal["video", "clip", "none"]
    clips: tuple[tuple[int, ...], ...]


def agree(members: Sequence[Member]) -> None:
    """Raises UsageError if there is nothing to train on, or the members' encoders or weights do not go together."""
    if not members:
        raise UsageError("a training needs a dataset; name one: hdvg train --recipe tiny DATASET")
    first = members[0]
    for member in members:
        if not member.latents.clips:
            raise UsageError(
                f"{member.name}: none of the {member.latents.wanted} clips that the query gives has latents; see "
                f'`hdvg status {member.name}`, or widen `draw.where`: hdvg query {member.name} "select count(*) from '
                'dataset where keep"'
            )
        if not 0 < member.weight < float("inf"):
            raise UsageError(f"{member.name}: weight {member.weight}: a weight is a positive number, such as 0.5")
        for what in ("codec", "text", "text_shape"):
            ours, theirs = getattr(first.latents, what), getattr(member.latents, what)
            if ours != theirs:
                raise UsageError(
                    f"{member.name}: its {what} is {theirs}, that of {first.name} {ours}: datasets are mixed only if one "
                    "and the same encoders encoded them"
                )


def hold_out(members: Sequence[Member], wanted: int) -> Held:
    """Choose about `wanted` clips to hold out: at most a third of all (of four or five: two) and half of any member.

    Whole videos if these make at least half of that number and at least two clips, else single clips. What goes is told by
    the ids alone, not by a seed: runs of any seed are compared on the same clips, and most stay held out as a dataset grows.
    """
    total = sum(len(member.latents.clips) for member in members)
    goal = min(max(wanted, 2), max(total // 3, 2 if total >= 4 else 0)) if wanted else 0
    if not goal:
        return Held("none", tuple(() for _ in members))
    taken = _take(members, goal, by="video")
    by: Literal["video", "clip"] = "video"
    if len(taken) < min(goal, max(2, -(-goal // 2))):
        taken, by = _take(members, goal, by="clip"), "clip"
    numbers = tuple(tuple(sorted(clip for owner, clip in taken if owner == place)) for place in range(len(members)))
    return Held(by, numbers)


def _take(members: Sequence[Member], goal: int, *, by: Literal["video", "clip"]) -> list[tuple[int, int]]:
    """(member, clip) of whole groups in the order of their ids' hashes, as far as they fit."""
    groups: dict[str, list[tuple[int, int]]] = {}
    for place, member in enumerate(members):
        for number, clip in enumerate(member.latents.clips):
            groups.setdefault(clip.video_id if by == "video" else clip.clip_id, []).append((place, number))
    room = [len(member.latents.clips) // 2 for member in members]
    taken: list[tuple[int, int]] = []
    for _, name in sorted((uniform(0, name, epoch=0, purpose="held out"), name) for name in groups):
        group = groups[name]
        counts = [sum(owner == place for owner, _ in group) for place in range(len(members))]
        if len(taken) + len(group) <= goal and all(count <= left for count, left in zip(counts, room, strict=True)):
            taken += group
            room = [left - count for count, left in zip(counts, room, strict=True)]
        if len(taken) == goal:
            break
    return taken
