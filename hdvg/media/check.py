"""Open a written clip again and hold it against what it should be; a clip that fails is never passed on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

from hdvg.errors import ItemError
from hdvg.media.clip_length import shown_length
from hdvg.media.decode import open_video
from hdvg.media.packets import Index, index_packets
from hdvg.media.reading import Payload, Reading, stretches
from hdvg.media.second_reading import LOOK_PX, Grey, difference, is_moved, look_of, small_grey

LENGTH_OFF_S = Fraction(2, 1000)
"""Edit lists count in milliseconds. A track's own length is of decode times: at a variable rate it is another."""
LOOK_MOST = 10.0
"""Grey levels, mean over the small picture. Encoding at crf 35 and conversions of range or size stay below 4; the pictures
on both sides of a cut differ by 15 and more, which is what an error of one frame would show."""


@dataclass(frozen=True)
class Expected:
    """What a clip must be: its frames' times from 0 and its end, in source ticks of `time_base` seconds; the digests of
    the copied packets and how many packets stand before them; small grey pictures and 8 x 8 looks of its first and last
    frame (None where there is nothing to compare with); `sound` if the whole source is known to decode without an error;
    `damaged` if some of it does not; `upright` if the clip may carry no display matrix."""

    times: Sequence[int]
    end: int
    time_base: Any
    digests: Sequence[bytes] = ()
    before: int = 0
    pictures: tuple[Grey | None, Grey | None] = (None, None)
    looks: tuple[str | None, str | None] = (None, None)
    sound: bool = False
    damaged: bool = False
    upright: bool = False

    def decoded(self) -> set[int]:
        """Numbers of the frames that must be decoded to believe in them: the first, the last and those at each joint; but
        behind the first, not the copied ones of a sound source, whose bits are compared. Of a damaged source all."""
        if self.damaged:
            return set(range(len(self.times)))
        count, joints = len(self.times), {self.before, self.before + len(self.digests)} if self.digests else set()
        ends = {0, count - 1} | {number for joint in joints for number in (joint - 1, joint) if 0 < joint < count}
        copied = range(self.before + 1, self.before + len(self.digests)) if self.sound else range(0)
        return {number for number in ends if number == 0 or number not in copied}


def is_chosen(clip_id: str, share: float) -> bool:
    """Whether this clip is among the share that is verified: a fixed draw by its id."""
    drawn = int.from_bytes(hashlib.sha256(clip_id.encode()).digest()[:8])
    return drawn < share * 2**64


def find_fault(target: Path, expected: Expected) -> str | None:
    """What is wrong with a clip, in words, or None.

    Looks at every packet's time, compares the copied ones bit by bit with the source's, and decodes `expected.decoded()`.
    """
    try:
        with open_video(str(target), max_pixels=2**31 - 1) as (container, stream):
            index = index_packets(container, stream)
            scale = stream.time_base / expected.time_base
            length_s = shown_length(str(target))
        return (
            _fault_of_times(index, expected, scale=scale, length_s=length_s)
            or _fault_of_copies(index, expected)
            or _fault_of_pictures(target, index, expected)
        )
    except (ItemError, ValueError) as error:
        return f"the clip cannot be opened: {error}"


def _fault_of_times(index: Index, expected: Expected, *, scale: Any, length_s: Any) -> str | None:
    times = [pts * scale for pts in index.shown]
    if len(times) != len(expected.times) or len(index.packets) != len(times):
        return f"{len(times)} frames in {len(index.packets)} packets written, {len(expected.times)} expected"
    if not index.usable or any(one >= two for one, two in pairwise(times)):
        return "two frames at one time"
    for written, wanted in zip(times, expected.times, strict=True):
        if written != wanted:
            return f"a frame at {written}, expected at {wanted} ticks"
    wanted_s = expected.end * expected.time_base
    if length_s is not None and abs(length_s - wanted_s) > LENGTH_OFF_S:
        return f"{float(length_s):g} seconds long, expected {float(wanted_s):g}"
    return None


def _fault_of_copies(index: Index, expected: Expected) -> str | None:
    copied = index.packets[expected.before : expected.before + len(expected.digests)]
    if len(copied) != len(expected.digests):
        return f"{len(copied)} copied packets, {len(expected.digests)} expected"
    for number, (packet, digest) in enumerate(zip(copied, expected.digests, strict=True)):
        if packet.digest != digest:
            return f"copied packet {number} is not the source's"
    return None


def _fault_of_pictures(target: Path, index: Index, expected: Expected) -> str | None:
    numbers = expected.decoded()
    wanted = {index.shown[number]: number for number in numbers}
    ends = [*index.shown[1:], index.shown[-1] + 1]
    ranges = [(pts, ends[number]) for pts, number in wanted.items()]
    reading = Reading(str(target), index, max_pixels=2**31 - 1, strict=True)
    faults: list[str] = []
    for frame in reading.walk(stretches(index, ranges), frozenset()):
        if isinstance(frame, Payload) or frame.pts not in wanted:
            continue
        number = wanted.pop(frame.pts)
        if frame.picture.is_corrupt:
            faults.append(f"frame {number} does not decode cleanly")
        if number == 0 and expected.upright and is_moved(frame.picture):
            faults.append("a display matrix turns the clip, whose frames are upright")
        faults += _fault_of_look(frame.picture, expected, ends=(number == 0, number == len(index.shown) - 1))
    faults += [f"frame {number} does not decode" for number in wanted.values()]
    if reading.errors:
        faults.append(f"packets {reading.errors[:5]} do not decode")
    return "; ".join(faults) or None


def _fault_of_look(picture: av.VideoFrame, expected: Expected, *, ends: tuple[bool, bool]) -> list[str]:
    """Faults of a picture that is the first or the last of the clip, or both."""
    faults = []
    for is_it, name, source, look in zip(ends, ("first", "last"), expected.pictures, expected.looks, strict=True):
        if is_it and source is not None:
            off = difference(small_grey(picture), source)
            if off > LOOK_MOST:
                faults.append(f"the {name} frame differs by {off:.1f} grey levels from the source's")
        if is_it and look:
            off = difference(look_of(picture), np.frombuffer(bytes.fromhex(look), np.uint8).reshape(LOOK_PX, LOOK_PX))
            if off > LOOK_MOST:
                faults.append(f"the {name} frame differs by {off:.1f} grey levels from the one that was seen")
    return faults
