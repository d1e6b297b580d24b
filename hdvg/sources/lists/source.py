"""How a list on a site is written as a source of links."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NoReturn

from hdvg.errors import ItemError, UsageError
from hdvg.sources.canonical import canonical_web
from hdvg.sources.lists import READER

SITES = {"archive": "https://archive.org", "commons": "https://commons.wikimedia.org"}
"""Where the public interfaces are."""

COLLECTION = re.compile(r"https?://(?:www\.)?archive\.org/details/([\w.-]+)/?", re.ASCII)
CATEGORY = re.compile(r"https?://commons\.wikimedia\.org/wiki/(Category:[^?#]+)", re.IGNORECASE)
YOUTUBE_LIST = re.compile(r"https?://(?:(?:www|m|music)\.)?(?:youtube\.com|youtu\.be)/[^#]*[?&]list=([\w-]+)", re.ASCII)
PLUGIN = re.compile(r"([^:]+\.py:[A-Za-z_]\w*|[A-Za-z_][\w.]*:[A-Z]\w*):(.+)", re.ASCII | re.DOTALL)
"""A plug-in's class in a file, or in a package by its capital letter, and the query."""

WOULD_DO = (
    "a list is list:URL (a playlist, channel, search, feed or page with several videos), archive:QUERY, "
    "commons:Category:NAME, commons:WORDS, or a reader of your own: file.py:Class:QUERY"
)


@dataclass(frozen=True)
class ListSource:
    """A list on a site: what reads it, a name in `READER`, what is asked, and the address that it starts at."""

    text: str
    kind: str
    query: str

    @property
    def address(self) -> str:
        """An address on the site."""
        if READER.is_plugin(self.kind):
            return str(READER.find(self.kind).site)
        return SITES.get(self.kind, self.query)

    @property
    def origin(self) -> str:
        """What is stored of each of its links: the list's address, or the query as it was given."""
        if READER.is_plugin(self.kind):
            return f"{READER.reference(self.kind).attribute}:{self.query}"
        return self.query if self.kind == "list" else re.sub(r"(?i)^list:\s*", "", self.text)


def as_lists(links: Iterable[str], *, because: str) -> tuple[str, ...]:
    """The sources of links, in which any http(s) link stands for a list, `because` of an option that is about lists.

    Raises UsageError if one is no list, or there is none.
    """
    taken = tuple(f"list:{text}" if text.lower().startswith(("http://", "https://")) else text for text in links)
    strangers = [text for text in taken if list_source(text) is None]
    if strangers or not taken:
        other = f"{strangers[0]} is none" if strangers else "there is no --links"
        raise UsageError(f"{because} is about lists on sites, and {other}; {WOULD_DO}")
    return taken


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
        return _plugin(text)
    if found := COLLECTION.fullmatch(link):
        return ListSource(text, "archive", f"collection:{found[1]} OR identifier:{found[1]}")
    if found := YOUTUBE_LIST.match(link):  # else the one video of the link is meant
        link = f"https://www.youtube.com/playlist?list={found[1]}"
    try:
        return ListSource(text, "list", canonical_web(link))
    except ItemError as error:
        raise UsageError(f"--links {text[:200]}: {error.detail}; {WOULD_DO}") from None


def _plugin(text: str) -> ListSource | None:
    """The list of a plug-in: `file.py:Class:QUERY`, `package.module:Class:QUERY`, or an entry point's name and a query."""
    name, _, query = text.partition(":")
    if found := PLUGIN.fullmatch(text):
        name, query = found.groups()
    elif not READER.is_plugin(name) or name not in READER.names():
        return None
    reference = READER.reference(name)
    full = replace(reference, where=str(reference.path.absolute())) if reference.is_file else reference
    return ListSource(text, str(full), query.strip()) if query.strip() else _empty(text)


def _empty(text: str) -> NoReturn:
    raise UsageError(f"--links {text}: nothing is asked for; {WOULD_DO}")


def _category(query: str) -> str:
    return "Category:" + query[9:].strip() if query[:9].lower() == "category:" else query
