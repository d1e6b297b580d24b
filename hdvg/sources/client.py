"""The yt-dlp client of one fetch: every request is checked and metered in one place, and nothing else leaves the process."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable
from email.message import Message
from functools import partial
from typing import Any

import yt_dlp
import yt_dlp.extractor._extractors  # all 1,800 of them, once, in the fork server
import yt_dlp.globals
from yt_dlp.networking.exceptions import HTTPError, RequestError
from yt_dlp.utils._utils import _UnsafeExtensionError

from hdvg.errors import HdvgError, ItemError, TransientError
from hdvg.sources.calls import Excerpted, FetchSettings
from hdvg.sources.formats import Choice, Preferences, choose
from hdvg.sources.hops import BoundedRH, Hops, refuse_locked_proxy
from hdvg.sources.info import seconds
from hdvg.sources.optout import Robots, header_refusal, page_refusal, robots_rules, tdm_refusal
from hdvg.sources.pace import Pace
from hdvg.sources.ranges import try_excerpt
from hdvg.sources.solver import unsolved

NAME = "source.bin"
SOUND_NAME = "sound.bin"
PAGE_BYTES = 64 * 2**20  # most bytes of pages and manifests before the video begins
MAX_PAGES = 100  # most requests before the video begins
MAX_REQUESTS = 50_000  # most requests in all; four hours of 2 s segments are 7,200
ROBOTS_BYTES = 512 * 1024  # of robots.txt and tdmrep.json that are read
HEAD_BYTES = 256 * 1024  # of a page in which its meta tags are looked for
PLAIN = frozenset({"generic", "html5"})  # extractors without a site of their own
ANY_SOURCE = {"4": "0.0.0.0", "6": "::", "any": None}  # makes yt-dlp look for addresses of that version only
LENGTH = re.compile(r"\d+(?:\s*,\s*\d+)*", re.ASCII)
KNOWN_ENDINGS = _UnsafeExtensionError.ALLOWED_EXTENSIONS
LIVE = frozenset({"is_live", "is_upcoming", "post_live"})

yt_dlp.globals.plugin_dirs.value = []
yt_dlp.globals.all_plugins_loaded.value = True  # that is: never look for any

# What takes long and is the same for every video is made once, in the server that children are forked from.
EXTRACTORS: dict[str, Any] = dict(yt_dlp.YoutubeDL({"quiet": True, "js_runtimes": {}})._ies)
for _extractor in EXTRACTORS.values():
    _extractor.suitable("https://host.invalid/")  # compiles its pattern


class _Silent:
    """A logger that says nothing: failures come as exceptions."""

    def debug(self, message: str) -> None: ...
    def warning(self, message: str, **_: Any) -> None: ...
    def error(self, message: str) -> None: ...


class Client(yt_dlp.YoutubeDL):  # type: ignore[misc]  # yt_dlp has no types here
    """A YoutubeDL for one video whose every request is checked and metered in `urlopen`; `taken` is what it fetched,
    of the formats in `choice`."""

    max_pages = MAX_PAGES

    def __init__(self, settings: FetchSettings, refused: list[str], **options: Any) -> None:
        self.taken: dict[str, Any] | None = None
        self.choice: Choice | None = None
        self.excerpt: Excerpted | None = None  # what `ranges.fetch_excerpt` says, if it was a part only
        self.whole_because: str | None = None
        self.broken: RequestError | None = None  # the last failed request: HttpFD reports its text only
        self.js_runtime = settings["js_runtime"]
        self.unsolved: HdvgError | None = None
        self._limits = settings
        self._refused = refused
        self._most_bytes = int(settings["max_mb"] * 2**20)
        self._requests = self._bytes = 0
        self._pace = Pace(settings["max_mb_s"])
        self._asked: dict[str, tuple[Robots, str]] = {}
        super().__init__(_options(settings, self._judge, self._choose) | options)

    def fetch(self, source: str) -> None:
        """Fetch the video behind `source`; raises what yt-dlp raises, or ItemError."""
        self._ask_host(source)
        self.extract_info(source)
        self._pace.pay()
        if self.taken is None:
            raise ItemError("not_media", "no video in it")
        if self.choice and self.choice.sound:
            info = {name: value for name, value in self.taken.items() if name not in self.choice.video}
            self.dl(SOUND_NAME, info | self.choice.sound)

    def look(self, source: str) -> None:
        """Take the info dict of the video behind `source`, no more; raises as `fetch`."""
        self._ask_host(source)
        info = self.extract_info(source, download=False)
        while info and "entries" in info:
            info = next(iter(info["entries"]), None)
        if not info:
            raise ItemError("not_media", "no video in it")
        self.taken = dict(info)

    def add_default_info_extractors(self) -> None:
        self._ies.update(EXTRACTORS)

    def fetch_beside(self, name: str, form: dict[str, Any], *, most_bytes: int) -> None:
        """Fetch a further file of the video, its subtitles; raises as `fetch`. Only such files can be fetched after it."""
        self._most_bytes, self._bytes = most_bytes, 0
        if str((self.taken or {}).get("extractor")) in PLAIN:
            self._ask_host(str(form["url"]))
        super().dl(name, form, subtitle=True)

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
        hops = Hops(self._limits, self._refused)
        return super().build_request_director([partial(BoundedRH, hops=hops, ca_pem=self._limits["ca_pem"])])

    def urlopen(self, req: Any) -> Any:
        url = req if isinstance(req, str) else req.url
        scheme = urllib.parse.urlsplit(url).scheme.lower()
        if scheme not in {"http", "https", ""}:
            raise ItemError("redirect", f"the page leads to a `{scheme}:` address")
        self._requests += 1
        if self._requests > (self.max_pages if self.taken is None else MAX_REQUESTS):
            raise ItemError("redirect" if self.taken is None else "too_big", f"over {self._requests - 1} requests")
        try:
            response = super().urlopen(req)
        except RequestError as error:
            self.broken = error
            if isinstance(error, HTTPError):
                self._meter(error.response)
            if self._refused:
                raise ItemError("forbidden_address", self._refused[0]) from error
            if self._limits["proxy"] is not None:
                refuse_locked_proxy(error)
            raise
        self._meter(response)
        if refusal := header_refusal(response.headers):
            raise ItemError("opt_out", refusal)
        self._refuse_long(response.headers)
        return response

    def process_ie_result(self, ie_result: Any, download: bool = True, extra_info: Any = None) -> Any:
        listed = ie_result.get("_type") in {"playlist", "multi_video", "compat_list"}
        if listed and str(ie_result.get("extractor")) not in PLAIN:
            raise ItemError("not_media", "a list of videos; to take those in it: --links list:URL")
        return super().process_ie_result(ie_result, download, extra_info)

    def dl(self, name: str, info: dict[str, Any], subtitle: bool = False, test: bool = False) -> Any:
        if str(info.get("extractor")) in PLAIN:
            self._ask_host(str(info["url"]))
            self._refuse_endless(info)
        if self.taken is None:
            self.taken, self._bytes = dict(info), 0
        if self._limits.get("as_excerpt") and name == NAME:
            self.excerpt, self.whole_because = try_excerpt(self, info, name)
            if self.excerpt:
                return True, True
            self._bytes = 0
        return super().dl(name, info, subtitle, test)

    def _judge(self, info: dict[str, Any], *, incomplete: Any = False) -> None:
        """yt-dlp's match filter: raises for what is live or too long."""
        if info.get("is_live") or info.get("live_status") in LIVE:
            raise ItemError("live", str(info.get("live_status") or "is_live"))
        length_s = seconds(info.get("duration"))
        if length_s and length_s > self._limits["max_duration_s"]:
            raise ItemError("too_long", f"{length_s:.0f} s")

    def _choose(self, info: dict[str, Any]) -> list[dict[str, Any]]:
        if self.unsolved is not None:
            raise self.unsolved
        if all(form.get("protocol") == "mhtml" for form in info["formats"]):
            raise unsolved("only images are offered")
        self.choice = choose(info["formats"], Preferences.of(self._limits))
        for form in filter(None, (self.choice.video, self.choice.sound)):
            if form.get("ext") not in KNOWN_ENDINGS:
                form["ext"] = "unknown_video"  # yt-dlp refuses such names, and no file of ours is called by it
        return [self.choice.video]

    def _meter(self, response: Any) -> None:
        page = bytearray() if "html" in str(response.headers.get("Content-Type", "")).lower() else None
        response.read = partial(self._read, response.read, page)

    def _read(self, read: Callable[[int], bytes], page: bytearray | None, amt: int | None = None) -> bytes:
        """So many bytes, fewer only where the body ends."""
        if amt is None:
            return b"".join(iter(lambda: self._read(read, page, 1 << 16), b""))
        data = b""
        while piece := self._read_some(read, min(amt - len(data), self._pace.most)):
            data += piece
            if len(data) >= amt or not self._pace.is_limited:
                break
        if self._bytes > (min(PAGE_BYTES, self._most_bytes) if self.taken is None else self._most_bytes):
            raise ItemError("too_big", f"over {self._most_bytes / 2**20:g} MB, or a page over {PAGE_BYTES >> 20} MB")
        if page is not None and len(page) < HEAD_BYTES:
            page += data
            whole = not data or len(page) >= HEAD_BYTES
            if whole and (refusal := page_refusal(page[:HEAD_BYTES].decode("utf-8", "replace"))):
                raise ItemError("opt_out", refusal)
        return data

    def _read_some(self, read: Callable[[int], bytes], amt: int) -> bytes:
        try:
            data = read(amt)
        except RequestError as error:
            self.broken = error
            raise
        self._bytes += len(data)
        self._pace.read(len(data))
        return data

    def _refuse_long(self, headers: Message) -> None:
        length = str(headers.get("Content-Length", "")).strip()
        if length and not LENGTH.fullmatch(length):
            raise TransientError("protocol", f"a Content-Length of {length[:40]!r}")
        if length.isdecimal() and int(length) > self._most_bytes:
            raise ItemError("too_big", f"{int(length) / 2**20:.0f} MB promised")

    def _refuse_endless(self, info: dict[str, Any]) -> None:
        """An HLS playlist found in a page, where yt-dlp does not look whether it ends, is live if it does not."""
        if info.get("protocol") not in {"m3u8", "m3u8_native"} or info.get("duration"):
            return
        text = self.urlopen(info["url"]).read().decode("utf-8", "replace")
        if "#EXT-X-ENDLIST" not in text and "#EXT-X-PLAYLIST-TYPE:VOD" not in text:
            raise ItemError("live", "an HLS playlist without an end")

    def _ask_host(self, url: str) -> None:
        """Raise ItemError("opt_out") if robots.txt or tdmrep.json forbid us this URL; each is asked once a host, and its
        failure allows."""
        parts = urllib.parse.urlsplit(url)
        host = f"{parts.scheme}://{parts.netloc}"
        if parts.scheme not in {"http", "https"}:
            return
        if host not in self._asked:
            robots = self._text(f"{host}/robots.txt")
            reserved = self._text(f"{host}/.well-known/tdmrep.json") if robots is not None else None
            self._asked[host] = robots_rules(robots or ""), reserved or ""
        rules, reserved = self._asked[host]
        if refusal := rules.refusal(url) or tdm_refusal(reserved, url):
            raise ItemError("opt_out", f"{refusal} of {parts.netloc}")

    def _text(self, url: str) -> str | None:
        """The first bytes of a text file: empty if the host has none, None if it does not answer."""
        try:
            return str(self.urlopen(url).read(ROBOTS_BYTES).decode("utf-8", "replace"))
        except RequestError as error:
            self.broken = None
            return "" if isinstance(error, HTTPError) else None


def _options(settings: FetchSettings, judge: Callable[..., None], select: Callable[..., Any]) -> dict[str, Any]:
    """yt-dlp's options; as a library it reads no configuration files. A try is one try: the caller repeats."""
    return {
        "logger": _Silent(),
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "color": "never",
        "outtmpl": {"default": NAME},
        "format": select,
        "match_filter": judge,
        "noplaylist": True,
        "playlist_items": "1",
        "lazy_playlist": True,
        "retries": 0,
        "fragment_retries": 0,
        "extractor_retries": 0,
        "file_access_retries": 0,
        "skip_unavailable_fragments": False,
        "continuedl": False,
        "nopart": True,
        "_no_ytdl_file": True,
        "updatetime": False,
        "cachedir": False,
        "external_downloader": "native",
        "fixup": "never",
        "js_runtimes": {},
        "writesubtitles": bool(settings["subtitles"]),  # makes extractors look for them
        "writeautomaticsub": bool(settings["subtitles"]),
        "subtitleslangs": ["-all"],  # yt-dlp itself fetches none: see `fetch_beside`
        "extractor_args": {"youtube": {"skip": ["translated_subs"]}},
        "geo_bypass": False,
        "proxy": settings["proxy"] or "",  # "" is none, whatever the environment says
        "source_address": settings["bind_address"] or ANY_SOURCE[settings["ip_version"]],
        "socket_timeout": settings["silence_s"],
    }
