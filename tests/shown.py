"""What is seen in real footage, by hand (tests/data/shown.toml), and whether a text names it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hdvg.captioners.imagenet import CATEGORIES, GROUPS
from hdvg.networks.efficientnet import labels

UNCOUNTED = frozenset({"camera", "orange", "picture", "pictures", "text", "slide", "light"})
"""Nouns of what a sentence says of colour, motion and text, or of a longer noun that is counted."""


@dataclass(frozen=True)
class Span:
    """From when to when in a file, s, and the things seen, most prominent first."""

    file: str
    part: str
    start_s: float
    end_s: float
    things: tuple[str, ...]


@cache
def truth() -> dict[str, Any]:
    """The file as it is."""
    return tomllib.loads((Path(__file__).parent / "data" / "shown.toml").read_text(encoding="utf-8"))


def spans() -> list[Span]:
    """All spans, in the file's order."""
    return [
        Span(one["file"], one["part"], start, end, tuple(things))
        for one in truth()["span"]
        for start, end, *things in one["shown"]
    ]


def shown(file: str, start_s: float, end_s: float) -> list[str]:
    """The things in the spans that a clip shares half a second or a third of itself with; [] if a tenth of it is in none."""
    shared = {}
    for span in spans():
        if span.file == file:
            shared[span] = min(end_s, span.end_s) - max(start_s, span.start_s)
    if sum(max(each, 0.0) for each in shared.values()) < 0.9 * (end_s - start_s):
        return []
    enough = min(0.5, (end_s - start_s) / 3)
    return [thing for span, each in shared.items() if each >= enough for thing in span.things]


@cache
def nouns() -> re.Pattern[str]:
    """Any thing that a text may name: the classes and sets of `tags`, and the words of the truth; longest first."""
    ours = {re.sub(r"^(a|an) ", "", phrase).lower() for phrase in (*labels(), *CATEGORIES, *GROUPS)}
    written = {word for words in truth()["words"].values() for word in words}
    known = sorted((ours | written) - UNCOUNTED, key=lambda one: (-len(one), one))
    return re.compile(r"\b(" + "|".join(map(re.escape, known)) + r")\b")


def named(text: str) -> list[str]:
    """The things that a text names, in its order."""
    return nouns().findall(text.lower())


def is_right(noun: str, things: Iterable[str]) -> bool:
    """Whether a noun that a text names is one for what is seen, or a longer name with one in it."""
    right = (word for thing in things for word in truth()["words"][thing])
    return any(re.search(rf"\b{re.escape(word)}\b", noun) for word in right)
