"""Which reader lists what."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from hdvg.sources.lists import archive_org, commons, flat
from hdvg.sources.lists.client import ListClient
from hdvg.sources.lists.entry_file import Entries


class Reader(Protocol):
    """Writes entries page by page, from `entries.cursor` on where a list has one; `site` is its host's address."""

    def __call__(self, client: ListClient, query: str, entries: Entries, *, site: str) -> None: ...


READERS: dict[str, Reader] = {"list": flat.read, "archive": archive_org.read, "commons": commons.read}
"""Kind of list (`source.ListSource`) -> its reader. A new kind is a reader here and its spelling in `source.list_source`."""


def read_list(client: ListClient, site: str, *, kind: str, query: str, most: int) -> None:
    """Read a list into the entries' file of the current folder; raises what yt-dlp raises, or ItemError."""
    entries = Entries(Path.cwd(), most)
    if not entries.full:
        READERS[kind](client, query, entries, site=site)
    if entries.full:
        client.end = "most"
