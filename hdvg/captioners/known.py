"""Fields of a clip that no model need be asked for: what a classifier names and what was measured, as `fields` has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hdvg.captioners.facts import number
from hdvg.captioners.fields import CAMERA
from hdvg.captioners.phrases import BRIGHT, DARK


def known(subject: str, measures: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a clip with this subject, "" for none; of the other fields nothing is known, and they stay null."""
    return {
        "said_subject": subject or None,
        "said_light": _light(measures),
        "said_camera": _camera(measures.get("camera_moves") or ""),
        "said_text": measures.get("text_written") or None,
        "said_how": "measured",
    }


def _light(measures: Mapping[str, Any]) -> str | None:
    luma = number(measures, "luma_mean")
    if luma is None or DARK <= luma < BRIGHT:
        return None
    return "dark" if luma < DARK else "bright"


def _camera(moves: str) -> str | None:
    """The strongest move, in the words of the field: a roll has no side there."""
    first = moves.partition(", ")[0]
    return next((word for word in CAMERA if first.startswith(word)), None) if first else None
