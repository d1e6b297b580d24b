"""Lists by their real addresses, through a proxy on loopback that leads every host to our copies: as sites page, and as
what is listed is fetched."""

from __future__ import annotations

import json

import pytest

from hdvg.config.addresses import VARIABLE
from hdvg.config.fetch import Fetch
from hdvg.sandbox import Sandbox
from hdvg.sources.fetch import fetch
from hdvg.sources.hosts import HostGate
from hdvg.sources.lists.filter import Choice
from hdvg.sources.lists.listing import PRELOAD
from tests import servers as web
from tests.lists import MEDIA, SETTINGS, Archive, Commons, answer_json, by_query, feed, item, original, read, video
from tests.proxy import LoopbackProxy, TestCA

PAGE = 30
"""Videos of a channel that PeerTube's extractor asks for at a time."""


@pytest.fixture(scope="module")
def sandbox():
    lock = Sandbox(preload=PRELOAD)
    yield lock
    lock.close()


@pytest.fixture
def server():
    with web.HostileServer() as running:
        yield running


@pytest.fixture
def settings(server, tmp_path, monkeypatch):
    """Settings with the proxy and its certificates."""
    monkeypatch.delenv(VARIABLE, raising=False)
    ca = TestCA()
    with LoopbackProxy({"*": server}, ca=ca) as proxy:
        yield {"proxy": proxy.url(), "ca_file": ca.write(tmp_path / "ca.pem")}


@pytest.fixture
def look(sandbox, tmp_path, settings):
    return lambda text, **more: read(text, tmp_path, sandbox, **settings, **more)


@pytest.fixture
def take(sandbox, tmp_path, settings):
    def run(link):
        wanted = Fetch.model_validate(SETTINGS.model_dump() | settings)
        return fetch(link, scratch=tmp_path, settings=wanted, sandbox=sandbox, gate=HostGate(4, 0, 2))

    return run


def channel(server, number, *, broken=()):
    """A channel of so many videos as PeerTube pages it; pages that begin at a place in `broken` fail."""

    def page(query):
        start = int(query["start"])
        if start in broken:
            return web.status(503)
        names = [{"shortUUID": f"v{n}", "name": f"Video {n}"} for n in range(start, min(start + PAGE, number))]
        return answer_json({"total": number, "data": names})

    server.add("/api/v1/video-channels/films", answer_json({"displayName": "Films"}))
    server.add("/api/v1/video-channels/films/videos", by_query(page))
    return "list:https://framatube.org/c/films/videos"


def names(listing):
    return [row["url"].rpartition("/")[2] for row in listing.rows]


def test_channel_is_read_page_by_page_and_no_further_than_asked(server, look):
    listing = look(channel(server, 100), choice=Choice(most=PAGE + 10))
    assert names(listing) == [f"v{n}" for n in range(PAGE + 10)]
    assert (listing.rows[0]["title"], listing.end) == ("Video 0", "most")
    assert server.hits["/api/v1/video-channels/films/videos"] == 2
    assert not [path for path in server.hits if path.startswith("/w/")]


def test_channel_that_breaks_off_keeps_what_came_and_is_read_again_without_doubles(server, look):
    listing = look(channel(server, 70, broken=(60,)), tries=2)
    assert (names(listing), listing.broken.reason) == ([f"v{n}" for n in range(60)], "throttled")
    listing = look(channel(server, 70))
    assert (names(listing), listing.broken) == ([f"v{n}" for n in range(70)], None)


def test_what_the_archive_lists_is_fetched_with_its_licence(server, look, take):
    by = "https://creativecommons.org/licenses/by/4.0/"
    Archive(server, {"film": item("film", original("a b.mp4"), original("c.mp4"), licenseurl=by)})
    rows = look("archive:collection:mine").rows
    assert [row["url"] for row in rows] == [
        "https://archive.org/details/film/a%20b.mp4",
        "https://archive.org/details/film/c.mp4",
    ]
    player = json.dumps([{"orig": name, "title": name} for name in ("a b.mp4", "c.mp4")])
    server.add("/embed/film", web.page(f"<play-av playlist='{player}'></play-av>"))
    server.add("/download/film/a%20b.mp4", web.body(MEDIA))
    got = take(rows[0]["url"])
    assert got.path.read_bytes() == MEDIA
    assert (got.info["licence_class"], got.info["extractor"]) == (rows[0]["licence_class"], "archive.org")


def test_what_commons_lists_is_fetched_with_its_licence(server, look, take):
    terms = {"UsageTerms": "Creative Commons Attribution-Share Alike 4.0"}
    Commons(server, {"File:A bird.webm": video(**terms)})
    (row,) = look("https://commons.wikimedia.org/wiki/Category:Birds").rows
    info = video(**terms, url="https://upload.wikimedia.org/bird.webm")
    server.add("/w/api.php", answer_json({"query": {"pages": {"7": {"pageid": 7, "videoinfo": [info]}}}}))
    server.add("/bird.webm", web.body(MEDIA, "video/webm"))
    got = take(row["url"])
    assert got.path.read_bytes() == MEDIA
    assert (got.info["licence_class"], got.info["extractor"]) == (row["licence_class"], "wikimedia.org")


def test_entries_on_private_names_are_dropped_behind_a_proxy_too(server, look):
    links = [
        "http://127.0.0.1:9/a.mp4",
        "http://intranet/b.mp4",
        "http://nas.local/c.mp4",
        "https://video.example.org/d.mp4",
    ]
    server.add("/feed", feed([(link, None) for link in links], day=None))
    listing = look("list:https://video.example.org/feed")
    assert [row["url"] for row in listing.rows] == links[3:]
    assert listing.found.skipped == {"private address": 3}
