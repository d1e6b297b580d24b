"""Real yt-dlp in the real sandbox against servers on loopback: each way to fail ends in its reason."""

import errno
import os
import random
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hdvg.config.fetch import Fetch
from hdvg.errors import ItemError, NotAskedError, ResourceError, TransientError
from hdvg.sandbox import Sandbox
from hdvg.sources.fetch import PRELOAD, fetch
from hdvg.sources.hosts import HostGate
from hdvg.sources.info import INFO_KEYS, info_row
from tests import servers as web

MEDIA = b"\0\0\0\x18ftypmp42" + random.Random(0).randbytes(100_000)
HTML = b"<!DOCTYPE html><html><body>Sorry</body></html>"
CAP_MB = 1.0
SETTINGS = Fetch(silence_s=15, wall_s=60, tries=1, max_mb=CAP_MB, max_wait_s=2, throttle_wait_s=0)


@pytest.fixture(scope="module")
def sandbox():
    lock = Sandbox(preload=PRELOAD)
    yield lock
    lock.close()


@pytest.fixture
def server():
    with web.HostileServer() as running:
        running.add("/ok.mp4", web.body(MEDIA))
        yield running


@pytest.fixture
def inner():
    """A server the fetch must never reach: what it would find behind the firewall."""
    with web.HostileServer("127.0.0.2") as running:
        running.add("/secret.mp4", web.body(MEDIA))
        yield running


@pytest.fixture
def take(sandbox, tmp_path):
    def run(source, *, gate=None, **changed):
        settings = SETTINGS.model_copy(update=changed)
        return fetch(source, scratch=tmp_path, settings=settings, sandbox=sandbox, gate=gate or HostGate(4, 0, 2))

    return run


def fails(take, source, **changed):
    with pytest.raises(ItemError) as failed:
        take(source, **changed)
    return failed.value


def bytes_below(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


# What works


def test_direct_file_arrives_whole_with_its_info(server, take, tmp_path):
    got = take(server.url("/ok.mp4"))
    assert got.path.read_bytes() == MEDIA
    assert got.path.is_relative_to(tmp_path)
    assert tuple(got.info) == INFO_KEYS
    assert (got.info["title"], got.info["extractor"]) == ("ok", "generic")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [got.path]


@pytest.mark.parametrize("path", ["/get.php", "/video.asp", "/a.exe", "/v.0815", "/x.sh"])
@pytest.mark.parametrize("kind", ["video/mp4", "application/octet-stream", "text/plain"])
def test_media_is_fetched_whatever_its_address_ends_in(server, take, path, kind):
    assert take(server.add(path, web.body(MEDIA, kind))).path.read_bytes() == MEDIA
    assert take(server.add("/page", web.page(f'<video src="{path}"></video>'))).path.read_bytes() == MEDIA


def test_playlist_with_a_second_map_is_unsupported(server, take):
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        "#EXT-X-TARGETDURATION:2",
        '#EXT-X-MAP:URI="/ok.mp4"',
        "#EXTINF:2.0,",
        "/ok.mp4",
    ]
    lines += ['#EXT-X-MAP:URI="/ok.mp4?2"', "#EXTINF:2.0,", "/ok.mp4", "#EXT-X-ENDLIST"]
    source = server.add("/two.m3u8", web.body("\n".join(lines).encode(), "application/vnd.apple.mpegurl"))
    failure = fails(take, source)
    assert failure.reason == "unsupported"
    assert "Initialization fragment found after media fragments" in failure.detail


@pytest.mark.parametrize("length", [-5, "five", "0x10", "1.5"])
def test_length_that_is_no_number_is_a_fault_of_the_protocol(server, take, length):
    failure = fails(take, server.add("/odd.mp4", web.short(MEDIA, length)))
    assert (failure.reason, type(failure)) == ("protocol", TransientError)


class Liar(Sandbox):
    """A child that names another file than its own."""

    def __init__(self, **named):
        super().__init__()
        self._named = named

    def call(self, call, scratch, limits, *, answer=None):
        rest = {"info": info_row({}), "choice": None, "excerpt": None, "whole_because": None}
        own = {"path": f"{call.arguments['out']}/source.bin", "sound": None}
        return call.checked(rest | own | self._named)


@pytest.mark.parametrize("named", [{"path": __file__}, {"path": "source.bin"}, {"sound": "../../secret"}])
def test_file_that_a_child_names_outside_its_folder_is_not_taken(tmp_path, named):
    with pytest.raises(ItemError, match="outside its folder"):
        fetch(
            "http://127.0.0.1/a.mp4", scratch=tmp_path, settings=Fetch(), sandbox=Liar(**named), gate=HostGate(4, 0, 2)
        )


def test_hls_segments_arrive_in_order(server, take):
    parts = [bytes([0, number]) * 5000 for number in (1, 2, 3)]
    for number, part in enumerate(parts):
        server.add(f"/{number}.ts", web.body(part, "video/mp2t"))
    got = take(server.add_hls("/list.m3u8", ["/0.ts", "/1.ts", "/2.ts"]))
    assert got.path.read_bytes() == b"".join(parts)


@pytest.mark.parametrize("html", ['<video src="/ok.mp4"></video>', '<video src="/ok.mp4"></video><video src="/2.mp4">'])
def test_page_gives_its_first_video(server, take, html):
    got = take(server.add("/page", web.page(html)))
    assert got.path.read_bytes() == MEDIA
    assert got.info["title"].startswith("A page")
    assert server.hits["/2.mp4"] == 0


def test_names_on_disk_never_come_from_the_source(server, take, tmp_path):
    address = server.add(
        "/..%2f..%2fevil%00.mp4", web.body(MEDIA, Content_Disposition='attachment; filename="../../x"')
    )
    got = take(address)
    assert got.path.name == "source.bin"
    assert re.fullmatch(r"fetch-[0-9a-f]{32}", got.path.parent.name)
    assert list(tmp_path.iterdir()) == [got.path.parent]


def test_local_file_is_taken_without_a_child(take, tmp_path):
    video = tmp_path / "my film.mp4"
    video.write_bytes(MEDIA)
    got = take(video.as_uri())
    assert got.path.read_bytes() == MEDIA
    assert tuple(got.info) == INFO_KEYS
    assert got.info["title"] == "my film"
    got.path.unlink()
    assert fails(take, video.as_uri(), max_mb=0.01).reason == "too_big"
    video.unlink()
    assert fails(take, video.as_uri()).reason == "gone"


def test_local_file_is_copied_never_shared(take, tmp_path):
    video = tmp_path / "film.mp4"
    video.write_bytes(MEDIA)
    got = take(video.as_uri())
    with video.open("r+b") as file:
        file.write(b"changed")
    assert got.path.read_bytes() == MEDIA
    assert got.path.stat().st_nlink == 1


def test_full_disk_stops_the_run(server, take, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    monkeypatch.setattr("os.copy_file_range", full)
    (tmp_path / "film.mp4").write_bytes(MEDIA)
    with pytest.raises(ResourceError):
        take((tmp_path / "film.mp4").as_uri())


# What fails, and how it is called

ANSWERS = {
    "missing": ("gone", web.status(404)),
    "removed": ("gone", web.status(410)),
    "login": ("private", web.status(401)),
    "forbidden": ("blocked", web.status(403)),
    "legal": ("geo", web.status(451)),
    "teapot": ("error", web.status(418)),
    "busy": ("throttled", web.status(503)),
    "slow-down": ("throttled", web.status(429)),
    "broken": ("network", web.status(502)),
    "reset": ("network", web.raw(b"")),
    "garbage": ("protocol", web.raw(b"\x16\x03\x01 hello\r\n\r\n")),
    "headers": ("protocol", web.raw(b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 300 + b"\r\n")),
    "long-header": ("protocol", web.raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n")),
    "short": ("short", web.short(MEDIA, len(MEDIA) * 5)),
    "silence": ("timeout", web.silence()),
    "endless": ("too_big", web.endless()),
    "endless-page": ("too_big", web.endless("text/html")),
    "long": ("too_big", web.short(MEDIA, 50 << 20)),
    "bomb": ("too_big", web.bomb(30)),
    "bomb-page": ("too_big", web.bomb(30, "text/html")),
    "to-file": ("redirect", web.redirect("file:///etc/passwd")),
    "to-data": ("redirect", web.redirect("data:video/mp4;base64,AAAA")),
    "to-ftp": ("redirect", web.redirect("ftp://127.0.0.1/x.mp4")),
    "page-file": ("redirect", web.page('<video src="file:///etc/passwd"></video>')),
    "page": ("not_media", web.page("hello")),
    "html-as-mp4": ("not_media", web.body(HTML)),
    "json-as-mp4": ("not_media", web.body(b'{"error": "no"}')),
    "json": ("not_media", web.body(b'{"error": "no"}', "application/json")),
    "empty": ("not_media", web.body(b"")),
    "sound": ("no_video", web.body(MEDIA, "audio/mpeg")),
    "noai": ("opt_out", web.body(MEDIA, X_Robots_Tag="noindex, noai")),
    "reserved": ("opt_out", web.body(MEDIA, TDM_Reservation="1")),
    "meta-noai": ("opt_out", web.page('<meta name="robots" content="noindex, noai"><video src="/ok.mp4"></video>')),
    "meta-late": ("opt_out", web.page("<p>" * 50_000 + "<meta content='1' name=TDM-Reservation><video src='/ok.mp4'>")),
}


def patience_s(reason):
    """Longest silence in a test: short only where one is to come, for a machine at work may hold back any answer."""
    return 0.4 if reason == "timeout" else 15


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_ends_in_its_reason(server, take, tmp_path, name):
    reason, answer = ANSWERS[name]
    error = fails(take, server.add(f"/{name}", answer), silence_s=patience_s(reason))
    assert error.reason == reason, error.detail
    assert isinstance(error, TransientError) == (reason in {"throttled", "network", "protocol", "short", "timeout"})
    assert bytes_below(tmp_path) == 0
    assert server.hits[f"/{name}"] <= 2  # one look, one download


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("http://127.0.0.1:9/x.mp4", "network"),
        ("http://nobody.invalid/x.mp4", "network"),
        ("http://[::1]:80/x.mp4", "forbidden_address"),
        ("http://169.254.169.254/latest/meta-data", "forbidden_address"),
        ("http://0.0.0.0/x.mp4", "forbidden_address"),
        ("http://100.64.0.1/x.mp4", "forbidden_address"),
        ("http://224.0.0.1/x.mp4", "forbidden_address"),
    ],
)
def test_address_ends_in_its_reason(take, source, reason):
    assert fails(take, source).reason == reason


def test_redirect_loop_ends_after_ten_hops(server, take):
    assert fails(take, server.add("/loop", web.redirect("/loop"))).reason == "redirect"
    assert server.hits["/loop"] == 11


@pytest.mark.parametrize("where", ["link", "page"])
def test_playlist_without_an_end_is_live(server, take, where):
    source = server.add_hls("/live.m3u8", ["/ok.mp4"], ended=False)
    if where == "page":
        source = server.add("/page", web.page('<video src="/live.m3u8"></video>'))
    assert fails(take, source).reason == "live"
    assert server.hits["/ok.mp4"] == 0


def test_long_video_is_refused_before_its_first_byte(server, take):
    source = server.add_hls("/long.m3u8", ["/ok.mp4"] * 10)
    assert fails(take, source, max_duration_s=15).reason == "too_long"
    assert server.hits["/ok.mp4"] == 0


def test_missing_segment_fails_the_video(server, take):
    assert fails(take, server.add_hls("/gap.m3u8", ["/ok.mp4", "/none.ts", "/ok.mp4"])).reason == "gone"


def test_many_small_segments_do_not_pass_the_cap(server, take, tmp_path):
    source = server.add_hls("/many.m3u8", ["/ok.mp4"] * 40)
    assert fails(take, source).reason == "too_big"
    assert server.hits["/ok.mp4"] <= CAP_MB * 2**20 / len(MEDIA) + 1
    assert bytes_below(tmp_path) == 0


def test_dripping_server_is_ended_by_the_clock(server, take):
    source = server.add("/drip.mp4", web.drip(MEDIA, every_s=0.2))
    start = time.monotonic()
    error = fails(take, source, wall_s=1.5)
    assert (error.reason, type(error)) == ("timeout", TransientError)
    assert time.monotonic() - start < 30  # of hours


@pytest.mark.parametrize("kind", ["endless", "bomb"])
def test_bytes_on_disk_never_exceed_the_cap(server, take, tmp_path, kind):
    source = server.add("/big.mp4", web.endless() if kind == "endless" else web.bomb(30))
    seen, stop = [0], threading.Event()

    def watch():
        while not stop.wait(0.001):
            try:
                seen.append(bytes_below(tmp_path))
            except FileNotFoundError:
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    error = fails(take, source)
    stop.set()
    watcher.join()
    assert error.reason == "too_big"
    assert max(seen) <= CAP_MB * 2**20 + 4096  # the sandbox's own result


# The walls


@pytest.mark.parametrize("way", ["redirect", "page", "segment", "key", "playlist", "robots"])
def test_private_network_is_never_reached(server, inner, take, way):
    secret = inner.url("/secret.mp4")
    key = f'#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-KEY:METHOD=AES-128,URI="{secret}"\n#EXTINF:2,\n/ok.mp4\n'
    sources = {
        "redirect": lambda: server.add("/a", web.redirect(secret)),
        "page": lambda: server.add("/a", web.page(f'<video><source src="{secret}" type="video/mp4"></video>')),
        "segment": lambda: server.add_hls("/a.m3u8", [secret]),
        "key": lambda: server.add("/a.m3u8", web.body(key.encode() + b"#EXT-X-ENDLIST", "application/x-mpegurl")),
        "playlist": lambda: server.add("/a", web.page(f'<video src="{inner.url("/list.m3u8")}"></video>')),
        "robots": lambda: server.add("/robots.txt", web.redirect(secret)).replace("robots.txt", "ok.mp4"),
    }
    assert fails(take, sources[way]()).reason == "forbidden_address"
    assert not inner.hits


def test_other_ports_of_the_named_host_are_closed(server, take):
    with web.HostileServer() as other:
        error = fails(take, server.add("/a", web.redirect(other.url("/x.mp4"))))
        assert error.reason == "forbidden_address"
        assert not other.hits


def test_private_link_is_refused_when_the_settings_say_so(server, take):
    assert fails(take, server.url("/ok.mp4"), private_links="refuse").reason == "forbidden_address"
    assert not server.hits


def test_plugins_on_the_machine_are_not_loaded(server, tmp_path, monkeypatch):
    plugins = tmp_path / "path" / "yt_dlp_plugins" / "extractor"
    plugins.mkdir(parents=True)
    (plugins / "bad.py").write_text("import os\nos._exit(7)  # the child would end without a result")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "path"), os.environ.get("PYTHONPATH", "")]))
    fresh = Sandbox(preload=PRELOAD)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    try:
        gate = HostGate(4, 0, 2)
        fetch(server.url("/ok.mp4"), scratch=scratch, settings=SETTINGS, sandbox=fresh, gate=gate)
    finally:
        fresh.close()


# The manners


def test_robots_txt_that_forbids_us_is_heeded_before_the_first_request(server, take):
    server.add("/robots.txt", web.body(b"User-agent: hdvg\nDisallow: /ok\n", "text/plain"))
    assert fails(take, server.url("/ok.mp4")).reason == "opt_out"
    assert fails(take, server.add("/page", web.page('<video src="/ok.mp4"></video>'))).reason == "opt_out"
    assert server.hits["/ok.mp4"] == 0
    server.add("/robots.txt", web.body(b"User-agent: other\nDisallow: /\n", "text/plain"))
    assert take(server.url("/ok.mp4")).path.read_bytes() == MEDIA


def test_robots_txt_is_asked_once_a_video_and_its_failure_allows(server, take):
    server.add("/robots.txt", web.status(500))
    take(server.add("/page", web.page('<video src="/ok.mp4"></video>')))
    assert server.hits["/robots.txt"] == 1


def test_reservation_in_tdmrep_json_is_heeded_before_the_first_request(server, take):
    rules = b'[{"location": "/free/*", "tdm-reservation": 0}, {"location": "/*.mp4$", "tdm-reservation": 1}]'
    server.add("/.well-known/tdmrep.json", web.body(rules, "application/json"))
    assert fails(take, server.url("/ok.mp4")).detail.startswith("tdmrep.json of 127.0.0.1")
    assert fails(take, server.add("/page", web.page('<video src="/ok.mp4"></video>'))).reason == "opt_out"
    assert server.hits["/ok.mp4"] == 0
    assert take(server.add("/free/ok.mp4", web.body(MEDIA))).path.read_bytes() == MEDIA


def test_robots_txt_is_read_whole_whatever_the_bandwidth(server, take):
    rules = b"User-agent: other\nAllow: /\n" + (b"#" * 1000 + b"\n") * 300 + b"User-agent: hdvg\nDisallow: /ok\n"
    server.add("/robots.txt", web.body(rules, "text/plain"))
    assert fails(take, server.url("/ok.mp4"), max_mb_s=1.0, gate=HostGate.of(Fetch(max_mb_s=1.0))).reason == "opt_out"


def test_signal_against_training_in_robots_txt_is_heeded(server, take):
    server.add(
        "/robots.txt", web.body(b"User-Agent: *\nContent-signal: search=yes, ai-train=no\nAllow: /\n", "text/plain")
    )
    assert fails(take, server.url("/ok.mp4")).reason == "opt_out"
    assert server.hits["/ok.mp4"] == 0


def test_page_whose_meta_tags_say_something_else_is_taken(server, take):
    tags = (
        '<meta name="robots" content="noindex"><meta name="tdm-reservation" content="0"><meta name="x" content="noai">'
    )
    assert take(server.add("/page", web.page(tags + '<video src="/ok.mp4"></video>'))).path.read_bytes() == MEDIA


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_throttled_host_is_asked_again_after_its_retry_after(server, take, form):
    asked = "1" if form == "seconds" else web.http_date(4)
    server.add("/busy.mp4", web.status(429, Retry_After=asked), web.body(MEDIA))
    assert take(server.url("/busy.mp4"), throttle_wait_s=10).path.read_bytes() == MEDIA
    first, second = server.times["/busy.mp4"][:2]
    assert second - first >= 0.9


def test_throttled_try_is_none_of_the_tries(server, take):
    server.add("/busy.mp4", *[web.status(429)] * 2, web.status(500), web.status(503), web.body(MEDIA))
    assert take(server.url("/busy.mp4"), tries=2, throttle_wait_s=30).path.read_bytes() == MEDIA


def test_host_that_throttles_for_ever_is_not_asked_for_ever(server, take):
    server.add("/busy", web.status(429))
    start = time.monotonic()
    assert fails(take, server.url("/busy"), throttle_wait_s=2.5).reason == "throttled"
    assert time.monotonic() - start < 30
    assert server.hits["/busy"] == 2  # at 0 s and 1 s; the pause after that one is longer than what is left


def test_retry_after_that_is_longer_than_a_fetch_waits_ends_it_at_once(server, take):
    server.add("/busy", web.status(429, Retry_After="60"))
    start = time.monotonic()
    assert fails(take, server.url("/busy"), gate=HostGate(4, 0, 600), throttle_wait_s=30).reason == "throttled"
    assert time.monotonic() - start < 30
    assert server.hits["/busy"] == 1


def test_throttled_host_is_slowed_for_everybody(server, take):
    gate = HostGate(4, 0, 2)
    host = f"127.0.0.1:{server.port}"
    fails(take, server.add("/busy", web.status(429, Retry_After="9999")), gate=gate)
    assert 1 < gate.ask(host) <= 2


@pytest.mark.slow
def test_run_settles_at_what_a_host_accepts_and_loses_nothing(server, take, sandbox, tmp_path):
    """The host counts requests of pages, one a fetch."""
    per_min, spent_s, settled_s = 80, 20.0, 5.0
    take(server.url("/ok.mp4"))  # starts the sandbox
    film = web.page('<video src="/ok.mp4"></video>')
    server.add("/film", web.throttled(film, per_min=per_min, burst=5, Retry_After="1"))
    settings = Fetch(max_mb=CAP_MB, per_host=4)
    gate = HostGate.of(settings)
    begin = time.monotonic()

    def fetch_on(_: int) -> int:
        count = 0
        while time.monotonic() - begin < spent_s:
            got = fetch(server.url("/film"), scratch=tmp_path, settings=settings, sandbox=sandbox, gate=gate)
            assert got.path.read_bytes() == MEDIA
            count += 1
        return count

    with ThreadPoolExecutor(6) as pool:
        fetched = sum(pool.map(fetch_on, range(6)))
    late = [at for at in server.accepted if settled_s <= at - begin < spent_s]
    assert 60 * len(late) / (spent_s - settled_s) == pytest.approx(per_min, rel=0.2)
    (figures,) = gate.figures().values()
    assert figures["ok"] == fetched
    assert set(figures["refused"]) == {"throttled"}
    assert figures["limit_per_min"] == pytest.approx(per_min, rel=0.5)


def test_run_keeps_to_its_bandwidth(server, sandbox, tmp_path):
    film = MEDIA + bytes(1_400_000)
    server.add("/film.mp4", web.body(film))
    settings = Fetch(max_mb_s=1.0)
    gate = HostGate.of(settings)
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(fetch, server.url("/film.mp4"), scratch=tmp_path, settings=settings, sandbox=sandbox, gate=gate)
            for _ in range(2)
        ]
        assert all(job.result().path.read_bytes() == film for job in jobs)
    spent_s = time.monotonic() - min(server.times["/film.mp4"])
    due_s = 2 * len(film) / 2**20
    assert 0.85 * due_s <= spent_s < 5 * due_s


def test_unlimited_fetch_asks_nothing_about_its_bytes(server, take, monkeypatch):
    asked = []
    monkeypatch.setattr(HostGate, "spend", lambda _, n_bytes: asked.append(n_bytes) or 0.0)
    take(server.url("/ok.mp4"))
    assert asked == []
    take(server.url("/ok.mp4"), max_mb_s=0.1)
    assert sum(asked) >= len(MEDIA)


def test_failing_server_is_tried_again_with_growing_pauses(server, take):
    server.add("/flaky.mp4", web.status(500), web.status(502), web.body(MEDIA))
    assert take(server.url("/flaky.mp4"), tries=3).path.read_bytes() == MEDIA
    first, second, third = server.times["/flaky.mp4"][:3]
    assert 0.5 <= second - first <= 1.5 + 10
    assert 1.0 <= third - second <= 2 + 10  # doubled, capped by max_wait_s


def test_changed_file_is_never_spliced(server, take):
    other = bytes(reversed(MEDIA))
    torn = web.short(MEDIA[:50_000], len(MEDIA))
    server.add("/torn.mp4", web.body(MEDIA), torn, web.body(other))
    assert take(server.url("/torn.mp4"), tries=2, max_wait_s=0.1).path.read_bytes() == other


def test_final_failure_is_not_tried_again(server, take):
    assert fails(take, server.url("/none.mp4"), tries=3).reason == "gone"
    assert server.hits["/none.mp4"] == 1


def test_host_that_goes_on_refusing_is_left_alone_and_permits_come_back(server, take, monkeypatch):
    monkeypatch.setattr("hdvg.sources.hosts.host.REFUSALS", 2)
    gate = HostGate(1, 0, 2)
    take(server.url("/ok.mp4"), gate=gate)
    fails(take, server.url("/none.mp4"), gate=gate)
    assert fails(take, server.add("/403", web.status(403)), gate=gate).reason == "blocked"
    take(server.url("/ok.mp4"), gate=gate)
    assert [fails(take, server.url("/403"), gate=gate).reason for _ in range(2)] == ["blocked"] * 2
    before = server.hits.total()
    with pytest.raises(NotAskedError):
        take(server.url("/ok.mp4"), gate=gate)
    assert server.hits.total() == before
