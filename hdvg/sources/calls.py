"""What is asked of the limited children that fetch and list, and what they return: declared here, done in the modules named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, cast

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from hdvg.sandbox.paths import Code, Writes
from hdvg.sandbox.seam import seam


class FetchSettings(TypedDict):
    """The fields of `config.Fetch`, and what `egress.WayOut` adds; with `as_excerpt` the caller says what parts are wanted;
    `signed` is the address at which the object behind a link into a bucket may be fetched for a time."""

    min_height_px: int
    codec: str
    codecs: list[str]
    max_fps: float | None
    hdr: str
    sound: bool
    subtitles: list[str]
    automatic_subtitles: bool
    max_mb: float
    max_duration_s: float
    wall_s: float
    silence_s: float
    tries: int
    max_wait_s: float
    throttle_wait_s: float
    blocked_wait_s: float
    max_mb_s: float | None
    concurrency: int
    per_host: int
    host_interval_s: float
    js_runtime: str
    hosts: dict[str, Any]
    private_links: str
    sections: str
    block_list: str | None
    block_distance: int
    proxy: str | None
    ca_file: str | None
    ip_version: str
    bind_address: str | None
    ca_pem: str | None
    as_excerpt: NotRequired[bool]
    signed: NotRequired[str]


def fetch_settings(section: Mapping[str, Any], way_out: Mapping[str, str | None]) -> FetchSettings:
    """What a child is given of a dumped `config.Fetch` and of a `WayOut`."""
    return cast("FetchSettings", {**section, **way_out})


class Chapter(TypedDict):
    """A chapter as the source states it, seconds of the player's clock."""

    start_s: float
    end_s: float
    title: str | None


class SubtitleLine(TypedDict):
    """A line of subtitles; see `cues.Line`."""

    start_s: float
    end_s: float
    text: str
    word_starts_s: list[float] | None


class Beside(TypedDict):
    """What `subtitles.beside` finds besides the video."""

    language: str | None
    chapters: list[Chapter] | None
    subtitles: list[SubtitleLine] | None
    subtitles_language: str | None
    subtitles_origin: str | None
    subtitles_note: str | None


class Stated(TypedDict):
    """What a source says of a video itself."""

    title: str | None
    licence: str | None
    licence_class: str | None
    open_licence: bool | None
    uploader_id: str | None
    upload_date: str | None
    categories: list[str]
    extractor: str | None
    format_id: str | None
    webpage_url: str | None
    info_duration_s: float | None
    yt_dlp_version: str | None


class Info(Stated, Beside):
    """All that a source says of a video: columns of schemas/."""


class Excerpted(TypedDict):
    """What was fetched of a source: its size in bytes, None if it is not known; [start, end) of bytes or segments."""

    size: int | None
    ranges: list[list[int]]
    kind: Literal["bytes", "segments"]


class Downloaded(TypedDict):
    """A fetched file; `sound` names the file beside it of a sound that was fetched apart, `choice` is the line of
    `formats.Choice.why`; if a part was wanted, what came of it, or why all of it did."""

    path: str
    info: Info
    sound: str | None
    choice: str | None
    excerpt: Excerpted | None
    whole_because: str | None


class Looked(TypedDict):
    """What a source says of what would be fetched."""

    duration_s: float | None
    bytes: int | None


class Listed(TypedDict):
    """How a list ended: "most" may go on, "video" is no list."""

    end: Literal["whole", "most", "video"]


@seam("hdvg.sources.ytdlp:download", needs="network")
def download(source: str, out: Writes, settings: FetchSettings) -> Downloaded:
    raise NotImplementedError


@seam("hdvg.sources.ytdlp:look", needs="network")
def look(source: str, out: Writes, settings: FetchSettings) -> Looked:
    raise NotImplementedError


@seam("hdvg.sources.ytdlp:listing", needs="network")
def listing(
    source: str, out: Writes, settings: FetchSettings, *, kind: Code, query: str, most: int, conditions: list[str]
) -> Listed:
    raise NotImplementedError
