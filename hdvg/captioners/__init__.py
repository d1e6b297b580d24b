"""One file a captioner: shots in, texts out; this file says what a captioner is and finds it by name.

Nothing heavy is imported here: torch, transformers and OpenCV load when a captioner is made.
"""

from __future__ import annotations

import importlib.util
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hdvg.config.caption import Writer
from hdvg.errors import ItemError
from hdvg.keyframes import Shot
from hdvg.registry import Find, Registry

# name -> "module:Class". The module imports nothing heavy at its top; the class has
#   `needs`                 modules it cannot work without -> what people call them
#   `fingerprint(settings)` a static method, see `fingerprint` below
#   `Class(settings)`       a `Captioner`
#   `hears`                 True if its shots are to bring `sound`; it may be left out
CAPTIONERS: dict[str, str] = {
    "tags": "hdvg.captioners.tags:Tags",
    "blip2": "hdvg.captioners.blip2:Blip2",
    "lavis": "hdvg.captioners.lavis:Lavis",
    "title": "hdvg.captioners.title:Title",
    "given": "hdvg.captioners.published:Given",
    "speech": "hdvg.captioners.speech:Speech",
    "whisper": "hdvg.captioners.whisper:Whisper",
    "transcribe": "hdvg.captioners.transcribe:Transcribe",
    "vlm": "hdvg.captioners.vlm:Vlm",
    "openai": "hdvg.captioners.openai:OpenAi",
    "rewrite": "hdvg.captioners.rewrite:Rewrite",
}

CAPTIONER = Registry(
    called="captioner",
    group="hdvg.captioners",
    setting="caption.captioner",
    classes=CAPTIONERS,
    extra="caption",
    methods=("prepare", "write"),
    attributes=("name", "model", "batch"),
    other_values=("none",),
)
"""Where captioners are found; a plug-in's class may do without `needs` and `fingerprint`: its code is its fingerprint."""

MAX_CHARACTERS = 1000
_JOINERS = "\u200c\u200d"  # format characters that Persian, Hindi and emoji need


@dataclass(frozen=True)
class Written:
    """What a captioner wrote for one shot, kind -> text, and the tokens a service counted.

    No usable text is a failure, unless it is `silent`: there is nothing of its kind to say. {"title": ""} says so too.
    `model` is whose text it is where that is not the captioner's own. `language` is that of speech, if it is known.
    `as_is`: people wrote it, in whatever language, and its letters stay as they are. `columns` are what is said of the clip
    field by field, `said_…` of schemas.captions.
    """

    texts: Mapping[str, str]
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    model: str | None = None
    silent: bool = False
    language: str | None = None
    as_is: bool = False
    columns: Mapping[str, Any] = field(default_factory=dict)


class Captioner(Protocol):
    """Writes texts for shots, in two steps, so that no processor waits for the other.

    `model` names the model and ends in a short hash or revision of its content; it stands in every row. `batch` is how
    many shots `write` takes at once; it may change from call to call.
    """

    name: str
    model: str
    batch: int

    def prepare(self, shot: Shot) -> Any:  # Any: what the same captioner's `write` takes
        """What `write` needs of a shot: work for the CPU, done ahead, in any of several threads."""

    def write(self, prepared: Sequence[Any]) -> list[Written | ItemError]:
        """An answer for each prepared shot, in order, the same for any split into batches; `clean` texts.

        No texts where nothing can be seen (no keyframe that decodes). An ItemError is one shot's outcome; one that is
        raised is everyone's.
        """


def load(settings: Writer, *, find: Find = importlib.util.find_spec) -> Captioner:
    """The captioner that `settings` asks for, with its model in memory.

    Raises UsageError on an unknown captioner, a missing package, or a model that cannot be loaded.
    """
    name = settings.captioner
    captioner: Captioner = CAPTIONER.checked(name, CAPTIONER.find(name, find=find)(settings))
    return captioner


def fingerprint(settings: Writer, *, find: Find = importlib.util.find_spec) -> str:
    """16 hex digits that change with the model files, or the plug-in, that shape the text; of ours no torch is imported.

    The other settings (prompt, beams, ...) are not in it. Raises UsageError as `load` does, as far as it can know
    without loading the model.
    """
    return CAPTIONER.fingerprint(settings.captioner, settings, find=find)


def clean(text: str, *, lower_case: bool) -> str:
    """`text` as one line, NFC, without control characters, at most 1000 characters; idempotent.

    `lower_case` writes as HD-VG-130M's captions do: lower case, no final stop.
    """
    spaced = "".join(" " if letter.isspace() else letter for letter in text)
    kept = "".join(letter for letter in spaced if letter in _JOINERS or unicodedata.category(letter)[0] != "C")
    cased = kept.lower() if lower_case else kept
    line = " ".join(unicodedata.normalize("NFC", cased).split())[:MAX_CHARACTERS].rstrip()
    return line.rstrip(" .") if lower_case else line
