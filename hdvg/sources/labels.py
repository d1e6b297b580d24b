"""What a source's fields say of one of its formats: codec, dynamic range, language, and how the site marks it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

CODECS = {
    "av1": r"av0?1",
    "vp9": r"vp0?9",
    "hevc": r"[hx]265|he?vc|hev1|dvh",
    "avc": r"[hx]264|avc",
    "vp8": r"vp0?8",
}
SOUNDS = {"opus": r"opus", "aac": r"aac|mp?4a", "vorbis": r"vorbis|ogg", "mp3": r"mp3", "ac3": r"e-?a?c-?3|ac-?3"}
HDR = {"DV": "Dolby Vision", "HDR10": "HDR10", "HDR10+": "HDR10+", "HDR12": "HDR12", "HLG": "HLG"}
MARKS = {
    "upscaled": r"\bAI-upscaled\b|\bupscaled\b|\bsuper.?resolution\b",
    "premium": r"\bPremium\b",
    "damaged": r"\bDAMAGED\b|\bMISSING POT\b",
}
"""As sites' extractors write them into `format_note`."""

UPSCALED_ID = re.compile(r"\d+-sr\b")
UPSCALED_URL = re.compile(r"xtags[=/][^&/?]*\bsr(=|%3D)1\b", re.IGNORECASE)
DESCRIBED = re.compile(r"descri(bed|ptive|ption)|audio.?deskription|-desc\b|\bAD$", re.IGNORECASE)
DUBBED = re.compile(r"\bdub", re.IGNORECASE)
COMPRESSED = re.compile(r"\bDRC\b|-drc\b")
"""Sound of a reduced dynamic range."""


def number(value: object) -> float | None:
    """A finite number above zero, else None."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0:
        return float(value)
    return None


def codec_rank(vcodec: object, codecs: Sequence[str], *, prefix: str) -> int:
    """More is better: the codecs in order of preference (or what begins with `prefix`), then an unknown one, then others."""
    if vcodec is None:
        return 1
    if not codecs:
        return 2 if str(vcodec).startswith(prefix) else 0
    family = _family(vcodec, CODECS)
    return 1 + len(codecs) - codecs.index(family) if family in codecs else 0


def is_hdr(form: dict[str, Any]) -> bool:
    """Whether the pictures are for an HDR display, as far as the source says."""
    return str(form.get("dynamic_range")) in HDR


def marks(form: dict[str, Any]) -> tuple[str, ...]:
    """`upscaled`, `premium` or `damaged` (also: it may not come), where the site marks a format as such."""
    note = str(form.get("format_note") or "")
    found = [name for name, pattern in MARKS.items() if re.search(pattern, note)]
    named = UPSCALED_ID.match(str(form.get("format_id") or "")) or UPSCALED_URL.search(str(form.get("url") or ""))
    return ("upscaled", *found) if named and "upscaled" not in found else tuple(found)


def track_rank(form: dict[str, Any] | None) -> tuple[Any, ...]:
    """A rank of the sound's track, more is better: no audio description, not dubbed, the original language, the main
    rendition, and no reduced dynamic range."""
    if form is None:
        return ()
    label = " ".join(str(form.get(name) or "") for name in ("format_id", "language", "format_note"))
    preference = form.get("language_preference")
    language = float(preference) if isinstance(preference, int | float) else -1.0
    main = (form.get("source_preference") or 0) > -2
    return (not DESCRIBED.search(label), not DUBBED.search(label), language, main, not COMPRESSED.search(label))


def label(form: dict[str, Any]) -> str:
    """A format in a few words of ours, as `720p avc 30 fps`."""
    rate = number(form.get("fps"))
    height = number(form.get("height"))
    words = [f"{height:g}p" if height else ""]
    words.append((_family(form.get("vcodec"), CODECS) or "unknown codec") if form.get("vcodec") != "none" else "")
    words.append(f"{rate:g} fps" if rate else "")
    words.append(HDR[str(form["dynamic_range"])] if is_hdr(form) else "")
    if form.get("acodec") != "none" and (form.get("acodec") or form.get("vcodec") == "none"):
        sound = _family(form.get("acodec"), SOUNDS) or "sound"
        words.append(sound if form.get("vcodec") == "none" else f"with {sound}")
    words += [f"({mark})" for mark in marks(form)]
    return " ".join(filter(None, words))


def _family(codec: object, families: dict[str, str]) -> str | None:
    return next((name for name, pattern in families.items() if re.match(pattern, str(codec or ""))), None)
