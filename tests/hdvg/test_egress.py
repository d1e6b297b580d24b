"""Real yt-dlp in the real sandbox behind a real proxy on loopback: all goes through it, and only what may."""

import base64
import io
import random
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from rich.console import Console
from urllib3.util import parse_url

from hdvg.config.addresses import VARIABLE
from hdvg.config.fetch import Fetch, host_settings
from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.plan import read_plan
from hdvg.errors import ItemError, ResourceError, TransientError, UsageError
from hdvg.planning import make_plan
from hdvg.sandbox import Sandbox
from hdvg.sources.client import Client
from hdvg.sources.egress import certificates, way_out
from hdvg.sources.fetch import PRELOAD, fetch, look
from hdvg.sources.hops import private_target
from hdvg.sources.hosts import HostGate
from pipelines.run import Task, run
from pipelines.where import Where
from tests import servers as web
from tests.hdvg.test_fetch import ANSWERS, patience_s
from tests.proxy import LoopbackProxy, TestCA

MEDIA = b"\0\0\0\x18ftypmp42" + random.Random(0).randbytes(100_000)
DEMO = Path(__file__).parents[2] / "pipelines" / "demo" / "media"
SETTINGS = Fetch(silence_s=15, wall_s=60, tries=1, max_mb=1.0, max_wait_s=2, throttle_wait_s=0)


@pytest.fixture(scope="module")
def sandbox():
    lock = Sandbox(preload=PRELOAD)
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
def take(sandbox, tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)

    def run(source, *, by=fetch, **changed):
        settings = Fetch.model_validate(SETTINGS.model_dump() | changed)
        return by(source, scratch=tmp_path, settings=settings, sandbox=sandbox, gate=HostGate(4, 0, 2))

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


def test_page_and_segments_of_other_hosts_go_through_the_proxy_as_well(take, server, proxy):
    parts = [bytes([0, number]) * 5000 for number in (1, 2)]
    for number, part in enumerate(parts):
        server.add(f"/{number}.ts", web.body(part, "video/mp2t"))
    server.add_hls("/list.m3u8", ["http://cdn1.example.net/0.ts", "http://cdn2.example.net/1.ts"])
    server.add("/page", web.page('<video src="http://media.example.com/list.m3u8"></video>'))
    got = take("http://www.example.org/page", proxy=proxy.url())
    assert got.path.read_bytes() == b"".join(parts)
    assert {"GET http://cdn1.example.net/0.ts", "GET http://cdn2.example.net/1.ts"} <= set(proxy.asked)


def test_proxy_with_a_certificate_is_spoken_to_by_tls(take, server, ca, ca_file):
    with LoopbackProxy({"*": server}, ca=ca, tls=ca) as proxy:
        for source in ("http://video.example.org/ok.mp4", "https://video.example.org/ok.mp4"):
            assert take(source, proxy=proxy.url("https"), ca_file=ca_file).path.read_bytes() == MEDIA
    assert "CONNECT video.example.org:443" in proxy.asked


def test_look_goes_through_the_proxy(take, server, proxy):
    said = take("http://video.example.org/ok.mp4", by=look, proxy=proxy.url())
    assert said.keys() == {"duration_s", "bytes"}
    assert {f"GET http://video.example.org/{name}" for name in ("robots.txt", "ok.mp4")} <= set(proxy.asked)


def test_variable_wins_over_the_recipe_and_empty_means_none(take, server, proxy, monkeypatch):
    monkeypatch.setenv(VARIABLE, proxy.url())
    take("http://video.example.org/ok.mp4", proxy="http://127.0.0.1:9")
    assert proxy.asked
    before = len(proxy.asked)
    monkeypatch.setenv(VARIABLE, "")
    take(server.url("/ok.mp4"), proxy=proxy.url())
    assert len(proxy.asked) == before


def test_proxies_that_the_environment_names_for_everybody_are_not_used(server, proxy, tmp_path, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy.url())
    fresh = Sandbox(preload=PRELOAD)
    try:
        got = fetch(server.url("/ok.mp4"), scratch=tmp_path, settings=SETTINGS, sandbox=fresh, gate=HostGate(4, 0, 2))
    finally:
        fresh.close()
    assert got.path.read_bytes() == MEDIA
    assert not proxy.asked


def test_missing_name_behind_a_proxy_may_pass(take, server, ca):
    with LoopbackProxy({"video.example.org": server}, ca=ca) as proxy:
        for scheme in ("http", "socks5"):
            error = fails(take, "https://nobody.example.org/ok.mp4", TransientError, proxy=proxy.url(scheme))
            assert error.reason == "network", error.detail


# User and password

USER = "jane%40corp:p%3Ass-w0rd"
PLAIN = "jane@corp:p:ss-w0rd"


def below(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("source", ["http://video.example.org/ok.mp4", "https://video.example.org/ok.mp4"])
def test_user_and_password_reach_the_proxy_and_nothing_else(take, server, ca, ca_file, monkeypatch, scheme, source):
    with LoopbackProxy({"*": server}, ca=ca, user=PLAIN) as proxy:
        monkeypatch.setenv(VARIABLE, proxy.url(scheme, USER))
        got = take(source, ca_file=ca_file)
    assert got.path.read_bytes() == MEDIA
    assert "Proxy-Authorization" not in server.heads["/ok.mp4"]
    said = repr(got) + below(got.path.parent).replace(MEDIA, b"").decode()
    assert not any(secret in said for secret in ("jane", "ss-w0rd"))


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_proxy_that_wants_a_password_stops_the_run_and_is_no_videos_fault(take, server, ca, monkeypatch, scheme):
    with LoopbackProxy({"*": server}, ca=ca, user=PLAIN) as proxy:
        said = str(fails(take, "https://video.example.org/ok.mp4", ResourceError, proxy=proxy.url(scheme)))
        assert VARIABLE in said
        monkeypatch.setenv(VARIABLE, proxy.url("http", "jane:wr0ng-w0rd"))
        said = str(fails(take, "https://video.example.org/ok.mp4", ResourceError))
        assert "wr0ng" not in said
        plain = fails(take, "http://video.example.org/ok.mp4", TransientError)
        assert plain.reason == "network"
        assert "wr0ng" not in plain.detail
    assert not server.hits


def test_host_that_says_407_does_not_stop_the_run(take, server, proxy, ca_file):
    server.add("/no.mp4", web.status(407))
    for source in ("http://video.example.org/no.mp4", "https://video.example.org/no.mp4"):
        assert fails(take, source, TransientError, proxy=proxy.url(), ca_file=ca_file).reason == "network"


def test_password_is_taken_out_of_what_went_wrong(monkeypatch, server):
    with LoopbackProxy({}) as proxy:
        monkeypatch.setenv(VARIABLE, proxy.url("http", USER))
        way = way_out(SETTINGS)
    coded = base64.b64encode(PLAIN.encode()).decode()
    with pytest.raises(ItemError) as failed, way.masked():
        raise ItemError("error", f"{proxy.url('http', USER)} then {PLAIN}, p:ss-w0rd and Basic {coded}")
    assert not any(secret in str(failed.value) + failed.value.detail for secret in ("jane", "w0rd", coded))
    assert "jane" not in repr(way)


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("proxy.example.org:3128", "no proxy's address"),
        ("ftp://jane:s3cret@proxy.example.org:3128", "no proxy's address"),
        ("http://jane:s3cret@proxy.example.org:x", "no proxy's address"),
        ("http://jane:s3cret@proxy.example.org/path", "has no path"),
        ("http://jane:s3cret@127.0.0.1:9", "no proxy answers at 127.0.0.1:9"),
    ],
)
def test_wrong_variable_is_said_before_anything_is_asked(take, monkeypatch, variable, words):
    monkeypatch.setenv(VARIABLE, variable)
    said = str(fails(take, "http://video.example.org/ok.mp4", UsageError))
    assert words in said
    assert VARIABLE in said
    assert not any(secret in said for secret in ("jane", "s3cret"))


def test_password_in_a_recipe_is_refused_with_the_variables_name():
    with pytest.raises(UsageError, match=VARIABLE) as failed:
        parse_recipe({}, ["fetch.proxy=http://jane:s3cret@proxy.example.org:3128"])
    assert not any(secret in str(failed.value) for secret in ("jane", "s3cret"))
    kept = parse_recipe({}, ["fetch.proxy=socks5h://proxy.example.org"]).fetch.proxy
    assert kept == "socks5h://proxy.example.org:1080"


# The walls

SPELLINGS = """
127.0.0.1 127.1 127.0.1 2130706433 0x7f000001 0x7f.0.0.1 0x7F.1 017700000001 0177.0.0.1 0177.0.0.01 127.0.0.1. 127.000.000.001
0 0.0.0.0 0x0 00.0.0.0 10.0.0.1 10.1 012.0.0.1 0xa.1 172.16.0.1 192.168.0.1 192.168.1 3232235521 169.254.169.254 2852039166
0xa9fea9fe 0xA9.254.169.254 0251.0376.0251.0376 100.64.0.1 198.18.0.1 192.0.0.1 192.88.99.1 224.0.0.1 255.255.255.255
256.1.1.1 1.2.3.4.5 8.8.8.0x8 010.8.8.8 134744072
[::1] [::] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] [64:ff9b::127.0.0.1] [64:ff9b::7f00:1]
[64:ff9b:1::a00:1] [2002:7f00:1::] [2001:0:7f00:1::] [2001:20::1] [2001:db8::1] [3fff::1] [fe80::1] [fe80::1%25lo] [fec0::1]
[fc00::1] [fd12:3456::1] [ff02::1] [100::1] [::ffff:8.8.8.8] [2001:10::1] [5f00::1]
localhost LOCALHOST localhost. a.localhost printer router.local nas.lan vault.internal wiki.corp box.home x.home.arpa db.intranet
x.localdomain 1.0.0.127.in-addr.arpa 127.0.0.%31 %6cocalhost a..b -a.example.org
"""


@pytest.mark.parametrize("host", SPELLINGS.split())
def test_private_target_is_refused_by_name_or_address(host):
    for url in (f"http://{host}/x.mp4", f"https://user@{host}:8443/x.mp4", f"http://good.example.org@{host}/"):
        assert private_target(url), url


def test_hosts_that_parsers_read_differently_are_refused():
    for url in (
        "http://good.example.org\\@127.0.0.1/",
        "http://127.0.0.1\\@good.example.org/",
        "http://good.example.org\t@127.0.0.1/",
        "http://good.example.org#@127.0.0.1:80@127.0.0.1/",
        "http:///127.0.0.1/",
        "http://",
    ):
        assert private_target(url) or urlsplit(url).hostname == "good.example.org" == parse_url(url).host, url


def test_public_targets_are_the_proxys_to_reach():
    for host in (
        "example.org",
        "WWW.Example.org",
        "a-b.c_d.example.org.",
        "xn--bcher-kva.example",
        "8.8.8.8",
        "[2600::1]",
    ):
        assert private_target(f"https://{host}:444/x.mp4") is None


LEADS = "127.0.0.2 2130706434 0x7f.2 0177.0.0.2 127.2 [::1] [::ffff:127.0.0.2] localhost localhost. a.localhost printer nas.local"


@pytest.fixture
def inner():
    """A server the fetch must never reach: what it would find behind the firewall."""
    with web.HostileServer("127.0.0.2") as running:
        running.add("/secret.mp4", web.body(MEDIA))
        yield running


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("host", LEADS.split())
def test_redirect_to_a_private_target_is_not_sent_to_the_proxy(take, server, inner, host, scheme):
    server.add("/a", web.redirect(f"http://{host}:{inner.port}/secret.mp4"))
    with LoopbackProxy({"www.example.org": server, "*": inner}) as proxy:
        assert fails(take, "http://www.example.org/a", proxy=proxy.url(scheme)).reason == "forbidden_address"
    assert all("www.example.org" in asked for asked in proxy.asked)
    assert not inner.hits


@pytest.mark.parametrize("way", ["page", "segment", "key", "playlist", "robots", "link", "second hop", "wide"])
def test_private_target_is_not_sent_to_the_proxy_from_anywhere(take, server, inner, ca, way):
    secret = inner.url("/secret.mp4")
    key = f'#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-KEY:METHOD=AES-128,URI="{secret}"\n#EXTINF:2,\n/ok.mp4\n'
    sources = {
        "page": lambda: server.add("/a", web.page(f'<video><source src="{secret}" type="video/mp4"></video>')),
        "segment": lambda: server.add_hls("/a", [secret]),
        "key": lambda: server.add("/a", web.body(key.encode() + b"#EXT-X-ENDLIST", "application/x-mpegurl")),
        "playlist": lambda: server.add("/a", web.page(f'<video src="{inner.url("/list.m3u8")}"></video>')),
        "robots": lambda: server.add("/robots.txt", web.redirect(secret)),
        "wide": lambda: server.add(
            "/a", web.page(f'<video src="http://\uff11\uff12\uff17.0.0.2:{inner.port}/secret.mp4"></video>')
        ),
        "second hop": lambda: (server.add("/b", web.redirect(secret)), server.add("/a", web.redirect("/b"))),
        "link": lambda: None,
    }
    sources[way]()
    source = secret if way == "link" else "http://www.example.org/a"
    with LoopbackProxy({"www.example.org": server, "*": inner}, ca=ca) as proxy:
        assert fails(take, source, proxy=proxy.url(), private_links="allow").reason == "forbidden_address"
    assert all("www.example.org" in asked for asked in proxy.asked)
    assert not inner.hits


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_ends_in_the_same_reason_behind_a_proxy(take, server, proxy, tmp_path, name):
    reason, answer = ANSWERS[name]
    server.add(f"/{name}", answer)
    error = fails(take, f"http://www.example.org/{name}", proxy=proxy.url(), silence_s=patience_s(reason))
    assert error.reason == reason, error.detail
    assert all("www.example.org" in asked for asked in proxy.asked)


# Certificates


def test_certificate_of_ones_own_is_trusted_beside_the_usual_ones(take, ca, ca_file):
    with web.HostileServer(tls=ca.context("127.0.0.1")) as server:
        server.add("/ok.mp4", web.body(MEDIA))
        assert take(server.url("/ok.mp4"), ca_file=ca_file).path.read_bytes() == MEDIA
        assert fails(take, server.url("/ok.mp4"), TransientError).reason in {"network", "protocol"}
    counts = [trusted(None), trusted(certificates(Path(ca_file)))]
    assert counts[1] == counts[0] + 1 > 50


def trusted(ca_pem):
    """How many authorities a client trusts."""
    settings = SETTINGS.model_dump() | {"proxy": None, "ca_pem": ca_pem}
    (handler,) = Client(settings, [])._request_director.handlers.values()
    return handler._make_sslcontext().cert_store_stats()["x509_ca"]


@pytest.mark.parametrize(
    "text", [None, "", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_file_without_certificates_is_named_before_anything_is_asked(take, server, tmp_path, text):
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    said = str(fails(take, server.url("/ok.mp4"), UsageError, ca_file=str(file)))
    assert str(file) in said
    assert not server.hits


def test_certificates_are_found_between_comments_in_any_language(ca, tmp_path):
    ca.write(tmp_path / "one.pem")
    pem = (tmp_path / "one.pem").read_text()
    (tmp_path / "two.pem").write_text(f"# Zertifikat für außen\n{pem}\r\n# Ende\n")
    assert certificates(tmp_path / "two.pem").strip() == pem.strip()


# Addresses of this machine, and the version that is spoken

NEEDS_6 = pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="no IPv6 on this machine")


@NEEDS_6
@pytest.mark.parametrize("version", ["6", "any"])
def test_link_to_ipv6_loopback_is_fetched_where_that_is_spoken(take, version):
    with web.HostileServer("::1") as server:
        server.add("/ok.mp4", web.body(MEDIA))
        assert take(server.url("/ok.mp4"), ip_version=version).path.read_bytes() == MEDIA
        refused = fails(take, server.url("/ok.mp4"), ip_version=version, private_links="refuse")
        assert refused.reason == "forbidden_address"
        assert fails(take, server.url("/ok.mp4")).reason == "forbidden_address"


@NEEDS_6
@pytest.mark.parametrize("host", ["[::1]", "[::ffff:127.0.0.2]", "127.0.0.2", "[fe80::1%25lo]", "localhost", "0x7f.2"])
@pytest.mark.parametrize("version", ["4", "6", "any"])
def test_private_network_is_never_reached_by_a_redirect_in_any_version(take, server, inner, host, version):
    with web.HostileServer("::1") as server6:
        start = server6 if version == "6" else server
        for port in (inner.port, server6.port):
            if (host, port) == ("[::1]", server6.port) and start is server6:
                continue  # its own link
            start.add("/a", web.redirect(f"http://{host}:{port}/secret.mp4"))
            error = fails(take, start.url("/a"), ip_version=version)
            assert error.reason in {"forbidden_address", "network", "gone"}, error.detail
        assert not inner.hits
        assert server6.hits["/secret.mp4"] == 0


@NEEDS_6
def test_proxy_may_have_an_ipv6_address(take, server):
    with LoopbackProxy({"*": server}, host="::1") as proxy:
        take("http://video.example.org/ok.mp4", proxy=proxy.url(), ip_version="6")
        said = str(
            fails(take, "http://video.example.org/ok.mp4", UsageError, proxy=proxy.url(), bind_address="127.0.0.1")
        )
        assert "[::1]" in said


@pytest.mark.parametrize("proxied", [False, True])
def test_connections_leave_from_the_bind_address(take, server, proxy, proxied):
    seen = []
    server.add("/from.mp4", lambda handler: (seen.append(handler.client_address[0]), web.body(MEDIA)(handler)))
    if proxied:
        take("http://video.example.org/from.mp4", bind_address="127.0.0.7", proxy=proxy.url())
        assert set(proxy.clients) == {"127.0.0.7"}
    else:
        take(server.url("/from.mp4"), bind_address="127.0.0.7")
        assert set(seen) == {"127.0.0.7"}


def test_wrong_bind_address_is_named(take, server):
    for version, address in (("4", "eth0"), ("4", "::1"), ("6", "127.0.0.1"), ("any", "127.0.0.1")):
        with pytest.raises(UsageError, match=address):
            parse_recipe({"fetch": {"bind_address": address, "ip_version": version}})
    assert "192.0.2.7" in str(fails(take, server.url("/ok.mp4"), UsageError, bind_address="192.0.2.7"))
    assert not server.hits


# Headers of hosts


def test_headers_of_a_host_go_to_it_and_its_subdomains_alone(take, server, proxy):
    hosts = {"example.org": {"headers": {"X-Purpose": "research", "Accept-Language": "de"}}}
    server.add("/out.mp4", web.redirect("http://www.example.net/there.mp4"))
    server.add("/there.mp4", web.redirect("http://video.example.org/back.mp4"))
    server.add("/back.mp4", web.body(MEDIA))
    take("http://www.example.org/out.mp4", proxy=proxy.url(), hosts=hosts)
    purposes = {
        path: server.heads[path]["X-Purpose"] for path in ("/robots.txt", "/out.mp4", "/there.mp4", "/back.mp4")
    }
    assert purposes == {"/robots.txt": "research", "/out.mp4": "research", "/there.mp4": None, "/back.mp4": "research"}
    assert server.heads["/out.mp4"]["Accept-Language"] == "de"
    assert server.heads["/there.mp4"]["Accept-Language"] != "de"


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "cookie",
        "Proxy-Authorization",
        "X-Api-Key",
        "X-Auth-Token",
        "X-Csrf-Token",
        "Host",
        "Range",
        "a b",
        "",
    ],
)
def test_header_that_is_a_secret_or_not_ones_to_set_is_refused_by_name(name):
    with pytest.raises(UsageError, match="header ") as failed:
        parse_recipe({"fetch": {"hosts": {"example.org": {"headers": {name: "x"}}}}})
    assert name in str(failed.value)


@pytest.mark.parametrize("value", ["a\r\nCookie: b", "a\nb", "é", " a", "\x00"])
def test_header_value_is_one_line_of_printable_ascii(value):
    with pytest.raises(UsageError, match="X-Purpose"):
        parse_recipe({"fetch": {"hosts": {"example.org": {"headers": {"X-Purpose": value}}}}})


def test_host_is_set_on_the_command_line_in_quotes():
    sets = ['fetch.hosts."example.org".interval_s=2', 'fetch.hosts."example.org".headers.X-Purpose=research']
    asked = host_settings(parse_recipe({}, sets).fetch, "www.example.org:8080")
    assert (asked.interval_s, asked.headers) == (2, {"X-Purpose": "research"})


# What all this does not change


def test_the_way_out_shapes_no_result(ca_file):
    plain = {"caption": {"captioner": "none"}}
    other = {"proxy": "http://proxy.example.org:1", "ca_file": ca_file, "ip_version": "6", "bind_address": "::1"}
    hosts = {"example.org": {"interval_s": 2.0, "concurrency": 1, "headers": {"X-Purpose": "research"}}}
    changed = make_plan(parse_recipe(plain | {"fetch": other | {"hosts": hosts}}))
    assert changed.fingerprints == make_plan(parse_recipe(plain)).fingerprints
    assert read_plan(changed.to_toml(), where="here").recipe == changed.recipe


def test_run_says_what_is_wrong_with_the_way_out_before_it_starts(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    (tmp_path / "links.txt").write_text("http://video.example.org/ok.mp4\n")
    wanted = parse_recipe({"caption": {"captioner": "none"}}, ["fetch.proxy=http://127.0.0.1:9"])
    task = Task(links=[str(tmp_path / "links.txt")], where=Where("ray"))
    with pytest.raises(UsageError, match=r"no proxy answers at 127\.0\.0\.1:9"):
        run(tmp_path / "d", wanted, task, Console(file=io.StringIO()))


def test_password_is_in_no_file_of_a_dataset_nor_in_what_a_run_prints(server, ca, ca_file, tmp_path, monkeypatch):
    server.add("/birds.mp4", web.body((DEMO / "birds_720p.mp4").read_bytes()))
    (tmp_path / "links.txt").write_text("https://video.example.org/birds.mp4\nhttps://video.example.org/none.mp4\n")
    said = io.StringIO()
    with LoopbackProxy({"*": server}, ca=ca, user=PLAIN) as proxy:
        monkeypatch.setenv(VARIABLE, proxy.url("http", USER))
        wanted = parse_recipe({"caption": {"captioner": "none"}}, [f"fetch.ca_file={ca_file}"])
        task = Task(links=[str(tmp_path / "links.txt")], where=Where("serial"), stage="download")
        assert run(tmp_path / "d", wanted, task, Console(file=said))
    with Dataset.open(tmp_path / "d").manifest() as manifest:
        told = {row["status"]: row["reason"] for row in manifest.rows("from videos")}
    assert told == {"pending": None, "failed": "gone"}  # one waits for its split
    stored = below(tmp_path / "d").decode("latin-1") + said.getvalue()
    coded = base64.b64encode(PLAIN.encode()).decode()
    assert not any(secret in stored for secret in ("jane", "ss-w0rd", coded, str(proxy.port)))
