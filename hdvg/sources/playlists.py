"""The segments of a playlist, with when each begins: of an HLS playlist's text, or of the list that yt-dlp makes of a DASH manifest."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from hdvg.sources.info import seconds

SEGMENTS_MOST = 50_000
REFUSED = (
    "#EXT-X-KEY:",
    "#EXT-X-DISCONTINUITY",
    "#ANVATO-SEGMENT-INFO",
    "#UPLYNK-SEGMENT",
    "#EXT-X-SKIP",
    "#EXT-X-PART:",
)
"""What an HLS playlist has whose segments do not stand simply one behind the other."""
ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^,]*)')


class WholeError(Exception):
    """The source cannot be taken apart, and why."""


@dataclass(frozen=True)
class Place:
    """A segment: its address, and [start, end) of it there, None for all."""

    url: str
    span: tuple[int, int] | None = None


@dataclass
class Playlist:
    """`places` of the segments by number, -1 of the initialisation if there is one; `lengths` of the others in seconds."""

    places: dict[int, Place] = field(default_factory=dict)
    lengths: list[float] = field(default_factory=list)

    def asked(self) -> dict[str, Any]:
        """What `media.coverage.plan` is to know of it. Raises WholeError for a playlist of one segment, or of too many."""
        if not 2 <= len(self.lengths) <= SEGMENTS_MOST:
            raise WholeError(f"a playlist of {len(self.lengths)} segments")
        return {"seconds": [0.0, *accumulate(self.lengths[:-1])], "init": -1 in self.places}


def read_hls(text: str, url: str) -> Playlist:
    """The segments of a media playlist (RFC 8216). Raises WholeError for one that is encrypted, live, or not plain."""
    if refused := [mark for mark in REFUSED if mark in text and f"{mark}METHOD=NONE" not in text]:
        raise WholeError(f"a playlist with {refused[0].strip('#:')}")
    if "#EXT-X-ENDLIST" not in text:
        raise WholeError("a playlist without an end")
    found, length, span, behind = Playlist(), None, None, 0
    try:
        for line in filter(None, map(str.strip, text.splitlines())):
            tag, _, value = line.partition(":")
            if tag == "#EXTINF":
                length = float(value.partition(",")[0])
            elif tag == "#EXT-X-BYTERANGE":
                span = _span(value, behind)
            elif tag == "#EXT-X-MAP":
                attributes = {name: text.strip('"') for name, text in ATTRIBUTE.findall(value)}
                if found.places:
                    raise WholeError("a playlist with several initialisations")
                found.places[-1] = Place(
                    urllib.parse.urljoin(url, attributes["URI"]),
                    _span(attributes["BYTERANGE"], 0) if "BYTERANGE" in attributes else None,
                )
            elif not line.startswith("#"):
                if length is None or length < 0:
                    raise ValueError("a segment without a length")
                found.places[len(found.lengths)] = Place(urllib.parse.urljoin(url, line), span)
                found.lengths.append(length)
                length, span, behind = None, None, span[1] if span else 0
    except (KeyError, ValueError):  # what they say is the site's own text
        raise WholeError("a broken playlist") from None
    return found


def read_fragments(fragments: Iterable[dict[str, Any]], base: str | None) -> Playlist:
    """The segments that yt-dlp lists of a DASH format; the first without a length is the initialisation. Raises WholeError."""
    found = Playlist()
    for fragment in fragments:
        place = Place(fragment.get("url") or urllib.parse.urljoin(base or "", fragment.get("path") or ""))
        length = seconds(fragment.get("duration"))
        if length is None and found.places:
            raise WholeError("segments of unknown length")
        if length is None:
            found.places[-1] = place
        else:
            found.places[len(found.lengths)] = place
            found.lengths.append(length)
    return found


def _span(text: str, behind: int) -> tuple[int, int]:
    """LENGTH[@START] as [start, end); without a start it is behind the one before."""
    length, _, start = text.partition("@")
    first = int(start) if start else behind
    if first < 0 or int(length) <= 0:
        raise ValueError(f"no range: {text[:40]!r}")
    return first, first + int(length)
