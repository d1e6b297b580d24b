"""What is asked of a clip field by field, the JSON schema of an answer, and what is taken of one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hdvg.captioners import clean
from hdvg.captioners.language import language, words
from hdvg.captioners.repair import object_in
from hdvg.config.caption import Writer

VERSION = 1
"""Raise it when the same answer comes to be read otherwise."""

SHOT_SIZES = (
    "extreme close-up",
    "close-up",
    "medium close-up",
    "medium shot",
    "full shot",
    "wide shot",
    "extreme wide shot",
)
ANGLES = ("eye level", "high angle", "low angle", "overhead", "ground level", "dutch angle")
CAMERA = (
    "static",
    "pan left",
    "pan right",
    "tilt up",
    "tilt down",
    "zoom in",
    "zoom out",
    "roll",
    "tracking",
    "handheld",
)

FIELDS: dict[str, str] = {
    "subject": "who or what is there, as a phrase",
    "action": "what the subject does, from the verb on, such as `runs over the grass`",
    "place": "where it is, with its preposition, such as `on a beach`",
    "light": "the light, such as `soft morning light`",
    "style": "what kind of picture it is, such as `documentary footage`, `animation`",
    "shot_size": f"one of: {', '.join(SHOT_SIZES)}",
    "angle": f"one of: {', '.join(ANGLES)}",
    "camera": f"how the camera moves, one of: {', '.join(CAMERA)}",
    "text": "text that can be read in the picture, as it is written",
}
"""Field of text -> what is asked for. A clip's columns are called `said_<field>`."""

PEOPLE, SHORT, DETAILED, EVENTS = "people", "short", "detailed", "events"
OTHERS = {
    PEOPLE: "how many people can be seen, a whole number",
    SHORT: "the clip in one sentence of about 10 words",
    DETAILED: "the clip in three to five sentences",
    EVENTS: 'what happens when, a list of {"at_s": seconds from the start, "text": what happens then}',
}
WORDS = {"shot_size": SHOT_SIZES, "angle": ANGLES, "camera": CAMERA}
"""Fields that are one of some words."""

ALSO = {
    "closeup": "close-up", "close up": "close-up", "long shot": "wide shot", "establishing shot": "wide shot",
    "medium": "medium shot", "wide": "wide shot", "full body": "full shot", "bird's eye": "overhead", "top down": "overhead",
    "top-down": "overhead", "aerial": "overhead", "eye-level": "eye level", "still": "static", "fixed": "static",
    "tripod": "static", "no movement": "static", "dolly": "tracking", "follow": "tracking", "shaky": "handheld",
    "hand-held": "handheld", "push in": "zoom in", "pull out": "zoom out",
}  # fmt: skip
"""What models say instead -> ours."""

_VERB = re.compile(r"\b(pan|tilt|zoom|roll)(?:n?ing|s)\b")

NOTHING = frozenset({"", "none", "null", "n/a", "na", "unknown", "not visible", "no text", "nothing", "-"})
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
MOST_PEOPLE, MOST_EVENTS = 100_000, 64
SURE_WORDS = 8
"""Texts of fewer are taken to be in the language that was asked for: too few to tell for sure."""


@dataclass(frozen=True)
class Said:
    """What an answer says: texts by kind, columns of the clip (`said_…`), and, if it is no good, the `problem` with it."""

    texts: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


def names(settings: Writer) -> dict[str, str]:
    """The keys that are asked for, each with what it means."""
    left_out = {*([] if settings.frames else [EVENTS]), *([DETAILED] if settings.compose else [])}
    return {name: what for name, what in {**FIELDS, **OTHERS}.items() if name not in left_out}


def schema(settings: Writer) -> dict[str, Any]:
    """The JSON schema of an answer, in the strict form that servers decode by: every key required, null where there is nothing."""
    said: dict[str, Any] = {}
    for name in names(settings):
        said[name] = {"type": ["string", "null"]}
        if name in WORDS:
            said[name]["enum"] = [*WORDS[name], None]
    said[PEOPLE], said[SHORT] = {"type": ["integer", "null"]}, {"type": "string"}
    if DETAILED in said:
        said[DETAILED] = {"type": "string"}
    if EVENTS in said:
        said[EVENTS] = {"type": "array", "items": _object({"at_s": {"type": "number"}, "text": {"type": "string"}})}
    return _object(said)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def read(answer: str, settings: Writer, *, duration_s: float | None) -> Said:
    """What is taken of an answer; `duration_s` is the clip's, which no event can exceed."""
    asked = names(settings)
    found = object_in(answer, keys=asked)
    if found is None:
        return Said(problem="it holds no JSON object with these keys")
    held = {re.sub(r"[\s-]+", "_", str(key).strip().lower()): value for key, value in found[0].items()}
    columns: dict[str, Any] = {f"said_{name}": _word(name, held.get(name)) for name in FIELDS}
    columns["said_people"] = _people(held.get(PEOPLE))
    columns["said_how"] = "asked" if found[1] else "repaired"
    if EVENTS in asked:
        columns["said_events"] = _events(held.get(EVENTS), duration_s)
    texts = {kind: _text(held.get(kind)) for kind in (SHORT, DETAILED) if kind in asked}
    missing = [kind for kind, text in texts.items() if not any(map(str.isalnum, text))]
    if missing:
        return Said(problem=f"`{missing[0]}` is missing")
    whole = " ".join(texts.values())
    written = language(whole) if words(whole) >= SURE_WORDS else None
    if written not in {None, settings.language}:
        return Said(problem=f"it is written in the language with the ISO 639 code {written}, not {settings.language}")
    return Said(texts, columns)


def _text(value: object) -> str:
    """A value as one line of text, "" where it says nothing: lists joined, numbers and objects as what they hold."""
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return ", ".join(filter(None, (_text(one) for one in value)))
    text = clean(str(value), lower_case=False)
    return "" if text.strip(" .").casefold() in NOTHING else text


def _word(name: str, value: object) -> str | None:
    """A field; of those that are one of some words the one that is meant, None where none is."""
    text = _text(value)
    if name not in WORDS:
        return text or None
    plain = _VERB.sub(r"\1", text.casefold().replace("_", " ")).replace(" to the ", " ")
    known = {
        **{word: word for word in WORDS[name]},
        **{also: word for also, word in ALSO.items() if word in WORDS[name]},
    }
    found = [word for word in sorted(known, key=len, reverse=True) if word in plain]
    return known[found[0]] if found else None


def _people(value: object) -> int | None:
    """A count of people: a number, a text with one in digits or words, or a list of them."""
    if isinstance(value, list):
        return len(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return int(value) if 0 <= value <= MOST_PEOPLE else None
    text = "" if value is None else str(value).casefold()
    digits = re.search(r"(?<![\d.-])\d{1,6}(?![\d.])", text, re.ASCII)
    if digits:
        return int(digits[0])
    words = re.findall(r"[a-z]+", text)
    if "nobody" in words or words == ["none"] or "no" in words:
        return 0
    return next((NUMBERS.index(word) for word in words if word in NUMBERS), None)


def _events(value: object, duration_s: float | None) -> list[dict[str, Any]]:
    """What happens when, in order of time: entries with a time within the clip and a text."""
    made = []
    for one in value if isinstance(value, list) else []:
        at_s, text = (_seconds(one.get("at_s")), _text(one.get("text"))) if isinstance(one, Mapping) else (None, "")
        if at_s is not None and text and (duration_s is None or at_s <= duration_s):
            made.append({"at_s": at_s, "text": text})
    return sorted(made[:MOST_EVENTS], key=lambda event: event["at_s"])


def _seconds(value: object) -> float | None:
    """Seconds as a number, `2.5 s` or `00:02.5`; None for anything else, a time before the start or none at all."""
    found = re.fullmatch(r"\s*(?:(\d{1,2}):)?(?:(\d{1,2}):)?(\d{1,6}(?:\.\d{1,9})?)\s*s?\s*", str(value), re.ASCII)
    if found is None or isinstance(value, bool):
        return None
    parts = [float(part) for part in found.groups() if part]
    seconds = 0.0
    for part in parts:
        seconds = 60 * seconds + part
    return seconds
