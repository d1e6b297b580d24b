"""What a source says about a video: a fixed row of plain, clean columns, without names of people."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

MAX_CHARS = 1000
INFO_KEYS = (
    "title",
    "licence",
    "uploader_id",
    "upload_date",
    "categories",
    "extractor",
    "format_id",
    "webpage_url",
    "info_duration_s",
    "yt_dlp_version",
)
EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")


def clean_text(value: object) -> str | None:
    """One line of text: NFC, without control, format and surrogate characters, at most 1000 long; None if empty."""
    if value is None:
        return None
    text = unicodedata.normalize("NFC", str(value)[: 4 * MAX_CHARS])
    kept = "".join(" " if char.isspace() else char for char in text if char.isspace() or _shown(char))
    return " ".join(kept.split())[:MAX_CHARS].rstrip() or None


def info_row(said: Mapping[str, Any], *, version: str | None = None) -> dict[str, Any]:
    """The `INFO_KEYS` of a yt-dlp info dict: text or None each, `categories` a list of texts, the duration in seconds.

    Remote text may be any type: a wrong one is turned to text or None, never raised on.
    """
    labels = said.get("categories")
    return {
        "title": clean_text(EMAIL.sub("<email>", str(said.get("title") or "")[: 4 * MAX_CHARS])),
        "licence": clean_text(said.get("license")),
        "uploader_id": clean_text(said.get("channel_id") or said.get("uploader_id")),
        "upload_date": clean_text(said.get("upload_date")),
        "categories": [text for text in map(clean_text, labels[:50]) if text] if isinstance(labels, list) else [],
        "extractor": clean_text(said.get("extractor")),
        "format_id": clean_text(said.get("format_id")),
        "webpage_url": clean_text(said.get("webpage_url")),
        "info_duration_s": seconds(said.get("duration")),
        "yt_dlp_version": version,
    }


def seconds(value: object) -> float | None:
    """A positive, finite number of seconds, else None."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0:
        return float(value)
    return None


def _shown(char: str) -> bool:
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} or char == "\u200d"
