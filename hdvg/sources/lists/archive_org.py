"""Lists of the Internet Archive by its public interfaces: a search, page by page, and the files of each item.

Known, from the shapes that yt-dlp's archive.org extractor reads: `/metadata/ID` (`metadata`, `files` with `name`, `source`,
`original`, `format`, `length`, `width`, `height`, `private`), and that `/details/ID/FILE` means one file of an item.
Documented by the archive (help/aboutsearch.htm): `/services/search/v1/scrape` (`q`, `fields`, `count` from 100, `cursor`;
answers `items` and, but at the end, `cursor`). Nothing was asked of the archive itself. Assumed: the player shows a file if a format of `PLAYABLE` is among its
files; the archive answers `{}` for an item that is not there.
"""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from yt_dlp.utils import parse_duration

from hdvg.errors import ItemError
from hdvg.sources.folder import LISTED_SUFFIXES
from hdvg.sources.info import seconds
from hdvg.sources.lists.client import ListClient
from hdvg.sources.lists.entries import entry_row, timestamp
from hdvg.sources.lists.entry_file import Entries
from hdvg.sources.lists.filter import Choice, choose_entries

FIELDS = "identifier,title,licenseurl,language,publicdate,creator,uploader"
PAGE = 100
EMPTY_MOST = 3
PLAYABLE = frozenset({".mp4", ".m4v", ".ogv", ".webm"})
"""Files that the player of an item shows, and the extractor takes with all else that was made of the same original."""

Json = dict[str, Any]


def read(client: ListClient, query: str, entries: Entries, *, site: str) -> None:
    """The videos that a query of the archive's search finds: one entry for each original video file of each item.

    An item that a condition drops by what the search says is not asked for its files; its entry is the item's page.
    """
    client.ask_host(f"{site}/details/")
    asked: dict[str, str | int] = {"q": f"({query}) AND mediatype:movies", "fields": FIELDS, "count": PAGE}
    cursors, empty = {entries.cursor}, 0
    while not entries.full:
        page = {"cursor": entries.cursor} if isinstance(entries.cursor, str) else {}
        answer = client.ask_json(f"{site}/services/search/v1/scrape", **asked, **page)
        if answer.get("error"):
            raise ItemError("bad_input", "the archive does not take this query")
        items = [item for item in _dicts(answer.get("items")) if isinstance(item.get("identifier"), str)]
        _take(client, items, entries, site=site)
        cursor, empty = answer.get("cursor"), 0 if items else empty + 1
        if not cursor:
            return
        if not isinstance(cursor, str) or cursor in cursors or empty > EMPTY_MOST:
            raise ItemError("protocol", "the list repeats itself without an end")
        cursors.add(cursor)
        entries.turn(cursor)


def _take(client: ListClient, items: list[Json], entries: Entries, *, site: str) -> None:
    """The entries of one page of items."""
    pages = {f"https://archive.org/details/{_quoted(item['identifier'])}": item for item in items}
    rows = [entry_row(page, _info(item)) for page, item in pages.items()]
    may_pass = {row["url"] for row in choose_entries(rows, Choice(conditions=client.conditions)).rows}
    for page, item in pages.items():
        if entries.full:
            return
        if page not in may_pass:
            entries.add(page, _info(item))
            continue
        found = client.ask_json(f"{site}/metadata/{_quoted(item['identifier'])}")
        more = found.get("metadata")
        of_item = _info(item) | {
            key: value for key, value in _info(more if isinstance(more, dict) else {}).items() if value
        }
        of_files = list(_files(item["identifier"], _dicts(found.get("files"))))
        for link, of_file in of_files:
            entries.add(link, of_item | of_file)
        if not of_files:
            entries.skip("no video file")


def _info(item: Mapping[str, Any]) -> Json:
    """The archive's metadata of an item, as a yt-dlp info dict."""
    creators = item.get("creator")
    return {
        "title": _text(item.get("title")),
        "license": _text(item.get("licenseurl")) or "",
        "language": item.get("language"),
        "timestamp": timestamp(_text(item.get("publicdate")) or _text(item.get("addeddate"))),
        "uploader": _text(item.get("uploader")) or _text(item.get("adder")),
        "creators": creators if isinstance(creators, list) else [creators],
    }


def _files(name: str, files: list[Json]) -> Iterator[tuple[str, Json]]:
    """A link, and its metadata, for each original file of which there is video: by the item's page if its player
    shows it, for there the licence stands, else to the file itself."""
    originals: dict[str, list[Json]] = {}
    for file in files:
        original = file.get("name") if file.get("source") == "original" else file.get("original")
        if isinstance(original, str) and _suffix(file) in LISTED_SUFFIXES and str(file.get("private")) != "true":
            originals.setdefault(original, []).append(file)
    for original, of_it in originals.items():
        largest = max(of_it, key=lambda file: (file["name"] == original, _number(file.get("height"))))
        shown = any(_suffix(file) in PLAYABLE for file in of_it)
        place = (
            f"details/{_quoted(name)}/{_quoted(original)}"
            if shown
            else f"download/{_quoted(name)}/{_quoted(largest['name'])}"
        )
        lengths = [parse_duration(str(file.get("length"))) for file in (largest, *of_it)]
        yield (
            f"https://archive.org/{place}",
            {
                "duration": next((length for length in lengths if seconds(length)), None),
                "height": max(_number(file.get("height")) for file in of_it),
            },
        )


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="/")


def _suffix(file: Json) -> str:
    return os.path.splitext(str(file.get("name")))[1].lower()


def _number(value: object) -> int:
    text = str(value)
    return int(text) if text.isdecimal() and len(text) < 6 else 0


def _text(value: object) -> str | None:
    """The text, or the first of several."""
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, str) else None


def _dicts(value: object) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
