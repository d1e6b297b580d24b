"""Answers of models to questions with a few possible answers: which one was given, and how likely each was.

A question's answers are words, or short texts. A model's answer is a text, and, where its tokens were told, steps: at each place
the token that was written and the likeliest others, with log-probabilities.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from hdvg.captioners.prompting import spoken
from hdvg.networks.answering import Step

_START = re.compile(r"^[\W_]+")
_THOUGHT_ENDS = ("</think>", "</thinking>")

LEAST_MASS = 0.5
"""Of the probability at the deciding place, what must lie on the answers there are."""


def shares(steps: Sequence[Step], answers: Sequence[str]) -> Mapping[str, float] | None:
    """How likely each answer was, as shares of all of them: they sum to 1. None where the steps do not say.

    Along what was written, every token that was likely at its place is looked at: one with which the text is the beginning of
    one answer alone counts for that answer. Words before an answer ("The answer is") begin the text anew.
    """
    found = dict.fromkeys(answers, 0.0)
    text, mass = "", 1.0
    for step in _answered(steps):
        if not step:
            return None
        for token, logarithm in step[1:]:
            if (one := _begun(text + token, answers)) is not None:
                found[one] += mass * math.exp(logarithm)
        token, logarithm = step[0]
        text, chance = text + token, math.exp(logarithm)
        one = _begun(text, answers)
        if one is not None:
            found[one] += mass * chance
            return _scaled(found)
        mass *= chance
        if not _may_begin(text, answers):
            text, mass, found = "", 1.0, dict.fromkeys(answers, 0.0)
    whole = next((one for one in answers if one.lower() == _START.sub("", text).lower()), None)
    if whole is None:
        return None
    found[whole] += mass
    return _scaled(found)


def said(answer: str, answers: Sequence[str]) -> str | None:
    """Which of the answers a text gives: the one that it begins with, else the only one in it; None if there is none."""
    text = spoken(answer).strip()
    start = _START.sub("", text)
    first = [one for one in answers if _word(one).match(start)]
    anywhere = [one for one in answers if _word(one).search(text)]
    for some in (first, anywhere):
        longest = max(some, key=len, default=None)
        if longest is not None and all(one in longest for one in some):
            return longest
    return None


def _answered(steps: Sequence[Step]) -> Sequence[Step]:
    """The steps behind what the model thinks aloud."""
    text, start = "", 0
    for place, step in enumerate(steps, start=1):
        text += step[0][0] if step else ""
        if text.rstrip().endswith(_THOUGHT_ENDS):
            start = place
    return steps[start:]


def _begun(text: str, answers: Sequence[str]) -> str | None:
    """The answer that alone begins so, or that the text already goes beyond."""
    start = _START.sub("", text).lower()
    if not start:
        return None
    beyond = [one for one in answers if len(one) < len(start) and _word(one).match(start)]
    may = [one for one in answers if one.lower().startswith(start)]
    if beyond and not may:
        return max(beyond, key=len)
    return may[0] if len(may) == 1 else None


def _word(answer: str) -> re.Pattern[str]:
    """An answer with no letter before or behind it; in scripts that part no words, wherever it stands."""
    alone = rf"(?<!\w){re.escape(answer)}(?!\w)" if answer.isascii() else re.escape(answer)
    return re.compile(alone, re.IGNORECASE)


def _may_begin(text: str, answers: Sequence[str]) -> bool:
    start = _START.sub("", text).lower()
    return any(one.lower().startswith(start) for one in answers)


def _scaled(found: Mapping[str, float]) -> Mapping[str, float] | None:
    mass = sum(found.values())
    return {one: share / mass for one, share in found.items()} if mass >= LEAST_MASS else None
