"""What vision-language models are shown and asked about a clip, and what is read out of their answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hdvg.captioners import fields
from hdvg.captioners.facts import sentence
from hdvg.captioners.phrases import colours
from hdvg.config.caption import Writer
from hdvg.keyframes import Shot
from hdvg.networks.pictures import decode_rgb

if TYPE_CHECKING:
    from PIL import Image


def prompt_file(name: str) -> str:
    """One of the questions in `prompts/`, which name no vendor and no model; a line that ends in a backslash goes on."""
    text = (Path(__file__).parent / "prompts" / f"{name}.txt").read_text(encoding="utf-8")
    return text.replace("\\\n", "").removesuffix("\n")


PROMPT = prompt_file("texts")
"""What is asked if the recipe asks nothing else."""

SHORT_WORDS, SHORT_CHARACTERS = 25, 200
"""An answer without labels is a short caption up to here."""

POSITIONS = ("first", "middle", "last")

# a label opens a line, whatever list or bold marks surround it; in capitals, as asked for, it may stand anywhere
_LABEL = re.compile(
    r"(?:^[\W\d_]*(?P<any>short|detailed)(?:[ \t]+(?:caption|description|version))?[\W_]*?[:：]|\b(?P<capitals>SHORT|DETAILED)[*_ ]*[:：])[*_ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_MARKS = " \t\n\"'*_“”"
_THOUGHT = re.compile(r"^.*?</think(?:ing)?>|^\s*<think(?:ing)?>.*", re.DOTALL)
_FENCE = re.compile(r"^\s*```\w*\s*\n|\n?```\s*$")
_SENTENCE = re.compile(r"(?s)\s*(.+?[.!?])(?=\s|$)|\s*(.+?[。！？])")


@dataclass(frozen=True)
class Shown:
    """What a model is shown (RGB, in order of time), in a sentence too; `stored`: the pictures' JPEGs, none if they are made
    anew; `middle` is one of those that the pictures are made of."""

    pictures: list[Image.Image]
    stored: list[bytes]
    sentence: str
    middle: Image.Image

    def jpegs(self) -> list[bytes]:
        """The pictures as JPEGs: as they are stored, if they are."""
        return self.stored or [encode(picture) for picture in self.pictures]


@dataclass(frozen=True)
class Prompt:
    """What a model is shown and asked."""

    shown: Shown
    question: str


class Showing(Protocol):
    """The settings that say what of a clip is shown."""

    @property
    def frames(self) -> int: ...
    @property
    def keyframe(self) -> str: ...
    @property
    def layout(self) -> str: ...


def show(shot: Shot, settings: Showing) -> Shown | None:
    """What is shown of a shot; None if nothing that the settings name decodes.

    With `frames` these are of its preview, as many at most, evenly over it; of a clip without one, its keyframes.
    """
    at_s, pictures = _preview(shot, settings.frames)
    stored: list[bytes] = []
    if not pictures:
        wanted = POSITIONS if settings.keyframe == "all" or settings.frames else (settings.keyframe,)
        known = [shot.keyframes[position] for position in wanted if position in shot.keyframes]
        decoded = [(jpeg, picture) for jpeg in known if (picture := decode_rgb(jpeg)) is not None]
        stored, pictures = [jpeg for jpeg, _ in decoded], [picture for _, picture in decoded]
    if not pictures:
        return None
    together = settings.layout == "grid" and len(pictures) > 1
    sentence = _shown(len(pictures), together=together, at_s=at_s)
    middle = pictures[len(pictures) // 2]
    return Shown([grid(pictures)], [], sentence, middle) if together else Shown(pictures, stored, sentence, middle)


def ask(shot: Shot, settings: Writer) -> Prompt | None:
    """What is shown and asked about a shot for its texts; None if nothing can be shown."""
    shown = show(shot, settings)
    if shown is None:
        return None
    question = settings.prompt or _question(shot, settings, shown=shown.sentence, middle=shown.middle)
    if settings.fields:
        listed = "\n".join(f"- `{name}`: {what}" for name, what in fields.names(settings).items())
        question = f"{question}\n{prompt_file('keys').format(fields=listed)}"
    return Prompt(shown, question)


def _preview(shot: Shot, most: int) -> tuple[list[float], list[Image.Image]]:
    """Seconds and pictures of at most so many frames of the shot's preview, the first and the last among them."""
    count = min(most, len(shot.preview))
    places = [round(number * (len(shot.preview) - 1) / max(count - 1, 1)) for number in range(count)]
    decoded = [(at_s, decode_rgb(webp)) for at_s, webp in (shot.preview[place] for place in places)]
    return [at_s for at_s, picture in decoded if picture], [picture for _, picture in decoded if picture]


def _question(shot: Shot, settings: Writer, *, shown: str, middle: Image.Image) -> str:
    if not settings.fields:
        return PROMPT.format(shown=shown, language=in_language(settings))
    import numpy as np

    facts = sentence(shot.measures, colours(np.asarray(middle)[:, :, ::-1]))
    return prompt_file("fields").format(shown=shown, facts=facts, language=in_language(settings))


def grid(several: Sequence[Image.Image]) -> Image.Image:
    """Pictures as one: upright ones in a row, others in a column, all as large as the first."""
    from PIL import Image

    width, height = several[0].size
    right, down = (width, 0) if height > width else (0, height)
    last = len(several) - 1
    whole = Image.new("RGB", (width + last * right, height + last * down))
    for number, picture in enumerate(several):
        whole.paste(picture.resize((width, height)), (number * right, number * down))
    return whole


def encode(picture: Image.Image) -> bytes:
    """A picture as JPEG bytes."""
    file = BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


def read(answer: str) -> dict[str, str]:
    """The texts of an answer by kind, `short` and `detailed`; none if it says nothing.

    Labels are found in the lines asked for, in lists, in bold type and in JSON. An answer without labels is one text: a
    short one up to `SHORT_WORDS`, else a detailed one, whose first sentence is the short one if it is short enough.
    What a model thinks aloud before it answers is no caption.
    """
    said = _FENCE.sub("", spoken(answer)).strip()
    texts = _from_json(said) or _from_labels(said) or _unlabelled(said)
    return {kind: text for kind, text in texts.items() if any(letter.isalnum() for letter in text)}


def spoken(answer: str) -> str:
    """An answer without what the model thinks aloud before it."""
    return _THOUGHT.sub("", answer)


def _shown(frames: int, *, together: bool, at_s: Sequence[float]) -> str:
    """The question's first sentence: what is shown, and when that is, if it is known."""
    if frames == 1:
        return "This is a frame of a video clip."
    if together:
        return f"This picture holds {frames} frames of one video clip, in order of time."
    times = f", at {', '.join(f'{one:.1f}' for one in at_s)} seconds" if at_s else ""
    return f"These are {frames} frames of one video clip, in order of time{times}."


def in_language(settings: Writer) -> str:
    """The question's sentence on the language, none for English."""
    return "" if settings.language == "en" else f" Write in the language with the ISO 639 code {settings.language}."


def _from_json(said: str) -> dict[str, str]:
    """Texts of an answer that is a JSON object with a short and a detailed text, or one of them."""
    try:
        fields = json.loads(said)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(fields, Mapping):
        return {}
    lower = {str(key).lower(): value for key, value in fields.items()}
    return {kind: lower[kind] for kind in ("short", "detailed") if isinstance(lower.get(kind), str)}


def _from_labels(said: str) -> dict[str, str]:
    """Texts that follow labels: a short one to its line's end, a detailed one to the next label; the first of each."""
    found = [mark for mark in _LABEL.finditer(said) if mark["any"] or mark["capitals"].isupper()]
    texts: dict[str, str] = {}
    for mark, following in zip_longest(found, found[1:]):
        kind = (mark["any"] or mark["capitals"]).lower()
        text = said[mark.end() : following.start() if following else None].strip(_MARKS)
        texts.setdefault(kind, text.partition("\n")[0].strip(_MARKS) if kind == "short" else text)
    return texts


def _unlabelled(said: str) -> dict[str, str]:
    """One text; its kind, short or detailed, depends on its length; a first line that only announces it is left out."""
    opening, _, rest = said.partition("\n")
    text = rest.strip() if opening.rstrip().endswith(":") and rest.strip() else said
    if _is_short(text):
        return {"short": text}
    first = _SENTENCE.match(text)
    sentence = "" if first is None else first[1] or first[2]
    return {"short": sentence, "detailed": text} if _is_short(sentence) else {"detailed": text}


def _is_short(text: str) -> bool:
    return len(text.split()) <= SHORT_WORDS and len(text) <= SHORT_CHARACTERS
