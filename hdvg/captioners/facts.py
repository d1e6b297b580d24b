"""What was measured of a clip, in words that a model is told, and which fields of its answer a measure speaks against.

One entry a fact: another measure's words are one line more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from hdvg.captioners.camera_words import camera_words
from hdvg.captioners.phrases import BRIGHT, DARK, SLOW, STILL, TEXT_MUCH

Measures = Mapping[str, Any]

SPEECH_HARDLY, SPEECH_MUCH = 0.05, 0.3
"""Shares of a clip in which somebody speaks."""

_DARK = re.compile(r"\b(?:dark|night|dim|unlit|black)", re.IGNORECASE)
_BRIGHT = re.compile(r"\b(?:bright|sunlit|sunny|daylight|glaring)", re.IGNORECASE)


class Fact(NamedTuple):
    """What the measures say ("" for nothing), and whether they speak against what a field says."""

    field: str
    say: Callable[[Measures], str]
    denies: Callable[[Measures, str | None], bool]


def number(measures: Measures, name: str) -> float | None:
    """A measure, if it was taken."""
    value = measures.get(name)
    return float(value) if isinstance(value, (int, float)) and value == value else None


def _light(measures: Measures) -> str:
    luma = number(measures, "luma_mean")
    if luma is None or DARK <= luma < BRIGHT:
        return ""
    return "the picture is dark" if luma < DARK else "the picture is bright"


def _light_denied(measures: Measures, said: str | None) -> bool:
    """Words of the opposite alone count: a dark picture may well show bright lamps."""
    luma = number(measures, "luma_mean")
    if luma is None or said is None:
        return False
    wrong, right = (_BRIGHT, _DARK) if luma < DARK else (_DARK, _BRIGHT)
    return not DARK <= luma < BRIGHT and bool(wrong.search(said)) and not right.search(said)


def _text(measures: Measures) -> str:
    boxes, area = measures.get("text_boxes"), number(measures, "text_area")
    if boxes is None or area is None:
        return ""
    return f"about {boxes} lines of text stand in the picture" if boxes else "no text stands in the picture"


def _text_denied(measures: Measures, said: str | None) -> bool:
    boxes, area = measures.get("text_boxes"), number(measures, "text_area")
    if boxes is None or area is None:
        return False
    return (boxes == 0 and said is not None) or (area >= TEXT_MUCH and said is None)


def _camera(measures: Measures) -> str:
    """By its moves, or, of a clip from before these were told, by how much moves."""
    camera = number(measures, "camera_px_s")
    if measures.get("camera_moves"):
        return camera_words(measures["camera_moves"])
    if camera is None or STILL <= camera < SLOW:
        return ""
    return "the camera does not move" if camera < STILL else "the camera moves"


def _camera_denied(measures: Measures, said: str | None) -> bool:
    """A move is denied where the camera stands, or makes the opposite one; `static` where it moves by more than a hand does."""
    camera, moves = number(measures, "camera_px_s"), measures.get("camera_moves")
    if said is None:
        return False
    if moves:
        verb, _, way = said.partition(" ")
        opposite = any(move.startswith(f"{verb} ") for move in moves.split(", ")) and said not in moves
        moves_on = said == "static" and moves not in ("static", "handheld")
        return moves_on or (moves == "static" and said not in ("static", "handheld")) or (bool(way) and opposite)
    if camera is None:
        return False
    return (camera < STILL and said.startswith(("pan", "tilt", "tracking"))) or (camera >= SLOW and said == "static")


def _speech(measures: Measures) -> str:
    """Where the measure was taken at all; in between it may be a call, or a song."""
    share = number(measures, "speech_share")
    if share is None or SPEECH_HARDLY <= share < SPEECH_MUCH:
        return ""
    return "somebody speaks in it" if share >= SPEECH_MUCH else "nobody speaks in it"


FACTS: tuple[Fact, ...] = (
    Fact("light", _light, _light_denied),
    Fact("text", _text, _text_denied),
    Fact("camera", _camera, _camera_denied),
    Fact("speech", _speech, lambda measures, said: False),
)


def sentence(measures: Measures, tones: Sequence[str] = ()) -> str:
    """A sentence of what was measured, for a question; "" where nothing was. `tones` are the names of the main colours."""
    said = [words for fact in FACTS if (words := fact.say(measures))]
    said += [f"its main colours are {' and '.join(tones)}"] if tones else []
    return f" It was measured that {', that '.join(said)}." if said else ""


def against(columns: Mapping[str, Any], measures: Measures) -> str | None:
    """The fields that a measure speaks against, in order, with commas; None if none does."""
    wrong = [fact.field for fact in FACTS if fact.denies(measures, columns.get(f"said_{fact.field}"))]
    return ", ".join(wrong) or None
