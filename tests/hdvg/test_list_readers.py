"""The readers of public listing interfaces, in the real child, against loopback copies of the answers."""

from __future__ import annotations

import urllib.parse

import pytest
from yt_dlp.extractor.archiveorg import ArchiveOrgIE
from yt_dlp.extractor.wikimedia import WikimediaIE

from hdvg.errors import UsageError
from hdvg.sandbox import Sandbox
from hdvg.sources.lists.filter import Choice, choose_entries
from hdvg.sources.lists.listing import PRELOAD
from hdvg.sources.lists.source import SITES
from tests import servers as web
from tests.lists import Archive, Commons, answer_json, derived, item, original, path_of, read, video

BY = "https://creativecommons.org/licenses/by/4.0/"
READERS = ("archive", "commons")


@pytest.fixture(scope="module")
def sandbox():
    lock = Sandbox(preload=PRELOAD)
    yield lock
    lock.close()


@pytest.fixture
def server(monkeypatch):
    with web.HostileServer() as running:
        for site in READERS:
            monkeypatch.setitem(SITES, site, running.url(""))
        yield running


@pytest.fixture
def look(sandbox, tmp_path):
    return lambda text, **more: read(text, tmp_path, sandbox, **more)


def paths(listing):
    return [path_of(row["url"]) for row in listing.rows]


def films(number):
    return {f"film{n}": item(f"film{n}", original(f"film{n}.mp4")) for n in range(number)}


def birds(number):
    return {f"File:Bird {n}.webm": video() for n in range(number)}


def serve(kind, server, number):
    """A list of so many videos: what it is asked by, its copy, where its next pages begin, and its paths."""
    if kind == "archive":
        return (
            "archive:collection:mine",
            Archive(server, films(number)),
            "c2",
            [f"/details/film{n}/film{n}.mp4" for n in range(number)],
        )
    pages = [f"/wiki/File:Bird_{n}.webm" for n in range(number)]
    return "commons:Category:Birds", Commons(server, birds(number)), "2", pages


# What both do


@pytest.mark.parametrize("kind", READERS)
def test_all_pages_are_read_in_order_and_no_video_is_asked_for(server, look, kind):
    text, copy, _, pages = serve(kind, server, 5)
    listing = look(text)
    assert (paths(listing), listing.end, listing.broken) == (pages, "whole", None)
    assert len(copy.asked) == 3
    assert not [path for path in server.hits if "/download" in path or "/details/film" in path or "File" in path]


@pytest.mark.parametrize("kind", READERS)
def test_no_page_is_asked_for_beyond_the_most_entries(server, look, kind):
    text, copy, _, pages = serve(kind, server, 6)
    listing = look(text, choice=Choice(most=3))
    assert (paths(listing), listing.end) == (pages[:3], "most")
    assert len(copy.asked) == 2


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    "answer", [web.status(429, Retry_After="1"), web.status(503), web.body(b"<html>", "text/html")]
)
def test_page_that_fails_is_asked_again_and_those_before_it_are_not(server, look, kind, answer):
    text, copy, second, pages = serve(kind, server, 5)
    copy.broken[second] = [answer]
    assert paths(look(text)) == pages
    assert len(copy.asked) == 4


@pytest.mark.parametrize("kind", READERS)
def test_retry_after_is_waited_for(server, look, kind):
    text, copy, second, pages = serve(kind, server, 3)
    copy.broken[second] = [web.status(503, Retry_After="1")]
    path = "/w/api.php" if kind == "commons" else "/services/search/v1/scrape"
    assert paths(look(text, max_wait_s=2)) == pages
    _, failed, again = server.times[path]
    assert again - failed >= 0.9


@pytest.mark.parametrize("kind", READERS)
def test_list_that_breaks_off_keeps_what_came_and_the_next_goes_on(server, look, kind):
    text, copy, second, pages = serve(kind, server, 5)
    copy.broken[second] = [web.status(503)] * 2
    listing = look(text, tries=2)
    assert (paths(listing), listing.broken.reason) == (pages[:2], "throttled")
    asked = len(copy.asked)
    listing = look(text)
    assert (paths(listing), listing.broken) == (pages, None)
    assert len(copy.asked) == asked + 2


def test_list_that_is_over_its_time_keeps_what_came(server, look):
    text, copy, second, pages = serve("archive", server, 5)
    copy.broken[second] = [web.silence()] * 9
    listing = look(text, tries=1, wall_s=4, silence_s=60)
    assert (paths(listing), listing.broken.reason) == (pages[:2], "timeout")


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("code", [403, 404])
def test_list_that_is_refused_is_not_asked_again(server, look, kind, code):
    text, copy, second, pages = serve(kind, server, 5)
    copy.broken[second] = [web.status(code)] * 9
    listing = look(text, tries=5)
    assert (paths(listing), listing.broken.reason) == (pages[:2], {403: "blocked", 404: "gone"}[code])
    assert len(copy.asked) == 2


@pytest.mark.parametrize("kind", READERS)
def test_list_whose_cursor_goes_round_ends(server, look, kind):
    text, copy, second, pages = serve(kind, server, 6)
    first = {
        "archive": {"items": [], "cursor": "c2"},
        "commons": {"continue": {"gcmcontinue": "2", "continue": "gcmcontinue||"}, "query": {"pages": []}},
    }
    copy.broken[second] = [answer_json(first[kind])] * 99
    listing = look(text)
    assert (paths(listing), listing.broken.reason) == (pages[:2], "protocol")
    assert len(copy.asked) == 2


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    "garbage",
    [
        [],
        "text",
        {},
        {"items": 5, "query": 5},
        {"items": [None, 3, {"identifier": 7}], "query": {"pages": [None, {"title": 3}]}},
    ],
)
def test_garbage_is_no_list(server, look, kind, garbage):
    text, copy, *_ = serve(kind, server, 2)
    copy.broken[""] = [answer_json(garbage)] * 9
    with pytest.raises(UsageError, match=r"a list without a video|does not speak its protocol"):
        look(text, tries=1)


@pytest.mark.parametrize("kind", READERS)
def test_robots_txt_of_the_pages_is_heeded(server, look, kind):
    text, copy, *_ = serve(kind, server, 2)
    server.add("/robots.txt", web.body(b"User-agent: *\nDisallow: /wiki/\nDisallow: /details/\n", "text/plain"))
    with pytest.raises(UsageError, match="must not be used"):
        look(text)
    assert not copy.asked


@pytest.mark.parametrize("kind", READERS)
def test_interface_that_leads_into_a_private_network_causes_no_request(server, look, kind):
    text, copy, second, pages = serve(kind, server, 4)
    with web.HostileServer("127.0.0.2") as inner:
        copy.broken[second] = [web.redirect(inner.url("/secret"))]
        listing = look(text)
        assert not inner.hits
    assert (paths(listing), listing.broken.reason) == (pages[:2], "forbidden_address")


# The Internet Archive


def test_every_original_video_of_an_item_is_one_link_that_yt_dlp_takes(server, look):
    name = "two films"
    files = [
        *(
            original("first+half.mpg", length="61:02", height="480"),
            derived("first+half_512kb.mp4", "first+half.mpg", "240"),
        ),
        *(
            original("dir/second ä.avi", length="", height="1080"),
            derived("dir/second ä.ogv", "dir/second ä.avi", "360", length="33.5"),
        ),
        *(
            original("sound.mp3"),
            derived("sound.ogg", "sound.mp3"),
            {"name": 5},
            {"name": "x.mp4", "source": "derivative"},
        ),
    ]
    Archive(server, {name: item(name, *files)})
    server.routes["/metadata/two%20films"] = server.routes.pop(f"/metadata/{name}")
    rows = look("archive:collection:mine").rows
    assert [(row["duration_s"], row["height"]) for row in rows] == [(3662, 480), (33.5, 1080)]
    for row, file in zip(rows, ("first+half.mpg", "dir/second ä.avi"), strict=True):
        assert ArchiveOrgIE.suitable(row["url"])
        assert urllib.parse.unquote_plus(ArchiveOrgIE._match_id(row["url"])) == f"{name}/{file}"


def test_video_that_the_player_does_not_show_is_linked_as_a_file(server, look):
    Archive(server, {"old": item("old", original("old.avi"))})
    (row,) = look("archive:old").rows
    assert row["url"] == "https://archive.org/download/old/old.avi"


def test_items_without_open_video_are_counted(server, look):
    closed = item("closed", original("a.mp4", private="true"))
    Archive(
        server,
        {"closed": closed, "gone": {"metadata": {"identifier": "gone"}}, "fine": item("fine", original("a.mp4"))},
    )
    server.add("/metadata/gone", answer_json({}))
    listing = look("archive:collection:mine")
    assert paths(listing) == ["/details/fine/a.mp4"]
    assert listing.found.skipped == {"no video file": 2}


def test_what_the_archive_says_becomes_columns_without_names(server, look):
    about = {"title": "A walk by Jane Doe", "creator": ["Jane Doe", "Joe"], "uploader": "jane@example.org"}
    about |= {"licenseurl": BY, "language": "eng", "publicdate": "2019-03-04T05:06:07Z"}
    Archive(
        server, {"walk": item("walk", original("a.mp4"), **about), "bare": item("bare", original("b.mp4"), title=None)}
    )
    walk, bare = look("archive:collection:mine").rows
    assert walk["title"] == "A walk by <name>"
    assert (walk["licence_class"], walk["open_licence"], walk["language"], str(walk["upload_date"])) == (
        "cc-by",
        True,
        "en",
        "2019-03-04",
    )
    assert (bare["title"], bare["licence"], bare["licence_class"], bare["open_licence"]) == (
        None,
        None,
        "unknown",
        False,
    )
    assert (bare["language"], bare["upload_date"], bare["view_count"]) == (None, None, None)


def test_item_that_a_condition_drops_is_not_asked_for_its_files(server, look):
    items = {
        name: item(name, original("a.mp4"), licenseurl=url) for name, url in (("free", BY), ("other", "https://a.org/"))
    }
    Archive(server, items)
    choice = Choice(conditions=("open_licence", "duration_s > 1"), strict=True)
    listing = look("archive:collection:mine", choice=choice)
    assert server.hits["/metadata/free"] == 1
    assert server.hits["/metadata/other"] == 0
    chosen = choose_entries(listing.rows, choice)
    assert [path_of(row["url"]) for row in chosen.rows] == ["/details/free/a.mp4"]
    assert chosen.dropped == {"open_licence": 1}


def test_archive_is_asked_for_films_only_and_says_who_asks(server, look):
    copy = Archive(server, films(1))
    look("archive:collection:a OR collection:b")
    assert copy.asked[0]["q"] == "(collection:a OR collection:b) AND mediatype:movies"
    copy.broken[""] = [answer_json({"error": "bad query", "errorType": "RangeError"})]
    with pytest.raises(UsageError, match="does not take this query"):
        look("archive:((")
    copy.broken[""] = [web.status(400)]
    with pytest.raises(UsageError, match="does not take this query"):
        look("archive:))")
    assert len(copy.asked) == 3


# Wikimedia Commons


def test_licences_of_commons_become_classes_and_names_are_masked(server, look):
    free = video(
        ObjectName="Jane Doe's owl",
        UsageTerms="Creative Commons Attribution-Share Alike 4.0",
        Artist="<a href='//x'>Joe</a>",
    )
    short = video(LicenseShortName="CC0", user="Joe")
    Commons(
        server,
        {
            "File:Owl.webm": free,
            "File:Crow.ogv": short,
            "File:Jay.webm": video(timestamp=None, duration="x", height=None),
        },
    )
    owl, crow, jay = look("commons:Category:Birds").rows
    assert (owl["title"], owl["licence_class"], owl["height"], owl["duration_s"]) == (
        "<name>'s owl",
        "cc-by-sa",
        1080,
        12.5,
    )
    assert str(owl["upload_date"]) == "2021-05-06"
    assert (crow["licence_class"], crow["open_licence"], crow["title"]) == ("cc0", True, "Crow")
    assert (jay["licence_class"], jay["duration_s"], jay["height"], jay["upload_date"]) == ("unknown", None, None, None)


def test_pictures_and_sounds_of_a_category_are_passed_over(server, look):
    kinds = {"File:a.webm": "VIDEO", "File:b.jpg": "BITMAP", "File:c.oga": "AUDIO", "File:d.ogg": "VIDEO"}
    Commons(server, {title: video(mediatype=kind) for title, kind in kinds.items()})
    assert paths(look("commons:Category:Birds")) == ["/wiki/File:a.webm", "/wiki/File:d.ogg"]


def test_file_pages_of_commons_are_links_that_yt_dlp_takes(server, look):
    Commons(server, {"File:What? 50% & Bär/x.webm": video()})
    (row,) = look("commons:Category:Birds").rows
    assert row["url"] == "https://commons.wikimedia.org/wiki/File:What%3F_50%25_%26_B%C3%A4r%2Fx.webm"
    assert WikimediaIE.suitable(row["url"])


def test_commons_is_searched_by_words_in_its_own_order(server, look):
    copy = Commons(server, birds(3))
    assert paths(look("commons:flying birds")) == [f"/wiki/File:Bird_{n}.webm" for n in range(3)]
    asked = copy.asked[0]
    assert (asked["generator"], asked["gsrsearch"], asked["gsrnamespace"]) == (
        "search",
        "filetype:video flying birds",
        "6",
    )
    assert asked["maxlag"] == "5"
    assert all(agent.startswith("hdvg/") for agent in copy.agents)


def test_commons_that_lags_is_asked_again_when_it_says(server, look):
    copy = Commons(server, birds(3))
    copy.broken["2"] = [answer_json({"error": {"code": "maxlag", "info": "Waiting for a database"}}, Retry_After="1")]
    assert len(look("commons:Category:Birds", max_wait_s=2).rows) == 3
    _, lagged, again = server.times["/w/api.php"]
    assert again - lagged >= 0.9
    copy.broken[""] = [answer_json({"error": {"code": "invalidcategory", "info": "no"}})]
    with pytest.raises(UsageError, match="invalidcategory"):
        look("commons:Category:")


def test_file_whose_facts_come_with_the_next_answer_is_taken_then(server, look):
    copy = Commons(server, birds(2))
    late = {"query": {"pages": [{"title": "File:Late.webm"}]}, "continue": {"vicontinue": "1|2", "gcmcontinue": "0"}}
    copy.broken[""] = [answer_json(late)]
    assert paths(look("commons:Category:Birds")) == ["/wiki/File:Bird_0.webm", "/wiki/File:Bird_1.webm"]
