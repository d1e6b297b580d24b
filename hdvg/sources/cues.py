"""Read files of subtitles (json3, WebVTT, SubRip, TTML) as lines of text with times; remote text, read in the fetching child.

Small readers of our own: pysubs2 (1.8) takes a WebVTT cue's name and NOTE blocks for text, and yt-dlp's parser of WebVTT
gives up a whole file at its first odd line.
"""

from __future__ import annotations

import bisect
import html
import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from yt_dlp.utils import parse_dfxp_time_expr
from yt_dlp.webvtt import ParseError

from hdvg.sources.people import clean

LINE_CHARS = 1000
ROLL_S = 0.1
"""A cue that begins so soon after the one before it may repeat it; one that is so short only redraws it."""
LATEST_S = 1e6
TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
TIMES = re.compile(rf"\s*{TIME}\s*-->\s*{TIME}")
MARKUP = re.compile(r"</?[a-zA-Z0-9][^<>]{0,200}>|\{\\[^{}]{0,200}\}")
BREAK = re.compile(r"<(?:\w{1,20}:)?br\b[^<>]{0,200}/>")
UNREADABLE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    ET.ParseError,
    ParseError,
)
"""What readers of text that is none of theirs raise."""


@dataclass(frozen=True)
class Line:
    """What is said from one time to another, seconds of the player's clock; `word_starts_s`, where known, has a time for
    each of the words that spaces part."""

    start_s: float
    end_s: float
    text: str
    word_starts_s: tuple[float, ...] | None = None


def read_lines(data: bytes, form: str) -> list[Line]:
    """The lines of a file in one of the `READERS`' formats, in order of time, without markup; none if it is no such file."""
    text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace")
    try:
        found = [line for line in READERS[form](text) if 0 <= line.start_s < line.end_s <= LATEST_S and line.text]
    except UNREADABLE:
        return []
    return sorted(found, key=lambda line: (line.start_s, line.end_s))


def _plain(text: str) -> str:
    return clean(html.unescape(MARKUP.sub("", text)), most=4 * LINE_CHARS)[:LINE_CHARS].rstrip()


def _cues(text: str) -> Iterator[Line]:
    """WebVTT and SubRip: blocks with a line of times, and text up to an empty line."""
    blocks: list[tuple[float, float, list[str]]] = []
    body: list[str] | None = None
    for row in text.splitlines():
        if times := TIMES.match(row):
            body = []
            blocks.append((_seconds(times.groups()[:4]), _seconds(times.groups()[4:]), body))
        elif not row:
            body = None
        elif body is not None:
            body.append(row)
    return _unrolled((start_s, end_s, [*filter(None, map(_plain, rows))]) for start_s, end_s, rows in blocks)


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = (part or "0" for part in parts)
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")


def _unrolled(blocks: Iterable[tuple[float, float, list[str]]]) -> Iterator[Line]:
    """Cues without the rows that they repeat from the cue before, as captions do that roll up."""
    before: list[str] = []
    until_s = -math.inf
    for start_s, end_s, rows in blocks:
        most = min(len(before), len(rows)) if start_s <= until_s + ROLL_S else 0
        again = next((count for count in range(most, 0, -1) if before[-count:] == rows[:count]), 0)
        if again == len(rows) and end_s - start_s > ROLL_S:
            again = 0  # said twice
        if rows[again:]:
            yield Line(start_s, end_s, " ".join(rows[again:])[:LINE_CHARS])
        if rows:
            before, until_s = rows, end_s


def _ttml(text: str) -> Iterator[Line]:
    for element in ET.fromstring(BREAK.sub(" ", text)).iter():
        start_s = parse_dfxp_time_expr(element.get("begin"))
        end_s, length_s = (parse_dfxp_time_expr(element.get(name)) for name in ("end", "dur"))
        if start_s is None or element.tag.rpartition("}")[2] != "p":
            continue
        if end_s is None and length_s is not None:
            end_s = start_s + length_s
        yield Line(start_s, end_s or start_s, _plain("".join(element.itertext())))


def _json3(text: str) -> Iterator[Line]:
    """The large site's own format: automatic captions have a time for each word, and lines that roll up to the next."""
    events = [event for event in json.loads(text)["events"] if isinstance(event, dict) and event.get("segs")]
    rolls = any(event.get("aAppend") for event in events)
    lines = [line for event in events if not event.get("aAppend") and (line := _event(event))]
    for line, after in zip(lines, [*lines[1:], None], strict=True):
        rolled_up = rolls and after is not None and line.start_s < after.start_s < line.end_s
        yield replace(line, end_s=after.start_s) if rolled_up and after else line


def _event(event: dict[str, Any]) -> Line | None:
    pieces = [(str(seg.get("utf8", "")), float(seg.get("tOffsetMs") or 0) / 1000) for seg in event["segs"]]
    start_s = float(event["tStartMs"]) / 1000
    end_s = start_s + float(event.get("dDurationMs") or 0) / 1000
    whole = "".join(piece for piece, _ in pieces)
    text = _plain(whole)
    if not text:
        return None
    starts_s = _word_starts(pieces, start_s, end_s) if text.split() == whole.split() else None
    return Line(start_s, end_s, text, starts_s)


def _word_starts(pieces: Sequence[tuple[str, float]], start_s: float, end_s: float) -> tuple[float, ...] | None:
    """When each word begins: where its first letter stands between the letters whose times are known, the first of each piece."""
    if not any(offset_s for _, offset_s in pieces):
        return None
    text, places, times_s = "", [], []
    for piece, offset_s in pieces:
        places.append(len(text) + len(piece) - len(piece.lstrip()))
        times_s.append(start_s + offset_s)
        text += piece
    places, times_s = [*places, len(text)], [*times_s, max(end_s, times_s[-1])]
    found = []
    for word in re.finditer(r"\S+", text):
        left = bisect.bisect_right(places, word.start()) - 1
        share = (word.start() - places[left]) / (places[left + 1] - places[left])
        found.append(round(times_s[left] + share * (times_s[left + 1] - times_s[left]), 3))
    return tuple(found) if all(start_s <= time_s <= LATEST_S for time_s in found) else None


READERS: dict[str, Callable[[str], Iterable[Line]]] = {
    "json3": _json3,
    "vtt": _cues,
    "srt": _cues,
    "ttml": _ttml,
    "dfxp": _ttml,
}
"""Formats that can be read, by what yt-dlp calls them, the best first."""
