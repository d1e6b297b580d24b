"""The client that lists: page after page of a list on a site, one request at a time, and no video."""

from __future__ import annotations

import json
import math
import time
import urllib.parse
from http import HTTPStatus
from typing import Any

import yt_dlp
from yt_dlp.networking import Request
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import update_url_query

from hdvg.config.fetch import Fetch, host_settings
from hdvg.environment import VERSION
from hdvg.errors import ItemError, TransientError
from hdvg.sources.calls import FetchSettings
from hdvg.sources.client import Client
from hdvg.sources.failures import retry_after_s
from hdvg.sources.formats import Preferences, choose

AGENT = f"hdvg/{VERSION} (lists openly licensed video; Python yt-dlp/{yt_dlp.version.__version__})"
"""The user agent for public interfaces: a browser's name is refused there."""

PAGES = 200  # requests for any list
TOTAL_BYTES = 2**31  # of all pages together
Json = dict[str, Any]


class ListClient(Client):
    """A YoutubeDL that lists instead of fetching; `end` says how a list ended: "whole", "most" or "video" (it is none)."""

    def __init__(self, settings: FetchSettings, refused: list[str], *, most: int, conditions: list[str]) -> None:
        super().__init__(settings, refused, noplaylist=False, playlist_items=None, extract_flat=True)
        self.conditions = tuple(conditions)
        self.end = "whole"
        self.retry_after_s: float | None = None
        self.max_pages = PAGES + 2 * most
        self._total = 0
        self._last_s = -math.inf

    def ask_host(self, url: str) -> None:
        """Raise ItemError("opt_out") if the host's robots.txt or tdmrep.json forbid us this page."""
        self._ask_host(url)

    def ask_json(self, url: str, **query: str | int) -> Json:
        """The JSON object that an interface answers; `retry_after_s` is then what it asked us to wait.

        Raises TransientError("protocol") for anything else, ItemError("bad_input") if it does not take the query.
        """
        address = update_url_query(url, query)
        host = urllib.parse.urlsplit(url).netloc
        try:
            response = self.urlopen(Request(address, headers={"User-Agent": AGENT, "Accept": "application/json"}))
        except HTTPError as error:
            if error.status == HTTPStatus.BAD_REQUEST:
                raise ItemError("bad_input", f"{host} does not take this query") from error
            raise
        self.retry_after_s = retry_after_s(response.headers.get("Retry-After"))
        try:
            answer = json.loads(response.read())
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise TransientError("protocol", f"{host} answers no JSON object")
        return answer

    def choose_format(self, formats: list[Json]) -> Json:
        """The format that a fetch would take; raises as `formats.choose` does."""
        return choose(formats, Preferences.of(self._limits)).video

    def urlopen(self, req: Any) -> Any:
        self._total, self._bytes = self._total + self._bytes, 0
        if self._total > TOTAL_BYTES:
            raise ItemError("too_big", f"the list's pages are over {TOTAL_BYTES >> 20} MB")
        if self._requests >= self.max_pages:
            raise ItemError("too_big", f"the list has over {self.max_pages} pages")
        time.sleep(max(0.0, self._last_s + self._interval_s(req) - time.monotonic()))
        try:
            return super().urlopen(req)
        finally:
            self._last_s = time.monotonic()

    def _interval_s(self, req: Any) -> float:
        host = urllib.parse.urlsplit(req if isinstance(req, str) else req.url).netloc
        own = host_settings(Fetch(hosts=self._limits["hosts"]), host).interval_s
        return float(self._limits["host_interval_s"] if own is None else own)
