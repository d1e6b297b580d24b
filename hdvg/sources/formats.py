"""Which of the formats that a source offers is fetched, and why: the least that is tall enough, as the recipe prefers."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hdvg.errors import ItemError
from hdvg.sources.labels import codec_rank, is_hdr, label, marks, number, track_rank

PROTOCOLS = frozenset({"http", "https", "m3u8", "m3u8_native", "http_dash_segments"})
SHOWN = 5
"""Most of the other formats that a reason lists."""

CRITERIA = ("marks", "height", "height", "dynamic range", "frame rate", "codec", "sound", "the source's order")
"""By which formats are compared, first things first."""

Format = dict[str, Any]


@dataclass(frozen=True)
class Preferences:
    """What the recipe's `[fetch]` says of formats; see `sections.Fetch`."""

    min_height_px: int = 720
    codec: str = "avc1"
    codecs: tuple[str, ...] = ()
    max_fps: float | None = None
    hdr: str = "allow"
    sound: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Preferences:
        """Those of a dumped `sections.Fetch`."""
        named = {name: settings[name] for name in cls.__dataclass_fields__ if settings.get(name) is not None}
        return cls(**named | {"codecs": tuple(settings.get("codecs") or ())})


@dataclass(frozen=True)
class Choice:
    """The format to fetch, the one whose sound is fetched besides (None: none is), and why, in one line."""

    video: Format
    sound: Format | None
    why: str

    @property
    def format_id(self) -> str | None:
        """The source's names of what is fetched, as `137+140`."""
        names = [form.get("format_id") for form in (self.video, self.sound) if form]
        return "+".join(map(str, names)) if None not in names else None

    @property
    def bytes(self) -> int | None:
        """How much would come, as far as the source says; None if it says nothing of the video."""
        forms = [form for form in (self.video, self.sound) if form]
        sizes = [number(form.get("filesize") or form.get("filesize_approx")) for form in forms]
        return None if sizes[0] is None else int(sum(filter(None, sizes)))


def choose(formats: Iterable[Format], wanted: Preferences) -> Choice:
    """Choose from yt-dlp's list (worst first): one file with video, by a protocol we speak natively.

    What the site marks as upscaled, premium or damaged comes last of all. Then the least height from `min_height_px` up;
    else an unknown one; else the largest below. Then HDR, frame rate and codec as preferred, then (if wanted) the better
    sound, then yt-dlp's order. Sound of its own is fetched if it is wanted, the video has none, and any is offered.
    Raises ItemError no_video or unsupported.
    """
    known = list(formats)
    spoken = _spoken([form for form in known if form.get("vcodec") != "none"])
    apart = _best_sound(known) if wanted.sound else None
    places = {id(form): place for place, form in enumerate(spoken)}

    def rank(form: Format) -> tuple[Any, ...]:
        heard = _heard(form, apart) if wanted.sound else ()
        return (*_preference(form, wanted), heard, places[id(form)])

    order = sorted(spoken, key=rank, reverse=True)
    video = order[0]
    sound = apart if wanted.sound and video.get("acodec") == "none" else None
    parts = [_why(order, [rank(form) for form in order[:2]], wanted)]
    if wanted.sound:
        parts.append(f"sound: {label(sound) if sound else _own_sound(video)}")
    return Choice(video, sound, "; ".join(parts + _others(order)))


def _spoken(videos: Sequence[Format]) -> list[Format]:
    if not videos:
        raise ItemError("no_video", "the source has only sound or pictures")
    spoken = [form for form in videos if str(form.get("protocol")) in PROTOCOLS]
    if spoken:
        return spoken
    scheme = urllib.parse.urlsplit(str(videos[-1].get("url"))).scheme.lower()
    if scheme not in {"http", "https"}:
        raise ItemError("redirect", f"the page leads to a `{scheme}:` address")
    raise ItemError("unsupported", f"protocol {videos[-1].get('protocol')}")


def _preference(form: Format, wanted: Preferences) -> tuple[Any, ...]:
    height = number(form.get("height"))
    if height is None:
        tall: tuple[int, float] = (1, 0.0)
    else:
        tall = (2, -height) if height >= wanted.min_height_px else (0, height)
    hdr = {"avoid": -1, "allow": 0, "prefer": 1}[wanted.hdr] * is_hdr(form)
    over = max(0.0, (number(form.get("fps")) or 0.0) - wanted.max_fps) if wanted.max_fps else 0.0
    return (not marks(form), *tall, hdr, -over, codec_rank(form.get("vcodec"), wanted.codecs, prefix=wanted.codec))


def _heard(form: Format, apart: Format | None) -> tuple[Any, ...]:
    """How good the sound is that would come with a video: known before unknown before none; in its file before apart."""
    if form.get("acodec") == "none":
        return (2, track_rank(apart), 0) if apart else (0, (), 0)
    return (2 if form.get("acodec") else 1, track_rank(form), 1)


def _best_sound(known: Sequence[Format]) -> Format | None:
    """The best format of sound alone; else of those with both, the lowest picture: its sound is taken."""
    speakable = [form for form in known if str(form.get("protocol")) in PROTOCOLS and form.get("acodec") != "none"]
    alone = [form for form in speakable if form.get("vcodec") == "none"]
    both = [form for form in speakable if form.get("vcodec") != "none" and form.get("acodec")]

    def rank(form: Format) -> tuple[Any, ...]:
        return (not marks(form), track_rank(form), 0.0 if alone else -(number(form.get("height")) or 1e6))

    last_first = (alone or both)[::-1]  # of equals, yt-dlp's better one
    return max(last_first, key=rank) if last_first else None


def _why(order: Sequence[Format], ranks: Sequence[tuple[Any, ...]], wanted: Preferences) -> str:
    """What is taken and why, without any text of the source."""
    video = label(order[0])
    if len(order) == 1:
        return f"{video}: the only one"
    height = number(order[0].get("height"))
    if height is None:
        reason = "no height is known of it"
    elif height >= wanted.min_height_px:
        reason = f"the least height from {wanted.min_height_px} px up"
    else:
        reason = f"the largest below {wanted.min_height_px} px"
    differs = (name for name, first, second in zip(CRITERIA, *ranks, strict=True) if first != second)
    by = next(differs, CRITERIA[-1])
    return f"{video}: {reason}, before {label(order[1])} by {by}"


def _others(order: Sequence[Format]) -> list[str]:
    distinct = list(dict.fromkeys(map(label, order[1:])))
    more = [f"{len(distinct) - SHOWN} more"] if len(distinct) > SHOWN else []
    return [f"{len(order) - 1} other(s): {', '.join(distinct[:SHOWN] + more)}"] if distinct else []


def _own_sound(video: Format) -> str:
    if video.get("acodec") == "none":
        return "none is offered"
    return "in the same file" if video.get("acodec") else "not said"
