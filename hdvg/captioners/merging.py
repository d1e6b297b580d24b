"""One text of several keyframes' texts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

IN_TIME = ("first", "middle", "last")
MIDDLE_FIRST = ("middle", "first", "last")


def merged(texts: Mapping[str, str], *, rule: str) -> str:
    """One text of those of the keyframes `first`, `middle` and `last`; "" if there is none.

    `central`: the one most like the others by the words they share; of equals the middle's, then the first's. `join`:
    those that differ in more than case and final stop, in time order, with semicolons.
    """
    said = {position: text for position, text in texts.items() if text}
    if rule == "central":
        return max(_in_order(said, MIDDLE_FIRST), key=lambda text: _likeness(text, said), default="")
    different: dict[str, str] = {}
    for text in _in_order(said, IN_TIME):
        different.setdefault(text.rstrip(" .").casefold(), text)
    kept = list(different.values())
    return kept[0] if len(kept) == 1 else "; ".join(text.rstrip(" .") for text in kept)


def _in_order(texts: Mapping[str, str], order: Sequence[str]) -> list[str]:
    return [texts[position] for position in order if position in texts]


def _likeness(text: str, texts: Mapping[str, str]) -> float:
    """Sum over all texts, itself included, of the share of the words in both among those in either."""
    mine = _words(text)
    return sum(len(mine & _words(other)) / (len(mine | _words(other)) or 1) for other in texts.values())


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.casefold()))
