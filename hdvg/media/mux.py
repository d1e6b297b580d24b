"""Put a video and a sound that were fetched apart into one file: coded packets as they are, at the times they have."""

from __future__ import annotations

import heapq
import math
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from hdvg.errors import ItemError, shortage
from hdvg.media import calls
from hdvg.media.containers import FORMATS, OPTIONS
from hdvg.media.decode import check_whole, open_video
from hdvg.media.id3 import CLOCK_TURN_S, stream_time_s
from hdvg.media.mp4 import reorder_delay
from hdvg.media.packets import coded_packets
from hdvg.media.streams import find_sound

SOUND_OPTIONS = OPTIONS | {"format_whitelist": f"{FORMATS},aac,mp3,ac3,eac3,flac,wav", "max_pixels": "1000000"}
MP4_VIDEO = frozenset({"h264", "hevc", "vp9", "av1", "mpeg4", "mpeg2video"})
MP4_SOUND = frozenset({"aac", "mp3", "opus", "ac3", "eac3", "flac"})
MOST_PIXELS = 2**31 - 1  # nothing is decoded here; `probe` looks at the size
MOST_SCALE = 2**31 - 1


@dataclass(frozen=True)
class Times:
    """Decode and display times of a video's packets, in file order, in ticks; and the first that is shown."""

    dts: list[int]
    pts: list[int]
    first_shown: int
    hidden_before: int | None
    """The last time before `first_shown` that an edit list hides."""


@calls.mux.serves
def mux(video: str, sound: str, target: str) -> str:
    """Write the first video stream of one file and the first sound of another to `target`; returns the container's name.

    An mp4 (times exact to the tick; of sound, to half a sample), or Matroska (to half a millisecond) for what mp4 does not
    hold. Times are those of the two files; all are moved alike only where the first frame that is shown would be below zero,
    or behind hidden ones. What is said of a stream but its coding (language, title, dates) is left out: equal inputs give
    equal bytes. Raises ItemError truncated (the video), corrupt (its times go back), encrypted, unsupported, not_media.
    """
    with open_video(video, max_pixels=MOST_PIXELS) as (container, stream):
        times = _times(container, stream)
    with open_video(video, max_pixels=MOST_PIXELS) as (container, stream), _open_sound(sound) as heard:
        voice = find_sound(heard, None)
        in_mp4 = _codec(stream) in MP4_VIDEO and _codec(voice) in MP4_SOUND
        shift_s = _shift_s(times, stream.time_base)
        late_s = _sound_shift_s(sound, voice, about_s=times.first_shown * stream.time_base)
        try:
            with _open_target(target, in_mp4, stream, voice) as out:
                pictures = _pictures(container, stream, times, out.add_stream_from_template(stream, opaque=True))
                sounds = _sounds(heard, voice, out.add_stream_from_template(voice, opaque=True))
                both = _moved(pictures, shift_s), _moved(sounds, shift_s + late_s)
                for packet in heapq.merge(*both, key=lambda packet: packet.dts * packet.time_base):
                    out.mux_one(packet)
        except (FFmpegError, ValueError) as error:
            if shortage(error):
                raise
            raise ItemError("corrupt", f"video and sound do not go into one file: {error}") from error
    return "mp4" if in_mp4 else "matroska"


@contextmanager
def _open_sound(path: str) -> Iterator[Any]:
    try:
        container = av.open(path, options=SOUND_OPTIONS, metadata_errors="replace")
    except (FFmpegError, ValueError) as error:
        raise ItemError("not_media", f"the sound: {error}") from error
    with container:
        if not container.streams.audio:
            raise ItemError("not_media", f"{container.format.name} without the sound that was offered")
        context = find_sound(container, None).codec_context
        if context is None or not context.name:
            raise ItemError("unsupported", "no decoder for the sound's codec")
        if context.codec_tag == "enca":
            raise ItemError("encrypted", "protected sample entry of the sound")
        yield container


def _open_target(target: str, in_mp4: bool, stream: Any, voice: Any) -> Any:
    options = {"fflags": "+bitexact"}
    if in_mp4:  # edit lists count in the movie's ticks: these must hold the ticks of both tracks
        scale = math.lcm(stream.time_base.denominator, voice.codec_context.sample_rate or 1)
        options |= {"video_track_timescale": str(stream.time_base.denominator), "movie_timescale": str(scale)}
        if scale > MOST_SCALE:
            options["movie_timescale"] = str(stream.time_base.denominator)
    return av.open(target, "w", format="mp4" if in_mp4 else "matroska", options=options)


def _times(container: Any, stream: Any) -> Times:
    """One way through the file. Decode times that are lacking or go back are made anew from the display times."""
    packets = [
        (packet.dts, _shown_at(packet), packet.duration, packet.is_discard)
        for packet in coded_packets(container, stream)
    ]
    dts, pts = [packet[0] for packet in packets], [packet[1] for packet in packets]
    shown = [at for _, at, _, hidden in packets if not hidden]
    if not shown:
        raise ItemError("no_frames", "no packet of the video is shown")
    first, end = min(shown), max(at + (length or 0) for _, at, length, _ in packets)
    check_whole(container, stream, frames=len(packets), end_s=float(end * stream.time_base))
    if None in dts or any(late <= early for early, late in pairwise(dts)) or any(map(operator.gt, dts, pts)):
        dts = _decode_times(pts)
    before = [at for _, at, _, hidden in packets if hidden and at < first]
    return Times(dts, pts, first, max(before, default=None))


def _decode_times(pts: list[int]) -> list[int]:
    """Times that rise, none after its frame's own: those of the frames in display order, as much later as is needed."""
    ordered, delay = sorted(pts), reorder_delay(pts)
    step = max((ordered[-1] - ordered[0]) // max(len(ordered) - 1, 1), 1)
    before = [ordered[0] - number * step for number in range(delay, 0, -1)]
    return (before + ordered)[: len(pts)]


def _shown_at(packet: Any) -> int:
    at = packet.dts if packet.pts is None else packet.pts
    if at is None:
        raise ItemError("unsupported", "packets of the video have no times")
    return int(at)


def _pictures(container: Any, stream: Any, times: Times, out: Any) -> Iterator[Any]:
    for packet, dts, pts in zip(coded_packets(container, stream), times.dts, times.pts, strict=True):
        packet.dts, packet.pts, packet.stream = dts, pts, out
        yield packet


def _sounds(container: Any, stream: Any, out: Any) -> Iterator[Any]:
    """Packets whose times rise; others are left out, as players do."""
    last: int | None = None
    for packet in coded_packets(container, stream):
        at = packet.dts if packet.pts is None else packet.pts
        if at is None or (last is not None and at <= last):
            continue
        last = packet.dts = packet.pts = at
        packet.stream = out
        yield packet


def _moved(packets: Iterator[Any], by_s: Fraction) -> Iterator[Any]:
    for packet in packets:
        by = round(by_s / packet.time_base)
        packet.dts, packet.pts = packet.dts + by, packet.pts + by
        yield packet


def _shift_s(times: Times, time_base: Fraction) -> Fraction:
    hidden_late = times.hidden_before is not None and times.hidden_before >= 0
    return -times.first_shown * time_base if times.first_shown < 0 or hidden_late else Fraction(0)


def _sound_shift_s(path: str, voice: Any, *, about_s: Fraction) -> Fraction:
    """By how much a sound without times of its own is late: HLS says it in an ID3 tag, on the clock of its video."""
    said_s = stream_time_s(Path(path))
    if said_s is None:
        return Fraction(0)
    turns = round((about_s - said_s) / CLOCK_TURN_S)
    return Fraction(said_s + turns * CLOCK_TURN_S - (voice.start_time or 0) * voice.time_base)


def _codec(stream: Any) -> str:
    return str(stream.codec_context.codec.canonical_name)
