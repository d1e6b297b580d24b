"""How a list on a site is written as a source of links."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass
from typing import NoReturn

from hdvg.errors import ItemError, UsageError
from hdvg.sources.canonical import canonical

SITES = {"archive": "https://archive.org", "commons": "https://commons.wikimedia.org"}
"""Where the public interfaces are."""

COLLECTION = re.compile(r"https?://(?:www\.)?archive\.org/details/([\w.-]+)/?", re.ASCII)
CATEGORY = re.compile(r"https?://commons\.wikimedia\.org/wiki/(Category:[^?#]+)", re.IGNORECASE)
YOUTUBE_LIST = re.compile(r"https?://(?:(?:www|m|music)\.)?(?:youtube\.com|youtu\.be)/[^#]*[?&]list=([\w-]+)", re.ASCII)
WOULD_DO = (
    "a list is list:URL (a playlist, channel, search, feed or page with several videos), archive:QUERY, "
    "commons:Category:NAME or commons:WORDS"
)


@dataclass(frozen=True)
class ListSource:
    """A list on a site: what reads it (`readers.READERS`), what is asked, and the address that it starts at."""

    text: str
    kind: str
    query: str

    @property
    def address(self) -> str:
        """An address on the site."""
        return SITES.get(self.kind, self.query)

    @property
    def origin(self) -> str:
        """What is stored of each of its links: the list's address, or the query as it was given."""
        return self.query if self.kind == "list" else re.sub(r"(?i)^list:\s*", "", self.text)


def list_source(text: str) -> ListSource | None:
    """The list that a source of links names (see `WOULD_DO`), None if it names none.

    Without a request nobody knows whether a link leads to one video or many: it is a list if it is written as one.
    Raises UsageError for an empty list or a bad address.
    """
    kind, colon, rest = text.partition(":")
    kind, rest = kind.lower(), rest.strip()
    if colon and kind in SITES:
        return ListSource(text, kind, _category(rest) if rest else _empty(text))
    link = text if kind in {"http", "https"} else rest if kind == "list" else ""
    if found := CATEGORY.fullmatch(link):
        return ListSource(text, "commons", _category(urllib.parse.unquote(found[1]).replace("_", " ")))
    if kind != "list":
        return None
    if found := COLLECTION.fullmatch(link):
        return ListSource(text, "archive", f"collection:{found[1]} OR identifier:{found[1]}")
    if found := YOUTUBE_LIST.match(link):  # else the one video of the link is meant
        link = f"https://www.youtube.com/playlist?list={found[1]}"
    try:
        return ListSource(text, "list", canonical(link, base=None))
    except ItemError as error:
        raise UsageError(f"--links {text[:200]}: {error.detail}; {WOULD_DO}") from None


def _empty(text: str) -> NoReturn:
    raise UsageError(f"--links {text}: nothing is asked for; {WOULD_DO}")


def _category(query: str) -> str:
    return "Category:" + query[9:].strip() if query[:9].lower() == "category:" else query
