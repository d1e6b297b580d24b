"""What a list on a site says of a video before it is fetched: the columns that a condition may name."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from hdvg.sources.info import clean_text, info_row

MOST_NUMBER = 2**53

ENTRY = pa.schema(
    [
        ("url", pa.string()),
        ("title", pa.string()),
        ("duration_s", pa.float64()),
        ("height", pa.int64()),
        ("licence", pa.string()),
        ("licence_class", pa.string()),
        ("open_licence", pa.bool_()),
        ("upload_date", pa.date32()),
        ("language", pa.string()),
        ("view_count", pa.int64()),
    ]
)
"""What a condition may name. All but `url` are null where the list does not say.

`licence_class` is one of `licence.CLASSES`: `unknown` where the list names licences and gives none for this video. `language`
is an ISO 639-1 code. `height` is the largest that is offered, px.
"""

LANGUAGES = {
    **{"english": "en", "spanish": "es", "french": "fr", "german": "de", "italian": "it", "portuguese": "pt"},
    **{"dutch": "nl", "russian": "ru", "japanese": "ja", "chinese": "zh", "arabic": "ar", "korean": "ko"},
    **{"fre": "fr", "ger": "de", "dut": "nl", "chi": "zh", "cze": "cs", "gre": "el", "per": "fa", "rum": "ro"},
}
"""How the Internet Archive's uploaders write them, beside the codes of ISO 639-1 and 639-2/T."""

Row = dict[str, Any]


def entry_row(url: str, metadata: Mapping[str, Any]) -> Row:
    """The columns of `ENTRY` from what yt-dlp, or a reader in its words, says of a video.

    `license` is "" where a list that names licences gives none. Names of people are masked as in `info_row`.
    """
    info = info_row(metadata)
    named = metadata.get("license") is not None
    return {
        "url": url,
        "title": info["title"],
        "duration_s": info["info_duration_s"],
        "height": _count(metadata.get("height")) or None,
        "licence": info["licence"],
        "licence_class": info["licence_class"] if named else None,
        "open_licence": info["open_licence"] if named else None,
        "upload_date": _date(metadata),
        "language": language_code(metadata.get("language")),
        "view_count": _count(metadata.get("view_count")),
    }


def language_code(value: object) -> str | None:
    """ISO 639-1 code of `en`, `en-GB`, `eng` or `English`; None for what is none of these, or several."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    text = (clean_text(value) or "").lower() if isinstance(value, str) else ""
    first = re.split(r"[-_]", text)[0]
    from yt_dlp.utils import ISO639Utils

    if len(first) == 2 and first.isascii() and first.isalpha():
        return first
    return ISO639Utils.long2short(first) or LANGUAGES.get(text)


def timestamp(text: str | None) -> float | None:
    """Seconds since 1970 of a time as ISO 8601 writes it, UTC if it does not say; None for anything else."""
    try:
        moment = datetime.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _count(value: object) -> int | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_NUMBER:
        return int(value)
    return None


def _date(metadata: Mapping[str, Any]) -> datetime.date | None:
    """The day of upload, UTC."""
    try:
        if re.fullmatch(r"\d{8}", text := str(metadata.get("upload_date"))):
            return datetime.date.fromisoformat(text)
        seconds = metadata.get("timestamp")
        if isinstance(seconds, int | float) and not isinstance(seconds, bool):
            return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date()
    except (ValueError, OverflowError, OSError):
        pass
    return None
