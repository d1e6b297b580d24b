"""What a source says about a video: a fixed row of plain, clean columns, without names of people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hdvg.sources.calls import Beside, Info
from hdvg.sources.licence import licence_class, open_licence
from hdvg.sources.people import People, clean, opaque_id

MAX_CHARS = 1000
NOTHING_BESIDE: Beside = {
    "language": None,
    "chapters": None,
    "subtitles": None,
    "subtitles_language": None,
    "subtitles_origin": None,
    "subtitles_note": None,
}
BESIDE_KEYS = tuple(NOTHING_BESIDE)
"""What `subtitles.beside` finds besides a video."""

INFO_KEYS = (
    "title",
    "licence",
    "licence_class",
    "open_licence",
    "uploader_id",
    "upload_date",
    "categories",
    "extractor",
    "format_id",
    "webpage_url",
    "info_duration_s",
    "yt_dlp_version",
    *BESIDE_KEYS,
)


def clean_text(value: object) -> str | None:
    """One line of text: NFC, without control, format and surrogate characters, at most 1000 long; None if empty."""
    if value is None:
        return None
    return clean(value, most=4 * MAX_CHARS)[:MAX_CHARS].rstrip() or None


def info_row(info: Mapping[str, Any], *, version: str | None = None) -> Info:
    """The `INFO_KEYS` of a yt-dlp info dict: text or None each, `categories` a list of texts, the duration in seconds;
    the `BESIDE_KEYS` are None.

    Names of who made or uploaded it, and e-mail addresses, are masked wherever they stand. Remote text may be any type:
    a wrong one is turned to text or None, never raised on.
    """
    people = People(info)

    def text(value: object) -> str | None:
        return people.mask(clean(value, most=4 * MAX_CHARS))[:MAX_CHARS].rstrip() or None if value is not None else None

    labels = info.get("categories")
    licence = licence_class(clean_text(info.get("license")))
    page = clean_text(info.get("webpage_url"))
    return {
        "title": text(info.get("title")),
        "licence": text(info.get("license")),
        "licence_class": licence,
        "open_licence": open_licence(licence),
        "uploader_id": opaque_id(info.get("extractor"), info.get("channel_id") or info.get("uploader_id")),
        "upload_date": text(info.get("upload_date")),
        "categories": [label for label in map(text, labels[:50]) if label] if isinstance(labels, list) else [],
        "extractor": clean_text(info.get("extractor")),
        "format_id": text(info.get("format_id")),
        "webpage_url": _page(people, page) if page else None,
        "info_duration_s": seconds(info.get("duration")),
        "yt_dlp_version": version,
        **NOTHING_BESIDE,
    }


def _page(people: People, url: str) -> str | None:
    try:
        return people.mask_url(url)
    except ValueError:  # no address
        return None


def seconds(value: object) -> float | None:
    """A positive, finite number of seconds, else None."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0:
        return float(value)
    return None
