"""Lists of any site that yt-dlp knows, flat: playlists, channels, searches, feeds, and pages with several videos."""

from __future__ import annotations

import urllib.parse
from typing import Any

from yt_dlp.utils import PlaylistEntries, unsmuggle_url

from hdvg.errors import ItemError
from hdvg.sources.client import LIVE, PLAIN
from hdvg.sources.lists.client import ListClient
from hdvg.sources.lists.entry_file import Entries

DEPTH = 3  # of lists in lists: a channel's tabs, a series' seasons
HOPS = 5
LISTS = frozenset({"playlist", "multi_video", "compat_list"})

Said = dict[str, Any]


def read(client: ListClient, query: str, entries: Entries, *, site: str) -> None:
    """The entries of the list at the address `query`, from its start; `client.end` says "video" if it is none."""
    entries.rewind()
    client.ask_host(query)
    said = _follow(client, {"_type": "url", "url": query})
    if said.get("_type") not in LISTS:
        client.end = "video"
        return
    Walk(client, entries).take(said, depth=1)


def _follow(client: ListClient, said: Said) -> Said:
    """What stands behind a link, asked for without its videos."""
    for _ in range(HOPS):
        if said.get("_type") not in {"url", "url_transparent"}:
            return said
        found = client.extract_info(said["url"], download=False, ie_key=said.get("ie_key"), process=False)
        said = dict(found or {"_type": "playlist", "entries": []})
    raise ItemError("redirect", f"over {HOPS} pages lead from one to the next")


class Walk:
    """One way through a list and the lists in it."""

    def __init__(self, client: ListClient, entries: Entries) -> None:
        self._client = client
        self._entries = entries
        self._of_videos: set[str] = set()
        """Extractors of lists and videos whose entries, here, turned out to be videos."""

    def take(self, said: Said, *, depth: int) -> None:
        """The entries of a list, and of the lists in it."""
        for _, entry in PlaylistEntries(self._client, said).get_requested_items():
            if self._entries.full:
                return
            if not entry:
                self._entries.skip("no link")
            elif inner := self._inner(entry, said) if depth < DEPTH else None:
                self.take(inner, depth=depth + 1)
            elif entry.get("live_status") in LIVE or entry.get("is_live"):
                self._entries.skip("live")
            else:
                self._entries.add(self._link(entry, said) or "", entry)

    def _inner(self, entry: Said, said: Said) -> Said | None:
        """The list that an entry is, asked for if need be; None if it is a video.

        An extractor of nothing but lists says so. One of both is believed to give lists in a list of its own, such as a
        channel's tabs, until it gives a video.
        """
        if entry.get("_type") in LISTS:
            return entry
        key = entry.get("ie_key")
        if entry.get("_type") != "url" or not key or key in self._of_videos or entry.get("duration") is not None:
            return None
        single = self._client.get_info_extractor(key).is_single_video(entry["url"])
        if single or (single is None and key != said.get("extractor_key")):
            return None
        self._client.ask_host(entry["url"])
        found = _follow(self._client, entry)
        if found.get("_type") in LISTS:
            return found
        self._of_videos.add(key)
        return None

    def _link(self, entry: Said, said: Said) -> str | None:
        """The link of one video: its page, or its file where a page of no known site shows several."""
        if entry.get("_type") in {"url", "url_transparent"}:
            url = unsmuggle_url(entry["url"])[0]
        else:
            url = entry.get("webpage_url")
            if url in (None, said.get("webpage_url")):
                url = self._file(entry) if str(said.get("extractor")) in PLAIN else None
        return urllib.parse.urljoin(str(said.get("webpage_url") or ""), url) if url else None

    def _file(self, entry: Said) -> str | None:
        formats = entry.get("formats") or [entry]
        known = [{"protocol": urllib.parse.urlsplit(str(form.get("url"))).scheme, **form} for form in formats]
        try:
            return str(self._client.choose_format(known)["url"])
        except ItemError:  # only sound, or a protocol that is not spoken
            return None
