"""Which of the formats that a source offers is fetched: the least that is tall enough, in the codec we like."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable
from typing import Any

from hdvg.errors import ItemError

PROTOCOLS = frozenset({"http", "https", "m3u8", "m3u8_native", "http_dash_segments"})


def choose(formats: Iterable[dict[str, Any]], *, codec: str, min_height_px: int) -> dict[str, Any]:
    """The format to fetch from yt-dlp's list (worst first): one file with video, by a protocol we speak natively.

    The least height from `min_height_px` up; else an unknown one; else the largest below. Then `codec`, then
    yt-dlp's order.
    Raises ItemError no_video or unsupported.
    """
    known = list(formats)
    videos = [form for form in known if form.get("vcodec") != "none"]
    if not videos:
        raise ItemError("no_video", "the source has only sound or pictures")
    spoken = [form for form in videos if str(form.get("protocol")) in PROTOCOLS]
    if not spoken:
        scheme = urllib.parse.urlsplit(str(videos[-1].get("url"))).scheme.lower()
        if scheme not in {"http", "https"}:
            raise ItemError("redirect", f"the page leads to a `{scheme}:` address")
        raise ItemError("unsupported", f"protocol {videos[-1].get('protocol')}")

    def rank(place: int) -> tuple[int, float, int, int]:
        height, vcodec = spoken[place].get("height"), spoken[place].get("vcodec")
        same = 1 if vcodec is None else 2 if str(vcodec).startswith(codec) else 0
        if height is None:
            return (1, 0.0, same, place)
        return (2, -height, same, place) if height >= min_height_px else (0, height, same, place)

    return spoken[max(range(len(spoken)), key=rank)]
