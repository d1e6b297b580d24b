"""The walls inside the fetching process hold, and the opt-outs of a host are understood."""

import _socket
import email.message
import ipaddress
import os
import socket
from pathlib import Path

import pytest

from hdvg.errors import ItemError
from hdvg.sandbox import Limits, Sandbox
from hdvg.sandbox.seam import in_child
from hdvg.sources.egress import place
from hdvg.sources.guard import Reach, named_private, proxy_only, public, put_up
from hdvg.sources.optout import header_refusal


@pytest.fixture(scope="module")
def sandbox():
    lock = Sandbox(mode="off")  # the guard alone, without the kernel's walls behind it
    yield lock
    lock.close()


@in_child
def break_out(how: str, target: str) -> str:
    """Run in a child of the sandbox: put up the walls and try to get over them."""
    put_up(Reach(), writable=(Path.cwd(),))
    acts = {
        "shell": lambda: os.system("true"),
        "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "fork": os.fork,
        "write": lambda: Path(target).write_text("x"),
        "write-inside": lambda: Path("inside").write_text("x"),
    }
    try:
        acts[how]()
    except PermissionError:
        return "refused"
    return "done"


@pytest.mark.parametrize("how", ["shell", "spawn", "exec", "fork", "write", "write-inside"])
def test_no_program_starts_and_nothing_is_written_elsewhere(sandbox, tmp_path, how):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    said = sandbox.call(break_out(how, str(tmp_path / "outside")), scratch, Limits(wall_s=10))
    assert said == ("done" if how == "write-inside" else "refused")
    assert not (tmp_path / "outside").exists()


@in_child
def around(proxy: str) -> dict[str, str]:
    """Run in a child of the sandbox: what comes of each way around the one proxy that it may connect to."""
    put_up(proxy_only(proxy, ip_version="any"), writable=(Path.cwd(),))
    host, port = place(proxy)
    acts = {
        "the proxy": lambda: socket.create_connection((host, port), timeout=1),
        "public": lambda: socket.create_connection(("8.8.8.8", 53), timeout=1),
        "raw": lambda: socket.socket().connect(("8.8.8.8", 53)),
        "datagram": lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("8.8.8.8", 53)),
        "other port": lambda: socket.create_connection((host, port + 1), timeout=1),
        "raw other port": lambda: socket.socket().connect((host, port + 1)),
        "look up": lambda: socket.getaddrinfo("proxy.example.org", 80),
        "look up by C": lambda: _socket.getaddrinfo("proxy.example.org", 80),
        "old look up": lambda: socket.gethostbyname("proxy.example.org"),
    }
    said = {}
    for name, act in acts.items():
        try:
            act()
            said[name] = "done"
        except (ItemError, OSError) as error:
            said[name] = str(error)
    return said


def test_with_a_proxy_nothing_else_is_reached_or_looked_up(sandbox, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        asked = around(f"http://jane:s3cret@127.0.0.1:{proxy.getsockname()[1]}")
        said = sandbox.call(asked, tmp_path, Limits(wall_s=10))
    assert said.pop("the proxy") == "done"
    assert all("forbidden_address" in text or "looked up by the proxy" in text for text in said.values()), said


CLOSED = """
127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 255.255.255.255 224.0.0.1 239.1.1.1
240.0.0.1 192.0.0.8 192.0.0.9 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 192.88.99.1 ::1 ::ffff:8.8.8.8
64:ff9b::8.8.8.8 2002:808:808:: 2606:4700::1111 fec0::1 127.1 0x8.8.8.8 134744072 localhost example.com
"""


@pytest.mark.parametrize("address", CLOSED.split())
def test_address_that_is_not_plainly_public_is_closed(address):
    assert not public(address)


CLOSED_6 = """
:: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:808:808 ::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::8.8.8.8
64:ff9b:1::1 64:ff9b:1:ffff::8.8.8.8 100::1 2001::1 2001:0:7f00:1:: 2001:2::1 2001:10::1 2001:20::1 2001:1ff:ffff::1 2001:db8::1
2001:DB8::1 2002:: 2002:7f00:1:: 2002:808:808::1 3fff::1 3fff:fff::1 4000::1 5f00::1 fc00::1 fd00::1 fdff:ffff::1 fe80::1 fe80::1%lo
fe80::1%1 2606:4700::1111%eth0 febf::1 fec0::1 feff::1 ff02::1 ff0e::1 [2606:4700::1111] 2606:4700::1111. 2606:4700::g 1:2:3:4:5:6:7:8
"""


@pytest.mark.parametrize("address", CLOSED_6.split())
def test_address_that_is_not_global_unicast_or_leads_into_version_4_is_closed(address):
    assert not public(address, ip_version="6")
    assert not public(address, ip_version="any")


def test_each_version_is_open_only_where_it_is_spoken():
    four, six = ("8.8.8.8", "151.101.1.69"), ("2606:4700::1111", "2a00:1450:4001:80b::200e", "2001:4860:4860::8888")
    assert all(public(address, ip_version=version) for address in four for version in ("4", "any"))
    assert all(public(address, ip_version=version) for address in six for version in ("6", "any"))
    assert not any(public(address, ip_version="6") for address in (*four, *CLOSED.split()) if ":" not in address)
    assert not any(public(address) for address in six)
    assert not any(public(address, ip_version="any") for address in CLOSED.split() if address != "2606:4700::1111")


def test_only_a_host_that_is_itself_private_is_meant_by_a_link(monkeypatch):
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.168.1.1", 80))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: answer)
    assert named_private("http://innocent.example/x.mp4") == frozenset()
    assert named_private("http://192.168.1.1:8080/x.mp4") == {("192.168.1.1", 8080)}
    assert named_private("https://localhost/x.mp4") == {("127.0.0.1", 443)}
    assert named_private("http://169.254.169.254/x.mp4") == named_private("http://8.8.8.8/x.mp4") == frozenset()


def test_link_may_mean_a_private_address_of_version_6_where_that_is_spoken():
    assert named_private("http://[::1]:8080/x.mp4", ip_version="6") == {("::1", 8080)}
    assert named_private("http://[FD00:0::5]/x.mp4", ip_version="any") == {("fd00::5", 80)}
    assert named_private("https://localhost/x.mp4", ip_version="any") == {("127.0.0.1", 443), ("::1", 443)}
    assert (
        named_private("http://[::1]:8080/x.mp4")
        == named_private("http://127.0.0.1/x.mp4", ip_version="6")
        == frozenset()
    )
    for host in ("fe80::1", "::ffff:127.0.0.1", "::", "64:ff9b::7f00:1", "2002:7f00:1::", "fec0::1", "ff02::1"):
        assert named_private(f"http://[{host}]/x.mp4", ip_version="any") == frozenset()


def test_public_addresses_are_open():
    assert all(public(address) for address in ("8.8.8.8", "1.1.1.1", "151.101.1.69"))
    assert not any(public(str(ip)) for ip in ipaddress.ip_network("127.0.0.0/28"))


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({"X-Robots-Tag": "noai"}, True),
        ({"X-Robots-Tag": "noindex, NoImageAI"}, True),
        ({"X-Robots-Tag": "hdvg: nodownload"}, True),
        ({"X-Robots-Tag": "otherbot: noai, nodownload"}, False),
        ({"X-Robots-Tag": "unavailable_after: 25 Jun 2030 15:00:00 PST, noai"}, True),
        ({"X-Robots-Tag": "noindex, nofollow"}, False),
        ({"TDM-Reservation": "1"}, True),
        ({"TDM-Reservation": "0"}, False),
    ],
)
def test_opt_out_header_is_understood(headers, refused):
    message = email.message.Message()
    for name, value in headers.items():
        message[name] = value
    assert (header_refusal(message) is not None) == refused
