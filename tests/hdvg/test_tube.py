"""Real yt-dlp, its real solver and a real runtime, in the real sandbox, against a stand-in of the large video site."""

import json
import random
import re

import pytest

from hdvg.config.fetch import Fetch
from hdvg.errors import ItemError, TransientError
from hdvg.sandbox import Sandbox
from hdvg.sources import runtime
from hdvg.sources.fetch import PRELOAD, fetch, look
from hdvg.sources.hosts import HostGate
from tests import tube
from tests.proxy import LoopbackProxy, TestCA
from tests.servers import HostileServer, body, status
from tests.tools import need
from tests.tube import PLAYER_JS, Tube

need("deno", "yt_dlp_ejs")

VIDEO = "standin0001"
LINK = f"https://www.youtube.com/watch?v={VIDEO}"
MEDIA = b"\0\0\0\x18ftypmp42" + random.Random(0).randbytes(50_000)


@pytest.fixture(scope="module")
def sandbox():
    lock = Sandbox(preload=PRELOAD)
    yield lock
    lock.close()


@pytest.fixture
def site():
    with HostileServer() as server:
        yield Tube(server, {VIDEO: MEDIA})


@pytest.fixture
def settings(site, tmp_path):
    ca = TestCA()
    with LoopbackProxy({tube.SITE: site.server, tube.MEDIA: site.server}, ca=ca) as proxy:
        path = ca.write(tmp_path / "ca.pem")
        yield Fetch(silence_s=15, wall_s=60, tries=3, max_wait_s=1, proxy=proxy.url(), ca_file=path)


@pytest.fixture
def take(sandbox, tmp_path, settings):
    def run(link=LINK, *, act=fetch, **changed):
        return act(
            link,
            scratch=tmp_path,
            settings=settings.model_copy(update=changed),
            sandbox=sandbox,
            gate=HostGate(4, 0, 2),
        )

    return run


def fails(take, **changed):
    with pytest.raises(ItemError) as failed:
        take(**changed)
    return failed.value


def test_video_behind_a_challenge_and_a_signature_is_fetched(take, site):
    got = take()
    assert got.path.read_bytes() == MEDIA
    assert site.refused == []
    assert got.info["extractor"] == "youtube"
    assert (got.info["title"], got.info["format_id"]) == ("A stand-in film", "136")
    assert site.server.hits[tube.PLAYER] == 1


def test_media_is_refused_without_the_solution(take, site):
    """The stand-in is worth nothing if it gives its media to everyone."""
    site.player_js = PLAYER_JS.replace("* 7 + i", "* 9 + i")
    assert fails(take).reason == "blocked"
    assert len(site.refused) >= 1
    assert site.server.hits["/videoplayback"] == len(site.refused)


def test_link_is_looked_at_without_its_media(take, site):
    assert take(act=look) == {"duration_s": 2.0, "bytes": len(MEDIA)}
    assert site.server.hits["/videoplayback"] == 0


@pytest.mark.parametrize(
    "player",
    [
        "var x = 1;",
        "not JavaScript at all (",
        PLAYER_JS.replace('"alr", "yes"', '"alr", "no"'),
        PLAYER_JS.replace("o.set(name, encode", "throw new Error('changed'); o.set(name, encode"),
        PLAYER_JS.replace("var n = this", "while (true) {} var n = this"),
    ],
    ids=["no player", "no script", "no function", "a function that throws", "a function without end"],
)
def test_player_that_is_not_solved_is_tried_again_with_a_newer_yt_dlp(take, site, player):
    site.player_js = player
    error = fails(take, wall_s=12)
    assert (error.reason, isinstance(error, TransientError)) == ("solver", True), error.detail
    assert re.search(r"yt-dlp \d{4}\.\d\d?\.\d\d?", error.detail), error.detail
    assert site.server.hits["/videoplayback"] == 0
    assert site.server.hits["/watch"] == 1  # another try in the same run would end the same


@pytest.mark.parametrize(
    ("answer", "reason"), [(status(429), "throttled"), (status(403), "blocked"), (status(502), "network")]
)
def test_player_that_cannot_be_fetched_is_no_fault_of_the_solver(take, site, answer, reason):
    site.server.routes[tube.PLAYER] = answer
    assert fails(take, tries=1, throttle_wait_s=0).reason == reason


def test_what_a_sites_script_says_is_kept_short_and_without_people(take, site):
    site.player_js = PLAYER_JS.replace(
        "o.set(name, encode", "throw new Error('\\x1b[31m jane@doe.org ' + 'x'.repeat(5000)); o.set(name, encode"
    )
    error = fails(take)
    assert error.reason == "solver"
    assert "jane" not in error.detail
    assert "\x1b" not in error.detail
    assert len(error.detail) < 500


def test_only_images_means_that_yt_dlp_is_too_old(take, site):
    site.only_images = True
    error = fails(take)
    assert (error.reason, isinstance(error, TransientError)) == ("solver", True)
    assert "only images" in error.detail


def test_missing_runtime_is_the_machines_fault(take, site, monkeypatch):
    runtime.find.cache_clear()
    monkeypatch.setenv("PATH", "")
    error = fails(take, js_runtime="quickjs")
    assert (error.reason, isinstance(error, TransientError)) == ("runtime", True)
    assert "pip install" in error.detail
    assert site.server.hits["/youtubei/v1/player"] == 0
    assert site.server.hits["/watch"] == 1
    runtime.find.cache_clear()


def test_without_a_runtime_by_choice_yt_dlp_does_what_it_can(take, site):
    error = fails(take, js_runtime="none")
    assert error.reason == "solver"
    assert site.server.hits[tube.PLAYER] == 0


def test_what_the_site_says_is_gone_is_gone_whatever_the_runtime(take, site):
    del site.videos[VIDEO]
    error = fails(take)
    assert (error.reason, isinstance(error, TransientError)) == ("gone", False)


def heard(*lines):
    """Automatic captions: (milliseconds, words that begin 100 ms apart) each, and the line that rolls up."""
    events = []
    for start_ms, text in lines:
        segs = [{"utf8": " " * (place > 0) + word, "tOffsetMs": 100 * place} for place, word in enumerate(text.split())]
        events.append({"tStartMs": start_ms, "dDurationMs": 4000, "segs": segs})
        events.append({"tStartMs": start_ms + 900, "dDurationMs": 10, "aAppend": 1, "segs": [{"utf8": "\n"}]})
    return body(json.dumps({"events": events}).encode(), "application/json")


def test_what_the_site_heard_comes_with_times_of_words_and_is_no_translation(take, site):
    site.captions = {"a.en": heard((100, "hello big world"), (1000, "it turns"))}
    site.description = "A film.\n0:00 The start\n0:01 The end"
    got = take(subtitles=("de", "en")).info
    assert [(line["start_s"], line["end_s"], line["text"]) for line in got["subtitles"]] == [
        (0.1, 1.0, "hello big world"),
        (1.0, 5.0, "it turns"),
    ]
    assert got["subtitles"][0]["word_starts_s"] == [0.1, 0.2, 0.3]
    assert [got[name] for name in ("language", "subtitles_language", "subtitles_origin")] == ["en", "en", "automatic"]
    assert [(one["start_s"], one["end_s"], one["title"]) for one in got["chapters"]] == [
        (0.0, 1.0, "The start"),
        (1.0, 2.0, "The end"),
    ]
    assert len(site.texts) == 1
    assert "tlang" not in site.texts[0]


def test_what_somebody_wrote_wins_and_a_broken_file_costs_only_itself(take, site):
    site.captions = {"a.en": heard((100, "heard")), ".de": heard((100, "geschrieben")), ".fr": status(404)}
    written = take(subtitles=("en", "de")).info
    assert [line["text"] for line in written["subtitles"]] == ["geschrieben"]
    assert [written[name] for name in ("language", "subtitles_language", "subtitles_origin")] == ["en", "de", "manual"]
    broken = take(subtitles=("fr",))
    assert broken.path.read_bytes() == MEDIA
    assert broken.info["subtitles_note"] == "gone"


def test_captions_are_not_asked_for_unless_the_recipe_does(take, site):
    site.captions = {"a.en": heard((100, "heard")), ".de": heard((100, "geschrieben"))}
    got = take().info
    assert (got["subtitles"], got["subtitles_note"], got["language"]) == (None, None, "en")
    assert site.texts == []
    assert take(subtitles=("en",), automatic_subtitles=False).info["subtitles_note"] == "not_offered"
    assert site.texts == []


@pytest.mark.network
def test_freely_licensed_video_of_the_real_site_is_fetched(sandbox, tmp_path):
    """Big Buck Bunny, CC BY 3.0: the one video that yt-dlp's own tests ask for."""
    got = fetch(
        "https://www.youtube.com/watch?v=YE7VzlLtp-4",
        scratch=tmp_path,
        settings=Fetch(),
        sandbox=sandbox,
        gate=HostGate(1, 0, 60),
    )
    assert got.path.stat().st_size > 1_000_000
    assert got.info["title"] == "Big Buck Bunny"
