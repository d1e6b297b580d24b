"""What chance and hostile hands make of a file's bytes, and texts that have broken programs before."""

from __future__ import annotations

import random
from collections.abc import Callable

Mutation = Callable[[bytes, random.Random], bytes]


def flip(data: bytes, chosen: random.Random) -> bytes:
    """One to sixteen bits turned."""
    changed = bytearray(data)
    for _ in range(chosen.choice((1, 2, 4, 16)) if changed else 0):
        changed[chosen.randrange(len(changed))] ^= 1 << chosen.randrange(8)
    return bytes(changed)


def flip_head(data: bytes, chosen: random.Random) -> bytes:
    """The same among the first kilobyte, where sizes and counts stand."""
    return flip(data[:1024], chosen) + data[1024:]


def flip_tail(data: bytes, chosen: random.Random) -> bytes:
    """The same among the last kilobyte, where indexes and footers stand."""
    return data[:-1024] + flip(data[-1024:], chosen)


def cut(data: bytes, chosen: random.Random) -> bytes:
    """The end lost."""
    return data[: chosen.randrange(len(data) + 1)]


def hole(data: bytes, chosen: random.Random) -> bytes:
    """A block of zeros, or of ones."""
    start = chosen.randrange(len(data) + 1)
    size = min(chosen.choice((4, 64, 4096)), len(data) - start)
    return data[:start] + chosen.choice((b"\0", b"\xff")) * size + data[start + size :]


def swell(data: bytes, chosen: random.Random) -> bytes:
    """Four bytes that become a huge number, or a negative one."""
    start = chosen.randrange(max(len(data) - 4, 1))
    number = chosen.choice((b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\0"))
    return data[:start] + number + data[start + 4 :]


def splice(data: bytes, chosen: random.Random) -> bytes:
    """A piece that stands twice, or somewhere else."""
    size = chosen.choice((8, 188, 4096))
    start, place = (chosen.randrange(len(data) + 1) for _ in range(2))
    return data[:place] + data[start : start + size] + data[place:]


MUTATIONS: dict[str, Mutation] = {one.__name__: one for one in (flip, flip_head, flip_tail, cut, hole, swell, splice)}

HOSTILE_TEXTS = (
    "", " ", "\0", "\ufeff", "\ufffe", "\u202e" + "4pm.exe", "a" * 100_000, "🎬" * 5000, "e\u0301" * 1000,
    "'; drop table clips; --", "\" or 1=1", "${jndi:ldap://127.0.0.1/a}", "{{7*7}}", "%s%n%x", "`id`", "$(id)",
    "../../../etc/passwd", "..\\..\\windows", "/dev/zero", "/proc/self/environ", "file:///etc/passwd", "C:\\con",
    "http://", "http://[::1", "http://127.0.0.1:22/", "http://0x7f000001/", "http://a.org:99999/", "http://a b.org/",
    "https://user:secret@a.org/v.mp4", "javascript:alert(1)", "data:video/mp4;base64,AAAA", "ftp://a.org/v.mp4",
    "https://a.org/" + "x" * 9000, "https://\u0430.org/v.mp4", "https://a.org/%00.mp4", "https://a.org/\r\nHost: b",
    "=cmd|' /C calc'!A0", "@SUM(1)", "+1", "-1", "NaN", "inf", "-0", "1e999", "9" * 400, "true", "null", "[]", "{}",
    "[" * 5000, "{\"a\":" * 2000, "<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]>", "\x1b[31m", "\x07",
)  # fmt: skip
"""Each is a link, a title, a cell or a line of somebody's list."""
