"""Lists as sites serve them, on loopback: feeds, and the answers of the Internet Archive's and Wikimedia Commons' interfaces.

The shapes are those that yt-dlp's extractors read, or as the interfaces' public documentation has them; the content is ours.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

from hdvg.config.fetch import Fetch
from hdvg.sandbox import Sandbox
from hdvg.sources.hosts import HostGate
from hdvg.sources.lists.filter import Choice
from hdvg.sources.lists.listing import Listing, list_folder, read_site
from hdvg.sources.lists.source import list_source
from tests import servers as web

SETTINGS = Fetch(silence_s=2, wall_s=30, tries=2, max_mb=16, max_wait_s=0.1)
MEDIA = b"\0\0\0\x18ftypmp42" + random.Random(0).randbytes(1000)


def read(
    text: str,
    folder: Path,
    sandbox: Sandbox,
    *,
    choice: Choice | None = None,
    gate: HostGate | None = None,
    **changed: object,
) -> Listing:
    """Read a list with the real child, into a folder of its own below `folder`."""
    source = list_source(text)
    assert source is not None
    settings = SETTINGS.model_copy(update=changed)
    gate, choice = gate or HostGate(4, 0, 2), choice or Choice()
    folder = list_folder(folder, source, choice)
    return read_site(source, choice, folder=folder, settings=settings, sandbox=sandbox, gate=gate)


def answer_json(value: object, **headers: str) -> web.Answer:
    return web.body(json.dumps(value).encode(), "application/json", **headers)


def feed(
    videos: Sequence[tuple[str, float | None]], *, day: str | None = "Mon, 01 Jan 2024 10:00:00 GMT"
) -> web.Answer:
    """An RSS feed of videos: link and length in seconds; yt-dlp takes milliseconds to read a day."""
    items = [
        f"<item><title>Video {number}</title><link>{escape(link)}</link><guid>id-{number}</guid>"
        + (f"<pubDate>{day}</pubDate>" if day else "")
        + (f"<itunes:duration>{length}</itunes:duration>" if length is not None else "")
        + "</item>"
        for number, (link, length) in enumerate(videos)
    ]
    spaces = 'xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd"'
    text = (
        f'<?xml version="1.0"?><rss version="2.0" {spaces}><channel><title>Feed</title>{"".join(items)}</channel></rss>'
    )
    return web.body(text.encode(), "application/rss+xml")


def by_query(find: Callable[[dict[str, str]], web.Answer]) -> web.Answer:
    """An answer that depends on the query of the address."""

    def answer(handler: Any) -> None:
        find(dict(parse_qsl(urlsplit(handler.path).query)))(handler)

    return answer


class Archive:
    """The archive's search and metadata over `items`, identifier -> answer of /metadata; two items a page.

    `broken` answers a page of the search in turn, cursor -> answers, before it works.
    """

    def __init__(self, server: web.HostileServer, items: dict[str, dict[str, Any]]) -> None:
        self.items = items
        self.asked: list[dict[str, str]] = []
        self.broken: dict[str, list[web.Answer]] = {}
        server.add("/services/search/v1/scrape", by_query(self._page))
        for name, item in items.items():
            server.add(f"/metadata/{name}", answer_json(item))

    def _page(self, query: dict[str, str]) -> web.Answer:
        self.asked.append(query)
        if answers := self.broken.get(query.get("cursor", "")):
            return answers.pop(0)
        start = int(query.get("cursor", "c0")[1:])
        names = query["fields"].split(",")
        found = list(self.items.values())[start : start + 2]
        said = [{key: item["metadata"][key] for key in names if key in item["metadata"]} for item in found]
        more = {"cursor": f"c{start + 2}"} if start + 2 < len(self.items) else {}
        return answer_json({"items": said, "count": len(said), "total": len(self.items), **more})


def item(name: str, *files: dict[str, Any], **about: Any) -> dict[str, Any]:
    """The metadata of one item of the archive."""
    metadata = {"identifier": name, "title": f"Title of {name}", "mediatype": "movies", **about}
    return {"metadata": metadata, "files": [{"name": f"{name}_meta.xml", "source": "metadata"}, *files]}


def original(name: str, length: str = "61.5", height: str = "720", **more: str) -> dict[str, Any]:
    return {"name": name, "source": "original", "format": "MPEG2", "length": length, "height": height, **more}


def derived(name: str, of: str, height: str = "480", **more: str) -> dict[str, Any]:
    return {"name": name, "source": "derivative", "original": of, "format": "h.264", "height": height, **more}


class Commons:
    """Commons' api.php over `files`, title -> videoinfo; two files a page."""

    def __init__(self, server: web.HostileServer, files: dict[str, dict[str, Any]]) -> None:
        self.files = files
        self.asked: list[dict[str, str]] = []
        self.agents: Counter[str] = Counter()
        self.broken: dict[str, list[web.Answer]] = {}
        server.add("/w/api.php", self._answer)

    def _answer(self, handler: Any) -> None:
        self.agents[handler.headers["User-Agent"]] += 1
        by_query(self._page)(handler)

    def _page(self, query: dict[str, str]) -> web.Answer:
        self.asked.append(query)
        key = "gcmcontinue" if query["generator"] == "categorymembers" else "gsroffset"
        if answers := self.broken.get(query.get(key, "")):
            return answers.pop(0)
        start = int(query.get(key, 0))
        pages = [
            {"pageid": start + place, "ns": 6, "title": title, "index": start + place, "videoinfo": [info]}
            for place, (title, info) in enumerate(list(self.files.items())[start : start + 2])
        ]
        more = {"continue": {key: str(start + 2), "continue": f"{key}||"}} if start + 2 < len(self.files) else {}
        return answer_json({"batchcomplete": True, **more, "query": {"pages": pages[::-1]}})


def video(*, mediatype: str = "VIDEO", **more: Any) -> dict[str, Any]:
    """The videoinfo of one file of Commons; keyword arguments that begin with a capital are fields of `extmetadata`."""
    fields = {
        name: {"value": value, "source": "commons-desc-page"} for name, value in more.items() if name[0].isupper()
    }
    plain = {name: value for name, value in more.items() if name[0].islower()}
    info = {"timestamp": "2021-05-06T07:08:09Z", "user": "Jane Doe", "width": 1920, "height": 1080, "duration": 12.5}
    return {**info, "size": 1000, "mediatype": mediatype, **plain, "extmetadata": fields}


def path_of(url: str) -> str:
    return unquote(urlsplit(url).path)
