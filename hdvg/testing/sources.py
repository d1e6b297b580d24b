"""What every reader of links keeps: lists on sites page by page, and published sets entry by entry."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hdvg.errors import TransientError
from hdvg.published.entries import SCENE, Bad, Entry, Source
from hdvg.published.sets import find_set
from hdvg.sources.lists import READER
from hdvg.sources.lists.client import ListClient
from hdvg.sources.lists.entry_file import FILE, Entries, read_entries
from hdvg.sources.lists.readers import find_reader

MOST = 1000


class _Pages:
    """Answers a reader with pages that were written down; it asks nobody."""

    def __init__(self, pages: Sequence[dict[str, Any]]) -> None:
        self.pages = list(pages)
        self.asked: list[str] = []
        self.end, self.conditions, self.retry_after_s = "whole", (), None

    def ask_host(self, url: str) -> None:
        """Every host allows."""

    def ask_json(self, url: str, **query: str | int) -> dict[str, Any]:
        """The next page."""
        self.asked.append(url)
        if len(self.asked) > len(self.pages):
            raise TransientError("network", "the list breaks off")
        return self.pages[len(self.asked) - 1]


def check_list_reader(name: str, query: str, pages: Sequence[dict[str, Any]]) -> None:
    """Check the reader of that name, which asks for JSON, on a list's answers: all pages, the last of which ends it.

    A list that breaks off behind its first page goes on with its second, and one that is long enough is read no further.
    """
    reader, site = find_reader(name), str(getattr(READER.find(name), "site", "https://example.org"))

    def read(folder: Path, answers: Sequence[dict[str, Any]], most: int = MOST) -> tuple[list[str], _Pages]:
        client, entries = _Pages(answers), Entries(folder, most)
        with contextlib.suppress(TransientError):
            reader(cast(ListClient, client), query, entries, site=site)
        return [row["url"] for row in read_entries(folder / FILE).rows], client

    with (
        tempfile.TemporaryDirectory() as whole,
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as cut,
    ):
        links, client = read(Path(whole), pages)
        assert links, "the answers hold entries, and none was added with entries.add(link, said)"
        assert len(client.asked) == len(pages), f"{len(client.asked)} of {len(pages)} pages were asked for"
        first, client = read(Path(one), pages, most=1)
        assert first == links[:1], f"one entry was wanted, {len(first)} were read"
        assert len(client.asked) == 1, "pages are asked for though `entries.full` says that it is enough"
        if len(pages) > 1:
            _check_resume(read, Path(cut), pages, links)


def _check_resume(read: Any, folder: Path, pages: Sequence[dict[str, Any]], links: list[str]) -> None:
    read(folder, pages[:1])  # and breaks off
    cursor = read_entries(folder / FILE).cursor
    assert cursor is not None, "entries.turn(cursor) says after each page where the next one begins"
    assert json.loads(json.dumps(cursor)) == cursor, "a cursor is JSON"
    assert read(folder, pages[1:])[0] == links, "a list that broke off does not go on at `entries.cursor`"


def check_published_set(name: str, file: str | Path, *, entries: int) -> None:
    """Check the set of that name on a file of metadata, of which so many entries are good."""
    published = find_set(name)
    found = list(published.read(Source(Path(file))))
    good = [one for one in found if one.link]
    assert len(good) == entries, f"{len(good)} entries with a link, {entries} were expected"
    assert found == list(published.read(Source(Path(file)))), "the file gives other entries the second time"
    assert [one.number for one in found] == sorted({one.number for one in found}), "`number` counts the entries"
    for one in found:
        assert isinstance(one, Entry), f"{one!r} is no hdvg.published.entries.Entry"
        assert one.link or one.why, f"entry {one.number} has no link and does not say why"
        for scene in one.scenes:
            fits = isinstance(scene, Bad) or len(scene) == len(SCENE)
            assert fits, f"entry {one.number}: a scene is Bad or a tuple of {', '.join(SCENE)}; not {scene!r}"
