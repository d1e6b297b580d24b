"""The text that a published set gives for a clip, with the set as its model; of clips without one, nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from hdvg.captioners import Written, clean
from hdvg.captioners.language import words
from hdvg.config.caption import Writer
from hdvg.errors import UsageError
from hdvg.ids import digest
from hdvg.keyframes import Shot

VERSION = 1
"""Raise it when code changes the texts."""

BATCH = 256

MOST_SHORT_WORDS = 30
"""HD-VG-130M's longest caption has 30 words; OpenVid-1M's have 127 in the mean. Ours to choose."""


class Given:
    """No model, and no keyframe is looked at."""

    name = "given"
    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(self, settings: Writer) -> None:
        self._hash = self.fingerprint(settings)[:8]
        self.model = f"published {self._hash}"
        self.batch = settings.batch or BATCH

    @staticmethod
    def fingerprint(settings: Writer) -> str:
        """See `hdvg.captioners.fingerprint`; raises UsageError if `caption.model` is set, as there is none."""
        if settings.model is not None:
            raise UsageError(f"caption.model = {settings.model!r}: captioner `given` has no model; leave it out")
        return digest("given", VERSION)[:16]

    def prepare(self, shot: Shot) -> Written:
        """The text, on one line and in its own letters: `short` up to 30 words, else `detailed`."""
        given, origin = shot.measures.get("given_caption"), shot.measures.get("given_origin")
        text = clean(given, lower_case=False) if isinstance(given, str) else ""
        kind = "short" if words(text) <= MOST_SHORT_WORDS else "detailed"
        return Written({kind: text}, model=f"{origin} {self._hash}", silent=not text, as_is=True)

    def write(self, prepared: Sequence[Written]) -> list[Written]:
        """See `Captioner.write`."""
        return list(prepared)
