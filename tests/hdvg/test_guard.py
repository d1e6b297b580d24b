"""The walls inside the fetching process hold, and the opt-outs of a host are understood."""

import email.message
import ipaddress
import os
import socket
from pathlib import Path

import pytest

from hdvg.airlock import Airlock, Limits
from hdvg.sources.guard import Reach, named_private, public, put_up
from hdvg.sources.optout import header_refusal


@pytest.fixture(scope="module")
def airlock():
    lock = Airlock()
    yield lock
    lock.close()


def break_out(how, target):
    """Run in a child of the airlock: put up the walls and try to get over them."""
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
def test_no_program_starts_and_nothing_is_written_elsewhere(airlock, tmp_path, how):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    kwargs = {"how": how, "target": str(tmp_path / "outside")}
    said = airlock.call("tests.hdvg.test_guard:break_out", kwargs, scratch, Limits(wall_s=10))
    assert said == ("done" if how == "write-inside" else "refused")
    assert not (tmp_path / "outside").exists()


CLOSED = """
127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 255.255.255.255 224.0.0.1 239.1.1.1
240.0.0.1 192.0.0.8 192.0.0.9 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 192.88.99.1 ::1 ::ffff:8.8.8.8
64:ff9b::8.8.8.8 2002:808:808:: 2606:4700::1111 fec0::1 127.1 0x8.8.8.8 134744072 localhost example.com
"""


@pytest.mark.parametrize("address", CLOSED.split())
def test_address_that_is_not_plainly_public_is_closed(address):
    assert not public(address)


def test_only_a_host_that_is_itself_private_is_meant_by_a_link(monkeypatch):
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.168.1.1", 80))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: answer)
    assert named_private("http://innocent.example/x.mp4") == frozenset()
    assert named_private("http://192.168.1.1:8080/x.mp4") == {("192.168.1.1", 8080)}
    assert named_private("https://localhost/x.mp4") == {("127.0.0.1", 443)}
    assert named_private("http://169.254.169.254/x.mp4") == named_private("http://8.8.8.8/x.mp4") == frozenset()


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
