"""What a feed reads: stored latents of one or several datasets, and which of their clips are held out.

Shapes: T frames, H, W of the latent, C channels, L states of a text, X their width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from hdvg.draws import uniform
from hdvg.errors import UsageError
from hdvg.latents.lengths import Lengths
from hdvg.training.traits import Traits


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


class Clips(Protocol):
    """Clips ordered by clip_id."""

    def __len__(self) -> int: ...
    def __getitem__(self, at: int) -> Clip: ...
    def names(self, what: Literal["clip_id", "video_id"]) -> list[str]:
        """That of every clip."""


class Latents(Protocol):
    """Latents and texts of a dataset's clips; reads from several threads are safe."""

    @property
    def clips(self) -> Clips: ...
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
    @property
    def lengths(self) -> Lengths:
        """How much of the texts is cut."""

    def read(self, clip: int, window: int, out: Any) -> None:
        """float16 into `out`, (T, H, W, C), or (T, H, W, 2 C) where mean and log variance are kept."""

    def read_text(self, row: int, out: Any) -> None:
        """float16 into `out`, (L, X); row -1 is the empty text."""


@dataclass(frozen=True)
class Member:
    """A dataset of the mix, drawn in proportion to `weight`; `name` is what the user calls it, such as its path. `traits` as
    `hdvg.training.traits.read` gives them."""

    latents: Latents
    name: str
    weight: float = 1.0
    traits: Traits | None = None


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
                    f"and the same encoders encoded them; without {member.name}/latents/patches-*.npz it takes the fitted codec of "
                    f"{first.name}"
                )


def hold_out(members: Sequence[Member], wanted: int) -> Held:
    """Choose about `wanted` clips to hold out: at most a third of all (of four or five: two) and half of any member.

    Whole videos if these make at least half of that number and at least two clips, else single clips. Which go depends on
    the ids alone, not on a seed: runs of any seed are compared on the same clips, and most stay held out as a dataset grows.
    """
    counts = [len(member.latents.clips) for member in members]
    total = sum(counts)
    goal = min(max(wanted, 2), max(total // 3, 2 if total >= 4 else 0)) if wanted else 0
    if not goal:
        return Held("none", tuple(() for _ in members))
    by: Literal["video", "clip"]
    for by in ("video", "clip"):
        named = [member.latents.clips.names("video_id" if by == "video" else "clip_id") for member in members]
        taken = _take(named, goal)
        held = tuple(tuple(number for number, name in enumerate(own) if name in taken) for own in named)
        if sum(map(len, held)) >= min(goal, max(2, -(-goal // 2))):
            break
    return Held(by, held)


def _take(named: Sequence[Sequence[str]], goal: int) -> set[str]:
    """Names, in the order of their hashes, as far as all that is so named fits."""
    counts = [Counter(own) for own in named]
    room = [len(own) // 2 for own in named]
    taken: set[str] = set()
    for name in sorted(set().union(*counts), key=lambda name: (uniform(0, name, epoch=0, purpose="held out"), name)):
        group = [count[name] for count in counts]
        if sum(group) <= goal and all(size <= left for size, left in zip(group, room, strict=True)):
            taken.add(name)
            goal -= sum(group)
            room = [left - size for size, left in zip(group, room, strict=True)]
        if not goal:
            break
    return taken
