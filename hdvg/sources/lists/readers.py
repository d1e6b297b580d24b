"""What reads a list, and how it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from hdvg.sources.lists import READER
from hdvg.sources.lists.client import ListClient
from hdvg.sources.lists.entry_file import Entries


class Reader(Protocol):
    """Writes entries page by page, from `entries.cursor` on where a list has one; `site` is its host's address."""

    def __call__(self, client: ListClient, query: str, entries: Entries, *, site: str) -> None: ...


def find_reader(name: str) -> Reader:
    """The reader of that name. Raises UsageError if it is a plug-in that cannot be loaded."""
    found = READER.find(name)
    reader: Reader = READER.checked(name, found()).read if READER.is_plugin(name) else found
    return reader


def read_list(client: ListClient, site: str, *, reader: Reader, query: str, most: int) -> None:
    """Read a list into the entries' file of the current folder; raises what yt-dlp raises, or ItemError."""
    entries = Entries(Path.cwd(), most)
    if not entries.full:
        reader(client, query, entries, site=site)
    if entries.full:
        client.end = "most"
