"""Keyframe measures: stored keyframes, or a clip's sound, in, numbers out; this file says what one is and finds it by name.

Nothing heavy is imported here: networks load when a measure is made.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any, Protocol

from hdvg.config.sections import Measure
from hdvg.keyframes import Shot
from hdvg.registry import Find, Registry

# name -> "module:Class", the cheapest first. The module imports nothing heavy at its top; the class has
#   `needs`                 modules it cannot work without -> what people call them
#   `fingerprint(settings)` a static method, see `fingerprint` below
#   `Class(settings)`       a `KeyframeMeasure`
KEYFRAME_MEASURES: dict[str, str] = {
    "watermark": "hdvg.measures.watermark:Watermark",
    "nsfw": "hdvg.measures.nsfw:Nsfw",
    "speech": "hdvg.measures.speech:Speech",
    "text": "hdvg.measures.text:Text",
    "clean": "hdvg.measures.clean:Clean",
    "written": "hdvg.measures.written:Written",
    "semantics": "hdvg.measures.semantics:Semantics",
    "aesthetic": "hdvg.measures.aesthetic:Aesthetic",
    "classifier": "hdvg.measures.classifier:Classifier",
}

KEYFRAME_MEASURE = Registry(
    called="measure", group="", setting="measure.also", classes=KEYFRAME_MEASURES, extra="measure"
)

TYPICAL_MS: dict[str, float] = {
    "watermark": 18,
    "nsfw": 41,
    "speech": 60,
    "text": 128,
    "clean": 150,
    "written": 250,
    "semantics": 270,
    "aesthetic": 400,
    "classifier": 400,
}
"""CPU time per clip of each, ms, by tests/bench/bench_measures.py: the first order of a new dataset."""

ON_CPU = frozenset({"watermark", "speech"})
"""Measures without a network, or with one so small that no GPU helps it."""

OF_SOUND = frozenset({"speech"})
"""Measures whose shots bring `sound`, and no keyframes."""


class KeyframeMeasure(Protocol):
    """Computes numbers of clips from their keyframes. `model` names the method or network and a hash of its weights."""

    columns: tuple[str, ...]
    model: str

    def measure(self, wanted: Sequence[Shot], others: Sequence[Shot]) -> list[dict[str, Any]]:
        """A value for each of `columns` for every wanted shot, in order; None where it cannot be known.

        `others` are further clips of the same video, which need no answer but may be evidence.
        """


def load(name: str, settings: Measure, *, find: Find = importlib.util.find_spec) -> KeyframeMeasure:
    """The measure of that name, with its model in memory.

    Raises UsageError on a missing package, or a model that cannot be loaded.
    """
    measure: KeyframeMeasure = KEYFRAME_MEASURE.find(name, find=find)(settings)
    return measure


def fingerprint(name: str, settings: Measure, *, find: Find = importlib.util.find_spec) -> str:
    """16 hex digits that change with the model files and the settings that shape the numbers; no network is loaded.

    Raises UsageError as `load` does, as far as it can know.
    """
    return KEYFRAME_MEASURE.fingerprint(name, settings, find=find)
