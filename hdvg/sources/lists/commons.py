"""Lists of Wikimedia Commons by its public interface: the videos of a category, or those that a search finds.

Known, from the shapes that yt-dlp's Wikimedia extractor reads: `prop=videoinfo` with `viprop` and its answer (`url`, `width`,
`height`, `duration`, `timestamp`, `user`, `extmetadata`). Documented by MediaWiki: the generators `categorymembers` and `search`,
`continue`, `mediatype`, `maxlag` and its error (status 200, Retry-After). Nothing was asked of Commons itself. Assumed:
`mediatype` is `VIDEO` for what has pictures, and that robots.txt closes `/w/` to crawlers of pages, while programs are to ask
`/w/api.php`, under a name of their own, one request at a time: heeded is what it says of the pages that are listed.
"""

from __future__ import annotations

import json
import os
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from yt_dlp.utils import clean_html

from hdvg.errors import ItemError, TransientError
from hdvg.sources.folder import LISTED_SUFFIXES
from hdvg.sources.lists.client import ListClient
from hdvg.sources.lists.entries import timestamp
from hdvg.sources.lists.entry_file import Entries

PAGE = 50
FILES = 6
"""The name space of files."""

ASKED: dict[str, str | int] = {
    **{"action": "query", "format": "json", "formatversion": 2, "maxlag": 5, "prop": "videoinfo"},
    "viprop": "url|size|mediatype|timestamp|user|extmetadata",
    "viextmetadatafilter": "ObjectName|UsageTerms|LicenseShortName|LicenseUrl|Artist",
    "viextmetadatalanguage": "en",
}
BUSY = frozenset({"maxlag", "ratelimited", "readonly"})

Json = dict[str, Any]


def read(client: ListClient, query: str, entries: Entries, *, site: str) -> None:
    """The videos in `Category:NAME`, without its subcategories, or else those that a search finds, best first."""
    client.ask_host(f"{site}/wiki/{urllib.parse.quote(query if _is_category(query) else 'File:', safe=':')}")
    asked = {**ASKED, **_generator(query)}
    pages = {json.dumps(entries.cursor)}
    while not entries.full:
        more = entries.cursor if isinstance(entries.cursor, dict) else {}
        answer = client.ask_json(f"{site}/w/api.php", **asked, **more)
        _refuse_error(answer, client.retry_after_s)
        _take(answer, entries)
        cursor = answer.get("continue")
        if not cursor:
            return
        if not _is_cursor(cursor) or json.dumps(cursor) in pages:
            raise ItemError("protocol", "the list repeats itself without an end")
        pages.add(json.dumps(cursor))
        entries.turn(cursor)


def _is_category(query: str) -> bool:
    return query.startswith("Category:")


def _generator(query: str) -> dict[str, str | int]:
    if _is_category(query):
        return {"generator": "categorymembers", "gcmtitle": query, "gcmtype": "file", "gcmlimit": PAGE}
    return {"generator": "search", "gsrsearch": f"filetype:video {query}", "gsrnamespace": FILES, "gsrlimit": PAGE}


def _is_cursor(cursor: object) -> bool:
    return isinstance(cursor, dict) and all(isinstance(value, str | int) for value in cursor.values())


def _refuse_error(answer: Json, wait_s: float | None) -> None:
    error = answer.get("error")
    if not isinstance(error, dict):
        return
    code = str(error.get("code"))[:100]
    if code in BUSY:
        raise TransientError("throttled", f"Commons is busy: {code}", retry_after_s=wait_s)
    raise ItemError("bad_input", f"Commons does not take this query: {code}")


def _pages(answer: Json) -> Iterator[Json]:
    """The files of an answer that say what they are, the best found first; the others come with the next one."""
    query = answer.get("query")
    pages = query.get("pages") if isinstance(query, dict) else None
    found = [page for page in pages if isinstance(page, dict)] if isinstance(pages, list) else []
    for page in sorted(found, key=lambda page: page["index"] if isinstance(page.get("index"), int) else 0):
        info = page.get("videoinfo")
        if isinstance(info, list) and info and isinstance(info[0], dict) and isinstance(page.get("title"), str):
            yield info[0] | {"title": page["title"]}


def _take(answer: Json, entries: Entries) -> None:
    """The videos of one answer."""
    for file in _pages(answer):
        if not entries.full:
            _take_file(file, entries)


def _take_file(file: Json, entries: Entries) -> None:
    name, suffix = os.path.splitext(file["title"])
    if file.get("mediatype") != "VIDEO" and suffix.lower() not in LISTED_SUFFIXES:
        return  # a category holds pictures and sounds as well
    page = urllib.parse.quote(file["title"].replace(" ", "_"), safe=":")
    about = file["extmetadata"] if isinstance(file.get("extmetadata"), dict) else {}
    entries.add(
        f"https://commons.wikimedia.org/wiki/{page}",
        {
            "title": _value(about, "ObjectName") or name.partition(":")[2],
            "license": next(
                filter(None, (_value(about, key) for key in ("UsageTerms", "LicenseShortName", "LicenseUrl"))), ""
            ),
            "duration": file.get("duration"),
            "height": file.get("height"),
            "timestamp": timestamp(str(file.get("timestamp"))),
            "uploader": file.get("user"),
            "artist": _value(about, "Artist"),
        },
    )


def _value(about: Mapping[str, Any], key: str) -> str | None:
    """The plain text of a field of `extmetadata`, which is HTML."""
    field = about.get(key)
    value = field.get("value") if isinstance(field, dict) else None
    return clean_html(value) if isinstance(value, str) else None
