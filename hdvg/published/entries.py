"""What a reader of published metadata gives: videos with their scenes, and what cannot be read, each with its place."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

SCENE = (
    "given_id", "parent", "parent_start_ms", "parent_end_ms", "fps", "start_frame", "end_frame", "start_ms", "end_ms",
    "caption", "extra",
)  # fmt: skip
"""The columns of `given` that a reader fills, in the order of a scene's tuple."""

Scene = tuple[Any, ...]
STAMP = re.compile(r"(?:(\d+):)?(\d+):(\d\d)(?:\.(\d{1,3})\d*)?", re.ASCII)
TWO = {f"{number:02}": number for number in range(100)}
YOUTUBE_ID = re.compile(r"[\w-]{11}", re.ASCII)
UNREADABLE = (KeyError, TypeError, ValueError, RecursionError, OverflowError)
"""What an entry of another shape than the set's raises where it is read."""


@dataclass(frozen=True)
class Bad:
    """An entry, or a scene of it, that cannot be taken: what it calls itself, if that can be read, and why."""

    name: str | None
    why: str


class Entry(NamedTuple):
    """One video as an entry names it, its scenes in their order there.

    `at`: the byte from 0 where the entry begins in a JSON object, else its line or row from 1; `number`: how many entries
    stand before it, and one. Without a `link`, `why` says what is wrong with it.
    """

    link: str | None
    number: int
    at: int
    scenes: list[Scene | Bad]
    why: str = ""


class Source:
    """A file to read, that reports to `say` how many bytes are done."""

    def __init__(self, path: Path, say: Callable[[int], object] = lambda done: None) -> None:
        self.path = path
        self.say = say

    def chunks(self, size: int) -> Iterable[bytes]:
        """The file's bytes, `size` at a time."""
        with self.path.open("rb") as file:
            for chunk in iter(lambda: file.read(size), b""):
                self.say(file.tell())
                yield chunk

    def lines(self, most: int) -> Iterable[bytes]:
        """The file's lines with their ends; of one over `most` bytes so much only, and a line end."""
        with self.path.open("rb") as file:
            for number, line in enumerate(iter(lambda: _line(file, most), b"")):
                if number % 4096 == 0:
                    self.say(file.tell())
                yield line
            self.say(file.tell())


def _line(file: BinaryIO, most: int) -> bytes:
    line = file.readline(most)
    if len(line) < most or line.endswith(b"\n"):
        return line
    while (rest := file.readline(1 << 20)) and not rest.endswith(b"\n"):
        pass
    return line + b"\n"


def said(error: BaseException) -> str:
    """An error of `UNREADABLE` in words."""
    if isinstance(error, KeyError):
        return f"no `{error.args[0]}`"
    if isinstance(error, UnicodeError):
        return "not UTF-8"
    return str(error).partition("\n")[0][:200] or type(error).__name__


def stamp_ms(text: str) -> int:
    """`[HH:]MM:SS[.mmm]` in milliseconds, further digits cut off. Raises ValueError, TypeError."""
    if text[2:9:3] == "::.":  # nearly all are HH:MM:SS.mmm, and there are two a clip: this takes half the time
        try:
            minutes = TWO[text[:2]] * 60 + TWO[text[3:5]]
            return (minutes * 60 + TWO[text[6:8]]) * 1000 + TWO[text[9:11]] * 10 + TWO["0" + text[11:]]
        except KeyError:
            pass
    found = STAMP.fullmatch(text)
    if found is None:
        raise ValueError(f"no time: {text[:40]!r}")
    hours, minute, second, part = found.groups()
    return ((int(hours or 0) * 60 + int(minute)) * 60 + int(second)) * 1000 + int((part or "").ljust(3, "0"))


def time_ms(value: object) -> int:
    """A stamp, or seconds as a number or its text, in milliseconds. Raises ValueError, TypeError."""
    if isinstance(value, str) and ":" in value:
        return stamp_ms(value.strip())
    try:
        seconds = float(value)  # type: ignore[arg-type]  # raises what it should
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ValueError(f"no time: {str(value)[:40]!r}")
    return round(seconds * 1000)


def forward(start_ms: int, end_ms: int) -> tuple[int, int]:
    """The span, if it is one. Raises ValueError."""
    if not 0 <= start_ms < end_ms:
        raise ValueError(f"the span goes backwards: {start_ms} ms to {end_ms} ms")
    return start_ms, end_ms


def timed(given_id: str | None, video: str, span: tuple[int, int], caption: str | None, extra: str | None) -> Scene:
    """A scene given by times; without an id of its own it is named by video and span."""
    start_ms, end_ms = span
    given_id = given_id or f"{video}_{start_ms}_{end_ms}"
    return given_id, None, None, None, None, None, None, start_ms, end_ms, caption, extra


def watch(youtube_id: str) -> str:
    """The link of a YouTube video. Raises ValueError for what is no id of one."""
    if not YOUTUBE_ID.fullmatch(youtube_id):
        raise ValueError(f"no YouTube id: {youtube_id[:40]!r}")
    return f"https://www.youtube.com/watch?v={youtube_id}"
