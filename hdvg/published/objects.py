"""Read one giant JSON object entry by entry, through a window on its text, and go on behind what is broken."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from hdvg.errors import UsageError
from hdvg.published.entries import Source

WINDOW_BYTES = 4 << 20
MOST_CHARS = 64 << 20
"""A longer entry is not waited for."""
OVERLAP_CHARS = 4096
"""What stays in the window where an entry's beginning is looked for: it may lie across two chunks."""

BETWEEN = re.compile(r"[ \t\r\n,]*")
BLANK = re.compile(r"[ \t\r\n]*")
NEXT = re.compile(r'"[^"\\\x00-\x1f]*"\s*:\s*\{\s*"(?:url|clip)"\s*:')
"""How an entry begins. No text inside an entry looks so, for quotes in it are escaped."""
ENTRY = {"url", "clip"}
OPEN = "not closed where the next entry begins, or the file ends"
DECODE = json.JSONDecoder().raw_decode
DECODE_PAIRS = json.JSONDecoder(object_pairs_hook=lambda pairs: pairs).raw_decode


class Found(NamedTuple):
    """An entry: the byte where it begins, its key and value; or why it cannot be read, and its key if that can.

    `counted`: how often the word that every scene has stands in its text; `pairs` gives the value with every object as the list
    of its pairs, for keys that are repeated.
    """

    at: int
    key: str | None
    value: Any = None
    counted: int = 0
    pairs: Callable[[], Any] = list
    why: str | None = None


class Window:
    """The part of the text that is being read. A byte that is no UTF-8 becomes a lone surrogate, which no text may hold."""

    def __init__(self, source: Source, size: int) -> None:
        self._chunks = iter(source.chunks(size))
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape").decode
        self.text = ""
        self.at = 0
        """Where reading stands in `text`."""
        self.byte = 0
        """The same in the file."""
        self.ended = False

    def more(self) -> None:
        """Let go of what is read, and take in as much again as there is left, at least something if there is."""
        self.text, self.at = self.text[self.at :], 0
        parts, taken = [self.text], 0
        while not self.ended and taken <= len(self.text):
            chunk = next(self._chunks, b"")
            self.ended = not chunk
            parts.append(self._decode(chunk, final=self.ended))
            taken += len(parts[-1])
        self.text = "".join(parts)

    def byte_of(self, place: int) -> int:
        """The byte in the file of a place in `text`."""
        if self.text.isascii():
            return self.byte + place - self.at
        return self.byte + len(self.text[self.at : place].encode("utf-8", "surrogateescape"))

    def to(self, place: int) -> None:
        """Go on to this place in `text`."""
        self.byte, self.at = self.byte_of(place), place

    def skip(self) -> str:
        """Go on behind blanks and commas; returns the character there, "" at the end."""
        while True:
            self.to(_behind(BETWEEN, self.text, self.at))
            if self.at < len(self.text) or self.ended:
                return self.text[self.at : self.at + 1]
            self.more()


def entries(source: Source, *, counted: str, size: int = WINDOW_BYTES) -> Iterator[Found]:
    """The entries of the object in the file, in their order; `counted` is the word that is counted in each.

    Raises UsageError if the file does not begin as an object.
    """
    window = Window(source, size)
    if window.skip() == "\ufeff":
        window.to(window.at + 1)
    if window.skip() != "{":
        raise UsageError(f"{source.path} is no JSON object: it does not begin with an opening brace")
    window.to(window.at + 1)
    while (char := window.skip()) != "}":
        if not char:
            yield Found(window.byte, None, why="the file ends before its closing brace: it is cut off")
            return
        yield _entry(window, counted)
    window.to(window.at + 1)
    while window.skip():
        yield _entry(window, counted)  # behind a brace too many


def _entry(window: Window, counted: str) -> Found:
    """The entry that begins where the window stands; the window then stands behind it."""
    while True:
        try:
            key, start, value, end = _pair(window.text, window.at)
        except (ValueError, RecursionError) as error:
            following = NEXT.search(window.text, window.at + 1)
            if following is None and not window.ended and len(window.text) - window.at < MOST_CHARS:
                window.more()
                continue
            return _broken(window, _why(window, error, following.start() if following else len(window.text)))
        if end == len(window.text) and not window.ended:  # a number may go on
            window.more()
            continue
        text = window.text
        count = text.count(counted, start, end)
        found = Found(window.byte, key, value, count, partial(_pairs, text, start))
        window.to(end)
        return found


def _pair(text: str, at: int) -> tuple[str, int, Any, int]:
    """Key, start of the value, value, end. Raises ValueError, RecursionError."""
    key, place = DECODE(text, at)
    place = _behind(BLANK, text, place)
    if not isinstance(key, str) or text[place : place + 1] != ":":
        raise ValueError("no key with a colon")
    start = _behind(BLANK, text, place + 1)
    value, end = DECODE(text, start)
    if isinstance(value, dict) and any(isinstance(one, dict) and one.keys() & ENTRY for one in value.values()):
        raise ValueError(OPEN)  # it holds the entry behind it
    return key, start, value, end


def _pairs(text: str, start: int) -> Any:
    return DECODE_PAIRS(text, start)[0]


def _why(window: Window, error: ValueError | RecursionError, end: int) -> str:
    if not isinstance(error, json.JSONDecodeError):
        return f"broken JSON: {error}"
    if error.pos >= end:
        return f"broken JSON: {OPEN}"
    return f"broken JSON: {error.msg} (byte {window.byte_of(error.pos)})"


def _broken(window: Window, why: str) -> Found:
    """What stands here, up to the next entry or the end."""
    key = re.match(r'"([^"\\]{1,100})"\s*:', window.text[window.at : window.at + 200])
    found = Found(window.byte, key[1] if key else None, why=why)
    while True:
        following = NEXT.search(window.text, window.at + 1)
        if following or window.ended:
            window.to(following.start() if following else len(window.text))
            return found
        window.to(max(window.at, len(window.text) - OVERLAP_CHARS))
        window.more()


def _behind(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
