"""Real yt-dlp in the real airlock behind a real proxy on loopback: all goes through it, and only what may."""

import random

import pytest

from hdvg.airlock import Airlock
from hdvg.errors import ItemError
from hdvg.sections import Fetch
from hdvg.sources.egress import VARIABLE
from hdvg.sources.fetch import PRELOAD, fetch
from hdvg.sources.hosts import HostGate
from tests import servers as web
from tests.proxy import LoopbackProxy, TestCA

MEDIA = b"\0\0\0\x18ftypmp42" + random.Random(0).randbytes(100_000)
SETTINGS = Fetch(silence_s=2, wall_s=20, tries=1, max_mb=1.0, max_wait_s=2)


@pytest.fixture(scope="module")
def airlock():
    lock = Airlock(preload=PRELOAD)
    yield lock
    lock.close()


@pytest.fixture(scope="module")
def ca():
    return TestCA()


@pytest.fixture
def ca_file(ca, tmp_path):
    return ca.write(tmp_path / "ca.pem")


@pytest.fixture
def server():
    with web.HostileServer() as running:
        running.add("/ok.mp4", web.body(MEDIA))
        yield running


@pytest.fixture
def proxy(server, ca):
    with LoopbackProxy({"*": server}, ca=ca) as running:
        yield running


@pytest.fixture
def take(airlock, tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)

    def run(source, *, by=fetch, **changed):
        settings = Fetch.model_validate(SETTINGS.model_dump() | changed)
        return by(source, scratch=tmp_path, settings=settings, airlock=airlock, gate=HostGate(4, 0, 2))

    return run


def fails(take, source, kind=ItemError, **changed):
    with pytest.raises(kind) as failed:
        take(source, **changed)
    return failed.value


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
@pytest.mark.parametrize("source", ["http://video.example.org/ok.mp4", "https://video.example.org/ok.mp4"])
def test_all_requests_go_through_the_proxy_which_looks_names_up(take, server, proxy, ca_file, scheme, source):
    assert take(source, proxy=proxy.url(scheme), ca_file=ca_file).path.read_bytes() == MEDIA
    assert server.hits["/robots.txt"] == 1
    assert all("video.example.org" in asked for asked in proxy.asked)
    assert len(proxy.asked) >= (1 if source.startswith("https") or scheme != "http" else 3)
