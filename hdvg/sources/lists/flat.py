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

Json = dict[str, Any]


def read(client: ListClient, query: str, entries: Entries, *, site: str) -> None:
    """The entries of the list at the address `query`, from its start; `client.end` says "video" if it is none."""
    entries.rewind()
    client.ask_host(query)
    info = _follow(client, {"_type": "url", "url": query})
    if info.get("_type") not in LISTS:
        client.end = "video"
        return
    Walk(client, entries).take(info, depth=1)


def _follow(client: ListClient, info: Json) -> Json:
    """What stands behind a link, asked for without its videos."""
    for _ in range(HOPS):
        if info.get("_type") not in {"url", "url_transparent"}:
            return info
        found = client.extract_info(info["url"], download=False, ie_key=info.get("ie_key"), process=False)
        info = dict(found or {"_type": "playlist", "entries": []})
    raise ItemError("redirect", f"over {HOPS} pages lead from one to the next")


class Walk:
    """One way through a list and the lists in it."""

    def __init__(self, client: ListClient, entries: Entries) -> None:
        self._client = client
        self._entries = entries
        self._of_videos: set[str] = set()
        """Extractors of lists and videos whose entries, here, turned out to be videos."""

    def take(self, info: Json, *, depth: int) -> None:
        """The entries of a list, and of the lists in it."""
        for _, entry in PlaylistEntries(self._client, info).get_requested_items():
            if self._entries.full:
                return
            if not entry:
                self._entries.skip("no link")
            elif inner := self._inner(entry, info) if depth < DEPTH else None:
                self.take(inner, depth=depth + 1)
            elif entry.get("live_status") in LIVE or entry.get("is_live"):
                self._entries.skip("live")
            else:
                self._entries.add(self._link(entry, info) or "", entry)

    def _inner(self, entry: Json, info: Json) -> Json | None:
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
        if single or (single is None and key != info.get("extractor_key")):
            return None
        self._client.ask_host(entry["url"])
        found = _follow(self._client, entry)
        if found.get("_type") in LISTS:
            return found
        self._of_videos.add(key)
        return None

    def _link(self, entry: Json, info: Json) -> str | None:
        """The link of one video: its page, or its file where a page of no known site shows several."""
        if entry.get("_type") in {"url", "url_transparent"}:
            url = unsmuggle_url(entry["url"])[0]
        else:
            url = entry.get("webpage_url")
            if url in (None, info.get("webpage_url")):
                url = self._file(entry) if str(info.get("extractor")) in PLAIN else None
        return urllib.parse.urljoin(str(info.get("webpage_url") or ""), url) if url else None

    def _file(self, entry: Json) -> str | None:
        formats = entry.get("formats") or [entry]
        known = [{"protocol": urllib.parse.urlsplit(str(form.get("url"))).scheme, **form} for form in formats]
        try:
            return str(self._client.choose_format(known)["url"])
        except ItemError:  # only sound, or a protocol that is not spoken
            return None
