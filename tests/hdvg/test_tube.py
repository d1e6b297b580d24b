"""Real yt-dlp, its real solver and a real runtime, in the real airlock, against a stand-in of the large video site."""

import random
import re

import pytest

from hdvg.airlock import Airlock
from hdvg.errors import ItemError, TransientError
from hdvg.sections import Fetch
from hdvg.sources import runtime
from hdvg.sources.fetch import PRELOAD, fetch, look
from hdvg.sources.hosts import HostGate
from tests import tube
from tests.proxy import LoopbackProxy, TestCA
from tests.servers import HostileServer
from tests.tools import need
from tests.tube import PLAYER_JS, Tube

need("deno", "yt_dlp_ejs")

VIDEO = "standin0001"
LINK = f"https://www.youtube.com/watch?v={VIDEO}"
MEDIA = b"\0\0\0\x18ftypmp42" + random.Random(0).randbytes(50_000)


@pytest.fixture(scope="module")
def airlock():
    lock = Airlock(preload=PRELOAD)
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
        yield Fetch(silence_s=5, wall_s=60, tries=3, max_wait_s=1, proxy=proxy.url(), ca_file=path)


@pytest.fixture
def take(airlock, tmp_path, settings):
    def run(link=LINK, *, act=fetch, **changed):
        return act(
            link,
            scratch=tmp_path,
            settings=settings.model_copy(update=changed),
            airlock=airlock,
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


@pytest.mark.network
def test_freely_licensed_video_of_the_real_site_is_fetched(airlock, tmp_path):
    """Big Buck Bunny, CC BY 3.0: the one video that yt-dlp's own tests ask for."""
    got = fetch(
        "https://www.youtube.com/watch?v=YE7VzlLtp-4",
        scratch=tmp_path,
        settings=Fetch(),
        airlock=airlock,
        gate=HostGate(1, 0, 60),
    )
    assert got.path.stat().st_size > 1_000_000
    assert got.info["title"] == "Big Buck Bunny"
