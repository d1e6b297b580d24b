"""Real yt-dlp in the real sandbox lists what stands on loopback: every entry, each once, and no video is asked for."""

from __future__ import annotations

import itertools
import json
import os
import time

import pytest

from hdvg.errors import ItemError, UsageError
from hdvg.sandbox import Sandbox
from hdvg.sources.hosts import HostGate
from hdvg.sources.lists import flat
from hdvg.sources.lists.client import ListClient
from hdvg.sources.lists.entry_file import FILE, Entries, read_entries
from hdvg.sources.lists.filter import Choice
from hdvg.sources.lists.listing import PRELOAD, STALE_S
from hdvg.sources.lists.source import ListSource, list_source
from tests import servers as web
from tests.lists import MEDIA, SETTINGS, feed, path_of, read

IN_CHILD = SETTINGS.model_dump() | {"ca_pem": None}
CATALOGUE = "0123456789abcdef0123456789abcdef"


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
def look(sandbox, tmp_path):
    return lambda text, **more: read(text, tmp_path, sandbox, **more)


def paths(listing):
    return [path_of(row["url"]) for row in listing.rows]


def media_hits(server):
    return {path: hits for path, hits in server.hits.items() if path.endswith(".mp4")}


# What is a list


@pytest.mark.parametrize(
    ("text", "kind", "query"),
    [
        ("list:https://a.org/PLAYLIST?utm_source=x", "list", "https://a.org/PLAYLIST"),
        ("list:https://youtu.be/abcdefghijk?si=x&list=PLa-1", "list", "https://www.youtube.com/playlist?list=PLa-1"),
        (
            "list:https://www.youtube.com/watch?v=abcdefghijk&list=PLa",
            "list",
            "https://www.youtube.com/playlist?list=PLa",
        ),
        ("archive:collection:prelinger", "archive", "collection:prelinger"),
        ("list:https://archive.org/details/prelinger", "archive", "collection:prelinger OR identifier:prelinger"),
        ("list:https://archive.org/details/item/one.mp4", "list", "https://archive.org/details/item/one.mp4"),
        ("commons:category:Videos of birds", "commons", "Category:Videos of birds"),
        ("commons:flying birds", "commons", "flying birds"),
        ("https://commons.wikimedia.org/wiki/Category:Videos_of_birds", "commons", "Category:Videos of birds"),
        ("list:https://commons.wikimedia.org/wiki/Category:B%C3%A4r", "commons", "Category:Bär"),
    ],
)
def test_a_list_is_known_by_how_it_is_written(text, kind, query):
    assert list_source(text) == ListSource(text, kind, query)


@pytest.mark.parametrize(
    "text", ["https://a.org/playlist", "links.txt", "https://archive.org/details/prelinger", "C:x"]
)
def test_what_is_not_written_as_a_list_is_none(text):
    assert list_source(text) is None


def test_the_origin_of_a_list_is_its_address_or_its_query():
    assert list_source("list:https://A.org/p").origin == "https://a.org/p"
    assert list_source("list:https://archive.org/details/x").origin == "https://archive.org/details/x"
    assert list_source("archive:collection:x").origin == "archive:collection:x"


@pytest.mark.parametrize("text", ["list:", "list:links.txt", "list:ftp://a.org/x", "archive:", "commons: "])
def test_a_list_without_an_address_or_a_query_says_what_would_do(text):
    with pytest.raises(UsageError, match="archive:QUERY"):
        list_source(text)


# What works


def test_feed_is_listed_without_asking_for_a_video(server, look):
    videos = [(server.add(f"/{number}.mp4", web.body(MEDIA)), 10.0 * number) for number in range(1, 6)]
    listing = look(f"list:{server.add('/feed', feed(videos))}")
    assert (paths(listing), listing.end, listing.broken) == ([f"/{n}.mp4" for n in range(1, 6)], "whole", None)
    assert [row["duration_s"] for row in listing.rows] == [10, 20, 30, 40, 50]
    assert str(listing.rows[0]["upload_date"]) == "2024-01-01"
    assert (listing.rows[0]["title"], listing.rows[0]["licence_class"]) == ("Video 0", None)
    assert not media_hits(server)
    assert server.hits["/feed"] == 1


def test_page_with_several_videos_gives_their_files(server, look):
    for number in range(3):
        server.add(f"/{number}.mp4", web.body(MEDIA))
    html = (
        '<video src="/0.mp4"></video><video><source src="/1.mp4" type="video/mp4"></video><video src="2.mp4"></video>'
    )
    listing = look(f"list:{server.add('/page', web.page(html))}")
    assert sorted(paths(listing)) == ["/0.mp4", "/1.mp4", "/2.mp4"]
    assert not media_hits(server)


def test_site_whose_page_leads_to_its_list_is_followed(server, look):
    """Mediasite's catalogues are on hosts of any name."""
    server.add("/Mediasite/Catalog/catalogs/mine", web.page(f"<script>CatalogId: '{CATALOGUE}'</script>"))
    server.add(f"/Mediasite/Catalog/Full/{CATALOGUE}", web.page("a catalogue"))
    ids = [f"{number:032x}" for number in range(4)]
    found = {"PresentationDetailsList": [{"Id": name} for name in ids], "CurrentFolder": {"Name": "Mine"}}
    server.add(
        "/Mediasite/Catalog/Data/GetPresentationsForFolder", web.body(json.dumps(found).encode(), "application/json")
    )
    listing = look(f"list:{server.url('/Mediasite/Catalog/catalogs/mine')}")
    assert paths(listing) == [f"/Mediasite/Play/{name}" for name in ids]
    assert not any("Play" in path for path in server.hits)


def test_lists_in_a_list_are_read_too_and_what_turns_out_a_video_is_not_asked_twice(server, tmp_path):
    """A channel's tabs, say. In this process, for no list of lists stands on a host of any name."""
    links = {
        name: server.add(f"/{name}", feed([(server.url(f"/{name}{n}.mp4"), 5) for n in range(2)])) for name in "ab"
    }
    for name in "cd":
        links[name] = server.add(f"/{name}", web.page('<video src="/x.mp4"></video>'))
    entries = [{"_type": "url", "url": url, "ie_key": "Generic"} for url in links.values()]
    inline = {"_type": "playlist", "entries": [{"_type": "url", "url": server.url("/i.mp4"), "ie_key": None}]}
    channel = {"_type": "playlist", "extractor_key": "Generic", "extractor": "generic", "entries": [*entries, inline]}
    client = ListClient(IN_CHILD, [], most=99, conditions=[])
    flat.Walk(client, Entries(tmp_path, 99)).take(channel, depth=1)
    found = [path_of(row["url"]) for row in read_entries(tmp_path / FILE).rows]
    assert found == ["/a0.mp4", "/a1.mp4", "/b0.mp4", "/b1.mp4", "/c", "/d", "/i.mp4"]
    assert (server.hits["/c"], server.hits["/d"]) == (1, 0)


def test_list_has_a_most_of_pages(server, tmp_path):
    client = ListClient(IN_CHILD, [], most=1, conditions=[])
    client.max_pages = 3
    server.add("/page", web.body(b"{}", "application/json"))
    for _ in range(3):
        client.ask_json(server.url("/page"))
    with pytest.raises(ItemError, match="over 3 pages"):
        client.ask_json(server.url("/page"))
    assert server.hits["/page"] == 3


def test_entry_named_twice_is_taken_once(server, look):
    link = server.url("/1.mp4")
    listing = look(f"list:{server.add('/feed', feed([(link, 5), (link + '#t=3', 5), (link, None)]))}")
    assert paths(listing) == ["/1.mp4"]


def test_at_most_so_many_entries_are_read_and_it_is_said(server, look):
    source = f"list:{server.add('/feed', feed([(server.url(f'/{n}.mp4'), None) for n in range(9)]))}"
    listing = look(source, choice=Choice(most=4))
    assert (paths(listing), listing.end) == (["/0.mp4", "/1.mp4", "/2.mp4", "/3.mp4"], "most")


def test_five_thousand_entries_are_quick(server, look):
    source = f"list:{server.add('/feed', feed([(server.url(f'/{n}.mp4'), 9) for n in range(5000)], day=None))}"
    start = time.monotonic()
    assert len(look(source).rows) == 5000
    assert time.monotonic() - start < 30


def test_relative_and_unusable_links_are_told_apart(server, look):
    videos = [
        ("watch?v=1", 5.0),
        ("ftp://a.org/2.mp4", 5.0),
        ("javascript:alert(1)", None),
        (server.url("/4.mp4"), 5.0),
    ]
    listing = look(f"list:{server.add('/dir/feed', feed(videos))}")
    assert paths(listing) == ["/dir/watch", "/4.mp4"]
    assert listing.found.skipped == {"no link": 2}


# What fails


def test_list_without_a_video_is_an_error_with_its_address(server, look):
    with pytest.raises(UsageError, match=r"list:http://127.0.0.1:\d+/feed: a list without a video"):
        look(f"list:{server.add('/feed', feed([]))}")


@pytest.mark.parametrize("path", ["/1.mp4", "/page"])
def test_one_video_given_as_a_list_says_so(server, look, path):
    server.add("/1.mp4", web.body(MEDIA))
    server.add("/page", web.page('<video src="/1.mp4"></video>'))
    with pytest.raises(
        UsageError, match=f"one video, no list; to fetch it: --links http://127.0.0.1:{server.port}{path}"
    ):
        look(f"list:{server.url(path)}")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (web.status(404), "does not exist"),
        (web.status(403), "refused us"),
        (web.status(503), "run again later"),
        (web.page("nothing here"), "no media file"),
        (web.body(b"<rss><channel><item><li", "application/rss+xml"), "cannot be listed|one video"),
        (web.page("", X_Robots_Tag="noai"), "must not be used"),
        (web.page("<p>" * 7_000_000), "more bytes"),
    ],
)
def test_list_that_cannot_be_read_says_why(server, look, answer, words):
    with pytest.raises(UsageError, match=words):
        look(f"list:{server.add('/list', answer)}")


def test_busy_list_is_asked_again_after_its_retry_after(server, look):
    server.add("/feed", web.status(429, Retry_After="1"), feed([(server.url("/1.mp4"), 5)]))
    assert paths(look(f"list:{server.url('/feed')}", max_wait_s=2)) == ["/1.mp4"]
    first, second = server.times["/feed"][:2]
    assert second - first >= 0.9


def test_list_is_asked_for_under_the_hosts_permit(server, look):
    gate = HostGate(1, 0, 0.3)
    look(f"list:{server.add('/feed', feed([(server.url('/1.mp4'), 5)]))}", gate=gate)
    with pytest.raises(UsageError):
        look(f"list:{server.add('/busy', web.status(429, Retry_After='999'))}", gate=gate, tries=1)
    assert 0 < gate.ask(f"127.0.0.1:{server.port}") <= 1.0  # the pause after a throttled visit


def test_pages_of_a_list_keep_the_hosts_interval(server, look):
    server.add("/feed", feed([(server.url("/1.mp4"), 5)]))
    look(f"list:{server.url('/feed')}", host_interval_s=0.4)
    asked = sorted(when for times in server.times.values() for when in times)
    assert all(later - earlier >= 0.3 for earlier, later in itertools.pairwise(asked))


# The walls and the manners


def test_robots_txt_that_forbids_the_list_is_heeded(server, look):
    server.add("/robots.txt", web.body(b"User-agent: hdvg\nDisallow: /feed\n", "text/plain"))
    server.add("/feed", feed([(server.url("/1.mp4"), 5)]))
    with pytest.raises(UsageError, match="must not be used"):
        look(f"list:{server.url('/feed')}")
    assert server.hits["/feed"] == 0


def test_entries_in_private_networks_are_neither_asked_for_nor_taken(server, look):
    with web.HostileServer("127.0.0.2") as inner, web.HostileServer() as beside:
        private = [inner.url("/a.mp4"), beside.url("/b.mp4"), "http://192.168.1.1/c.mp4", "http://localhost/d.mp4"]
        private += [
            "http://169.254.169.254/latest",
            "http://[::1]/e.mp4",
            "http://0x7f.1/f.mp4",
            "http://[fd00::1]/g.mp4",
        ]
        listing = look(f"list:{server.add('/feed', feed([(link, 5) for link in [*private, server.url('/ok.mp4')]]))}")
        assert not inner.hits
        assert not beside.hits
    assert paths(listing) == ["/ok.mp4"]
    assert listing.found.skipped == {"private address": 8}


def test_list_that_leads_into_a_private_network_causes_no_request(server, look):
    with web.HostileServer("127.0.0.2") as inner:
        with pytest.raises(UsageError, match="private network"):
            look(f"list:{server.add('/list', web.redirect(inner.url('/list')))}")
        assert not inner.hits


def test_list_on_a_private_host_is_refused_when_the_settings_say_so(server, look):
    with pytest.raises(UsageError, match="private network"):
        look(f"list:{server.add('/feed', feed([(server.url('/1.mp4'), 5)]))}", private_links="refuse")
    assert not server.hits


# What stays of a list that broke off


def test_list_that_was_left_unread_is_read_anew_and_old_ones_are_not_believed(server, look, tmp_path):
    source = f"list:{server.add('/feed', feed([(server.url('/new.mp4'), 5)]))}"
    look(source)
    (kept,) = tmp_path.glob("*/entries.jsonl")
    line = kept.read_text().splitlines()[-1]
    kept.write_text("no JSON\n[1]\n" + line.replace("/new.mp4", "/before.mp4") + "\n" + line[:30])
    assert paths(look(source)) == ["/before.mp4", "/new.mp4"]
    os.utime(kept, (time.time() - STALE_S - 1,) * 2)
    assert paths(look(source)) == ["/new.mp4"]


def test_what_a_child_wrote_is_not_trusted(server, look, tmp_path):
    source = f"list:{server.add('/feed', feed([(server.url('/1.mp4'), 5)]))}"
    look(source)
    (kept,) = tmp_path.glob("*/entries.jsonl")
    line = json.loads(next(line for line in kept.read_text().splitlines() if '"row"' in line))
    forged = [line["row"] | {"url": "file:///etc/passwd"}, line["row"] | {"url": "/etc/passwd"}, {"url": 5}]
    forged += [line["row"] | {"url": "https://a.org/x", "duration_s": "long"}]
    kept.write_text("".join(json.dumps({"row": row}) + "\n" for row in forged) + '{"skipped": 1}\n{"row": null}\n')
    assert paths(look(source)) == ["/1.mp4"]
