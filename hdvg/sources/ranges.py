"""Fetch the parts of a source that show given spans: ranges and segments, as they are asked for round by round."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yt_dlp.networking import Request
from yt_dlp.networking.exceptions import HTTPError

from hdvg.media.excerpt import Layout, held_opening, merged, write_excerpt
from hdvg.sandbox.child import ask
from hdvg.sources.calls import Excerpted
from hdvg.sources.playlists import Place, Playlist, WholeError, read_fragments, read_hls
from hdvg.sources.wanted import HELD

ROUNDS = 60
FIRST = 1 << 16
"""Bytes of a file that are fetched before anything is known of it."""
CHUNK = 10 * 2**20
"""Most bytes of one request for a range: longer ones are slowed by some hosts."""
RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)", re.ASCII)
NO_RANGES = frozenset({400, 405, 416, 501})
"""What a server answers that does not know ranges."""


def try_excerpt(client: Any, info: dict[str, Any], target: str) -> tuple[Excerpted | None, str | None]:
    """What `fetch_excerpt` says of what it fetched; or None, and why all of the source must be fetched."""
    try:
        if client.choice and client.choice.sound:
            raise WholeError("its sound is fetched apart")
        return fetch_excerpt(client, info, target), None
    except WholeError as error:
        Path(HELD).unlink(missing_ok=True)
        return None, str(error)


def fetch_excerpt(client: Any, info: dict[str, Any], target: str) -> Excerpted:
    """Fetch what is wanted of a format of yt-dlp's into the excerpt `target`, in the current folder.

    Raises WholeError, and what `client.urlopen` raises.
    """
    source = _source(client, info)
    for number in range(ROUNDS):
        answer = ask({"sections": source.asked | {"round": number, "pieces": source.pieces}})
        if "whole" in answer:
            raise WholeError(str(answer["whole"]))
        if "done" in answer:
            return _finish(answer["done"], source, Path(target))
        source.take(answer["need"])
    raise WholeError(f"not found in {ROUNDS} rounds")


def _finish(done: dict[str, Any], source: File | Segments, target: Path) -> Excerpted:
    pieces = [(int(start), int(end), int(at)) for start, end, at in done["pieces"]]
    places = tuple((start, end) for start, end, _ in pieces)
    come = [(start, end, at) for start, end, at in source.pieces]
    opening = "" if isinstance(source, Segments) else held_opening(Path(HELD), come, done["size"])
    layout = Layout(done["size"], done["filler"], places, tuple(done["numbers"]), opening)
    write_excerpt(target, Path(HELD), pieces, layout)
    Path(HELD).unlink()
    return source.excerpted(layout)


def _source(client: Any, info: dict[str, Any]) -> File | Segments:
    headers = dict(info.get("http_headers") or client._calc_headers(info)) | {"Accept-Encoding": "identity"}
    protocol = str(info.get("protocol"))
    if protocol in ("http", "https"):
        return File(client, str(info["url"]), headers)
    if protocol in ("m3u8", "m3u8_native"):
        if any(info.get(name) for name in ("format_index", "extra_param_to_segment_url", "hls_aes")):
            raise WholeError("a playlist that is more than its text")
        response = client.urlopen(Request(str(info["url"]), headers=headers))
        text = info.get("hls_media_playlist_data") or response.read().decode("utf-8", "replace")
        return Segments(client, read_hls(text, response.url), headers)
    if protocol == "http_dash_segments" and isinstance(info.get("fragments"), list):
        return Segments(client, read_fragments(info["fragments"], info.get("fragment_base_url")), headers)
    raise WholeError(f"protocol {protocol}")


class _Held:
    """What has come, one behind the other in a file; `pieces` says what stands where."""

    def __init__(self, client: Any, headers: dict[str, str]) -> None:
        self._client = client
        self._headers = headers
        self._validators: dict[str, tuple[str | None, ...]] = {}
        self.pieces: list[list[int]] = []
        Path(HELD).write_bytes(b"")  # a child that was killed may have left one

    def _keep(self, data: bytes) -> int:
        """Put bytes behind the others; where they stand."""
        with Path(HELD).open("ab") as file:
            at = file.tell()
            file.write(data)
        return at

    def _range(self, url: str, start: int, end: int) -> tuple[bytes, int]:
        """Bytes [start, end) of a file, fewer where it ends before, and its size. Raises WholeError."""
        asked = {"Range": f"bytes={start}-{end - 1}"}
        known = self._validators.get(url)
        if known and known[1] and not known[1].startswith("W/"):
            asked["If-Range"] = known[1]
        try:
            response = self._client.urlopen(Request(url, headers=self._headers | asked))
        except HTTPError as error:
            if error.status in NO_RANGES:
                raise WholeError(f"the server does not serve ranges (status {error.status})") from None
            raise
        content_range = RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status != 206 or not content_range:
            response.close()
            raise WholeError(
                "the source changed meanwhile"
                if known
                else f"the server does not serve ranges (status {response.status})"
            )
        low, high, size = map(int, content_range.groups())
        if low != start or high + 1 != min(end, size):
            response.close()
            raise WholeError("the server answers other ranges than it is asked for")
        now = (str(size), response.headers.get("ETag"), response.headers.get("Last-Modified"))
        if self._validators.setdefault(url, now) != now:
            response.close()
            raise WholeError("the source changed meanwhile")
        data = response.read(high + 1 - low)
        rest = response.read(1)
        if len(data) != high + 1 - low or rest:
            raise WholeError("the server sends other bytes than it promises")
        return data, size


class File(_Held):
    """A file whose ranges are fetched."""

    def __init__(self, client: Any, url: str, headers: dict[str, str]) -> None:
        super().__init__(client, headers)
        self._url = url
        data, self._size = self._range(url, 0, FIRST)
        self.pieces.append([0, len(data), self._keep(data)])
        self.asked: dict[str, Any] = {"size": self._size}

    def take(self, need: Sequence[Sequence[int]]) -> None:
        """Fetch these ranges."""
        for start, end in need:
            for low in range(start, end, CHUNK):
                high = min(low + CHUNK, end)
                self.pieces.append([low, high, self._keep(self._range(self._url, low, high)[0])])

    def excerpted(self, layout: Layout) -> Excerpted:
        ranges = merged(self.pieces)  # more than the layout's, if some of it was only looked at
        return {"size": layout.size, "ranges": [list(one) for one in ranges], "kind": "bytes"}


class Segments(_Held):
    """The segments of a playlist, each fetched as a whole."""

    def __init__(self, client: Any, playlist: Playlist, headers: dict[str, str]) -> None:
        super().__init__(client, headers)
        self._places = playlist.places
        self.asked = playlist.asked()

    def take(self, need: Sequence[int]) -> None:
        """Fetch the segments of these numbers."""
        for number in need:
            data = self._segment(self._places[number])
            self.pieces.append([number, self._keep(data), len(data)])

    def _segment(self, place: Place) -> bytes:
        if place.span is not None:
            return self._range(place.url, *place.span)[0]
        data: bytes = self._client.urlopen(Request(place.url, headers=self._headers)).read()
        return data

    def excerpted(self, layout: Layout) -> Excerpted:
        return {"size": None, "ranges": _runs([number for number in layout.numbers if number >= 0]), "kind": "segments"}


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    """[first, behind the last] of each run of neighbouring numbers."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number:
            runs[-1][1] = number + 1
        else:
            runs.append([number, number + 1])
    return runs
