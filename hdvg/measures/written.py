"""What is written in a clip's pictures: its keyframes' lines of text, read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, ClassVar

from hdvg.config.sections import Measure
from hdvg.ids import digest, file_sha256
from hdvg.keyframes import Shot
from hdvg.measures import textlines
from hdvg.measures.text import Text
from hdvg.measures.textlines import Line, Reader, script_of
from hdvg.networks.files import short_hash
from hdvg.networks.pictures import keyframes

VERSION = 1
"""Raise it when code changes what is read."""

ALIKE = 0.8
"""Lines of two keyframes that share so much are the same line, read twice: the surer reading stays."""

Row = dict[str, Any]


class Written:
    """See schemas.measures.WRITTEN for the columns; measure.read_min_confidence says which lines count."""

    needs: ClassVar[Mapping[str, str]] = Text.needs
    columns: ClassVar[tuple[str, ...]] = (
        "text_written", "text_script", "text_confidence", "written_model"
    )  # fmt: skip

    def __init__(self, settings: Measure) -> None:
        text = Text(settings)
        self.model = f"{text.model} PP-OCRv6-rec-small@{short_hash(textlines.weights())}"
        self._detector, self._reader, self._least = text.detector, Reader(), settings.read_min_confidence
        self._reader.characters  # noqa: B018 - load it now: what is wrong with it is said before the work begins

    @staticmethod
    def fingerprint(settings: Measure) -> str:
        """16 hex digits of both networks' weights and of the settings that shape what is read. Raises UsageError as `Text`'s."""
        parts = Text.fingerprint(settings), file_sha256(textlines.weights()), settings.read_min_confidence
        return digest("written", VERSION, *parts)[:16]

    def measure(self, wanted: Sequence[Shot], others: Sequence[Shot]) -> list[Row]:
        """One row a wanted shot, in order; `others` do not matter."""
        return [self._measure(shot) for shot in wanted]

    def _measure(self, shot: Shot) -> Row:
        pictures = keyframes(shot)
        if not pictures:
            return dict.fromkeys(self.columns) | {"written_model": self.model}
        lines: list[Line] = []
        for picture in pictures:
            (boxes,) = self._detector.find([picture])
            for line in self._reader.read(picture, boxes):
                if line.confidence >= self._least:
                    _add(lines, line)
        letters = sum(len(line.text) for line in lines)
        text = "\n".join(line.text for line in lines)
        return {
            "text_written": text,
            "text_script": script_of(text),
            "text_confidence": sum(len(one.text) * one.confidence for one in lines) / letters if letters else None,
            "written_model": self.model,
        }


def _add(lines: list[Line], line: Line) -> None:
    """Note a line, unless it is there; of two readings the surer one stays."""
    for number, other in enumerate(lines):
        if SequenceMatcher(None, line.text, other.text, autojunk=False).ratio() >= ALIKE:
            lines[number] = max(line, other, key=lambda one: one.confidence)
            return
    lines.append(line)
