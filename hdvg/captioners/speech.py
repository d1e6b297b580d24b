"""What is said in a clip, by the subtitles that came with its video; of clips in which nothing is said, nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from hdvg.captioners import Written, clean
from hdvg.config.caption import Writer
from hdvg.errors import UsageError
from hdvg.ids import digest
from hdvg.keyframes import Shot
from schemas.captions import SPEECH

VERSION = 1
"""Raise it when code changes the texts."""

BATCH = 256

UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
WORD = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")
"""A word, or a letter of a script that parts no words by spaces."""


class Speech:
    """No model, and no keyframe is looked at."""

    name = "speech"
    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(self, settings: Writer) -> None:
        self._hash = self.fingerprint(settings)[:8]
        self.model = f"subtitles {self._hash}"
        self.batch = settings.batch or BATCH
        self._lower_case = settings.lower_case

    @staticmethod
    def fingerprint(settings: Writer) -> str:
        """See `hdvg.captioners.fingerprint`; raises UsageError if `caption.model` is set, as there is none."""
        if settings.model is not None:
            raise UsageError(f"caption.model = {settings.model!r}: captioner `speech` has no model; leave it out")
        return digest("speech", VERSION)[:16]

    def prepare(self, shot: Shot) -> Written:
        """The words that begin within the clip; `model` names the subtitles' origin and site."""
        measures = shot.measures
        lines = measures.get("spoken") or []
        said = " ".join(filter(None, (cut_line(line, measures["start_s"], measures["end_s"]) for line in lines)))
        text = clean(said, lower_case=self._lower_case)
        language = measures.get("subtitles_language")
        return Written(
            {SPEECH: text},
            model=f"{measures['subtitles_origin']} {measures['extractor']} {self._hash}" if text else None,
            silent=not text,
            language=language.partition("-")[0] if language else None,
        )

    def write(self, prepared: Sequence[Written]) -> list[Written]:
        """See `Captioner.write`."""
        return list(prepared)


def cut_line(line: Mapping[str, Any], start_s: float, end_s: float) -> str:
    """The words of a line of subtitles that begin in [start_s, end_s), on the line's own clock.

    A word begins when the line says (`word_starts_s`), else where its first letter stands in the line, in proportion.
    """
    text: str = line["text"]
    if start_s <= line["start_s"] and line["end_s"] <= end_s:
        return text
    kept = [word for word, word_s in _words(line) if start_s <= word_s < end_s]
    return text[kept[0].start() : kept[-1].end()] if kept else ""


def _words(line: Mapping[str, Any]) -> Iterator[tuple[re.Match[str], float]]:
    """Each word, and when it begins."""
    text, start_s, known = line["text"], line["start_s"], line["word_starts_s"]
    if known:
        return zip(re.finditer(r"\S+", text), known, strict=True)
    per_letter_s = (line["end_s"] - start_s) / len(text)
    return ((word, start_s + word.start() * per_letter_s) for word in WORD.finditer(text))
