"""The one pass over a video: shots, their measures and keyframes, from a single decode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hdvg.config.child_settings import SplitSettings
from hdvg.errors import ItemError
from hdvg.media import calls
from hdvg.media.assemble import Assembler
from hdvg.media.budget import Budget
from hdvg.media.calls import (
    Flags,
    Scanned,
    Seen,
    SeenSegment,
    Segment,
    Segments,
    Shape,
    StoredSegment,
    Timing,
    Video,
)
from hdvg.media.decode import Decoder, Frame, alone_if_damaged, check_whole, open_video
from hdvg.media.excerpt import excerpt_of, is_excerpt
from hdvg.media.excerpt_frames import ExcerptFrames
from hdvg.media.features import Features, load_chunk, save_chunk
from hdvg.media.geometry import geometry
from hdvg.media.probe import describe
from hdvg.media.protection import refuse_scrambled
from hdvg.media.scenes import GivenClips, place_scenes
from hdvg.media.segments import SEEKABLE, plan_segments, segment_frames
from hdvg.media.soundtrack import read_track
from hdvg.media.source import HDR_TRANSFERS
from hdvg.media.watch import is_thrifty
from hdvg.shots.chunk import Chunk

CHUNK_FRAMES = 250
USUAL_FRAMES = 15
"""Of the shortest scene, by default."""
NOT_BY_SECONDS = "pyscenedetect-0.6.1"
"""The detector whose scenes are those of a published set."""


@calls.scan.serves
def scan(path: str, out: str, settings: SplitSettings, threads: int, max_pixels: int) -> Scanned | Segments:
    """Decode `path` once; keyframe JPEGs lie in `out`.

    With settings["scenes"], given ones, the clips are these. A clip is [start_pts, end_pts); a video without a cut is one
    clip. A video over twice settings["segment_s"] long that may be taken apart is left alone: its segments are returned,
    for `scan_segment` and `assemble`.
    One thread decodes what is damaged. Raises ItemError no_frames, truncated (settings["min_whole_share"]), corrupt
    (settings["max_error_share"]), blocked_content, and what `open_video` raises.
    """
    cv2.setNumThreads(1)
    one_pass = _scan_excerpt if is_excerpt(path) else _scan
    return alone_if_damaged(lambda few: one_pass(path, out, settings, few, max_pixels), threads)


def _scan(path: str, out: str, settings: SplitSettings, threads: int, max_pixels: int) -> Scanned | Segments:
    with open_video(path, threads=threads, max_pixels=max_pixels, thrifty=is_thrifty(settings)) as (container, stream):
        if _is_long(container, settings["segment_s"]):
            segments = plan_segments(path, settings["segment_s"], max_pixels)
            if segments:
                Budget(settings).refuse(segments[0]["n_frames"])
                return {"segments": segments}
        seen = _Seen(stream, settings)
        assembler: Assembler | GivenClips | None = None
        refuse_scrambled(container, stream)
        settings = _at_rate(settings, stream)
        decoder = Decoder(container, stream, whole_only=threads > 1)
        for frame in decoder:
            chunk = seen.see(frame)
            if assembler is None:
                known: SplitSettings = {**settings, "interlaced": seen.interlaced}
                assembler = _assembler(path, seen.shape, seen.time_base, known, out=out, max_pixels=max_pixels)
            if chunk is not None:
                assembler.feed(chunk)
        if assembler is None:
            raise ItemError("no_frames", "no frame decodes")
        if (rest := seen.rest()) is not None:
            assembler.feed(rest)
        return _finish(container, stream, assembler, [seen.summary(decoder)], settings=settings)


def _scan_excerpt(path: str, out: str, settings: SplitSettings, threads: int, max_pixels: int) -> Scanned:
    """What `scan` returns of a part of a video, whose clips are given scenes; what is known only of the whole is None."""
    scenes, frames = settings["scenes"], ExcerptFrames(path, max_pixels=max_pixels)
    placed = place_scenes(path, scenes, mode=settings["given"], max_pixels=max_pixels)
    with open_video(path, max_pixels=max_pixels) as (container, stream):
        seen = _Seen(stream, settings, start_pts=frames.start_pts)
        clips: GivenClips | None = None
        for frame in frames.of(placed.places, threads=threads, thrifty=is_thrifty(settings)):
            chunk = seen.see(frame)
            if clips is None:
                clips = GivenClips(seen.shape, seen.time_base, settings=settings, out=Path(out), placed=placed)
            if chunk is not None:
                clips.feed(chunk)
        rest = seen.rest()
        if clips is None or rest is None:
            raise ItemError("no_frames", "no frame decodes")
        clips.feed(rest)
        return _finish(container, stream, clips, [seen.summary(frames)], settings=settings)


@calls.scan_segment.serves
def scan_segment(
    path: str, out: str, settings: SplitSettings, threads: int, max_pixels: int, segment: Segment
) -> SeenSegment:
    """Decode one segment; its features are written to `out`. Returns what `assemble` needs to know of it."""
    cv2.setNumThreads(1)
    return alone_if_damaged(lambda few: _scan_segment(path, out, settings, few, max_pixels, segment), threads)


def _scan_segment(
    path: str, out: str, settings: SplitSettings, threads: int, max_pixels: int, segment: Segment
) -> SeenSegment:
    with open_video(path, threads=threads, max_pixels=max_pixels, thrifty=is_thrifty(settings)) as (container, stream):
        seen = _Seen(stream, settings, start_pts=segment["video_start_pts"])
        decoder = Decoder(container, stream, whole_only=threads > 1)
        quality, count = settings["keyframe_quality"], 0
        is_first = segment["start_pts"] == segment["video_start_pts"]
        for number, frame in enumerate(segment_frames(container, stream, segment, decoder)):
            chunk = seen.see(frame)
            if number == 0 and not is_first:
                seen.rest()  # the segment before measured this frame; here it is only what the next is compared with
                continue
            if chunk is not None:
                save_chunk(chunk, Path(out) / f"{count}.npz", quality=quality)
                count += 1
        rest = seen.rest()
        if rest is not None:
            save_chunk(rest, Path(out) / f"{count}.npz", quality=quality)
            count += 1
        return {**seen.summary(decoder), "chunks": count}


@calls.assemble.serves
def assemble(
    path: str, out: str, settings: SplitSettings, max_pixels: int, seen: list[StoredSegment], n_frames: int
) -> Scanned:
    """What `scan` returns, from what `scan_segment` returned of each segment, in order, with the folder it wrote to.

    Raises ItemError `segments` if the segments do not hold the video's `n_frames` frames.
    """
    time_base = Fraction(seen[0]["time_base"])
    if any(segment["retimed"] for segment in seen):
        raise ItemError("segments", "times that are known only to who reads the video from its start")
    settings = {**settings, "interlaced": seen[0]["flags"]["interlaced"]}
    with open_video(path, max_pixels=max_pixels) as (container, stream):
        settings = _at_rate(settings, stream)
        assembler = _assembler(path, seen[0]["shape"], time_base, settings, out=out, max_pixels=max_pixels)
        for segment in seen:
            for number in range(segment["chunks"]):
                assembler.feed(load_chunk(Path(segment["folder"]) / f"{number}.npz"))
        if len(assembler.pts) != n_frames and not any(segment["errors"] for segment in seen):
            raise ItemError("segments", f"{len(assembler.pts)} frames in segments, {n_frames} in the index")
        return _finish(container, stream, assembler, seen, settings=settings)


def _at_rate(settings: SplitSettings, stream: Any) -> SplitSettings:
    """With min_scene_s in frames where these are fewer than min_scene_frames, at the higher of the file's two stated rates.
    More min_scene_frames than by default stretch the seconds alike."""
    rate = max(stream.base_rate or 0, stream.average_rate or 0)
    if not rate or settings["detector"] == NOT_BY_SECONDS:
        return settings
    most = settings["min_scene_frames"]
    seconds = Fraction(settings["min_scene_s"]) * Fraction(max(most, USUAL_FRAMES), USUAL_FRAMES)
    frames = math.ceil(seconds * Fraction(rate))
    return {**settings, "min_scene_frames": min(most, max(frames, 1))}


def _assembler(
    path: str, shape: Shape, time_base: Fraction, settings: SplitSettings, *, out: str, max_pixels: int
) -> Assembler | GivenClips:
    """What makes clips of the frames: shots that are detected, or the scenes that are given."""
    track = read_track(path)
    if not settings.get("scenes"):
        return Assembler(shape, time_base, settings=settings, out=Path(out), track=track)
    placed = place_scenes(path, settings["scenes"], mode=settings["given"], max_pixels=max_pixels)
    return GivenClips(shape, time_base, settings=settings, out=Path(out), placed=placed, track=track)


def _is_long(container: Any, segment_s: float) -> bool:
    seconds = (container.duration or 0) / 1e6
    return seconds > 2 * segment_s and any(name in container.format.name for name in SEEKABLE)


class _Seen:
    """Features of the frames that a decoder gives, a chunk at a time. `start_pts` None: the first frame seen is the video's."""

    def __init__(self, stream: Any, settings: SplitSettings, *, start_pts: int | None = None) -> None:
        self.time_base = Fraction(stream.time_base)
        self.shape: Shape  # of the first frame, as the flags
        self._flags: Flags
        self._start_pts = start_pts
        self._stream = stream
        self._settings = settings
        self._features: Features | None = None
        self._sizes: list[tuple[int, int]] = []
        self._budget = Budget(settings)

    def see(self, frame: Frame) -> Chunk | None:
        """One frame; a full chunk now and then."""
        picture = frame.picture
        self._budget.spend(picture, at_s=float(frame.pts * self.time_base))
        if self._features is None:
            self.shape = geometry(self._stream, picture)
            self._features = Features(self.shape, self._settings)
            self._flags = {
                "interlaced": bool(picture.interlaced_frame),
                "hdr": HDR_TRANSFERS.get(int(picture.color_trc)),
            }
        size = picture.width, picture.height
        if not self._sizes or self._sizes[-1] != size:
            self._sizes.append(size)
        if self._start_pts is None:
            self._start_pts = frame.pts
        self._features.see(frame, float((frame.pts - self._start_pts) * self.time_base))
        return self._features.take() if len(self._features) == CHUNK_FRAMES else None

    @property
    def interlaced(self) -> bool:
        """Whether the first frame is made of two fields."""
        return self._flags["interlaced"]

    def rest(self) -> Chunk | None:
        """What has come since the last chunk."""
        return self._features.take() if self._features is not None and len(self._features) else None

    def summary(self, decoder: Decoder | ExcerptFrames) -> Seen:
        """What the frames do not say themselves."""
        return {
            "shape": self.shape,
            "flags": self._flags,
            "time_base": str(self.time_base),
            "size_changes": len(self._sizes) - 1,
            "decoded": decoder.decoded,
            "end_pts": decoder.end_pts,
            "errors": decoder.errors,
            "packets": decoder.packets,
            "hidden": decoder.hidden,
            "retimed": decoder.retimed,
        }


def _finish(
    container: Any, stream: Any, assembler: Assembler | GivenClips, seen: Sequence[Seen], *, settings: SplitSettings
) -> Scanned:
    """Close the last clip and describe the video."""
    end_pts = seen[-1]["end_pts"]
    assembler.finish(end_pts)
    time_base = Fraction(seen[0]["time_base"])
    errors, packets = sum(segment["errors"] for segment in seen), sum(segment["packets"] for segment in seen)
    hidden = sum(segment["hidden"] for segment in seen)
    is_whole = excerpt_of(container) is None
    if is_whole:
        frames, end_s = len(assembler.pts) + hidden + errors, float(end_pts * time_base)
        check_whole(container, stream, frames=frames, end_s=end_s, least=settings["min_whole_share"])
    if errors > max(settings["max_error_share"] * packets, 1):
        raise ItemError("corrupt", f"{errors} of {packets} packets do not decode, or give damaged frames")
    video: Video = {
        **describe(container, stream),
        **seen[0]["shape"],
        **seen[0]["flags"],
        **_timing(assembler.pts, end_pts, time_base, is_whole=is_whole),
        "size_changes": sum(segment["size_changes"] for segment in seen),
        "decode_errors": errors,
        "decoded_frames": sum(segment["decoded"] for segment in seen),
        "retimed_frames": sum(segment["retimed"] for segment in seen),
    }
    found: Scanned = {"video": video, "clips": assembler.clips}
    if isinstance(assembler, GivenClips):
        found["failed"] = [
            {"number": number, "reason": reason, "detail": detail}
            for number, (reason, detail) in sorted(assembler.failed.items())
        ]
    return found


def _timing(pts: list[int], end_pts: int, time_base: Fraction, *, is_whole: bool) -> Timing:
    """Columns about time. A rate is variable if steps between frames differ by more than the rounding of the time base."""
    if not is_whole:
        return {"start_pts": pts[0], "n_frames": None, "duration_s": None, "fps": None, "vfr": None}
    duration_s = float((end_pts - pts[0]) * time_base)
    steps = np.diff(pts)
    return {
        "start_pts": pts[0],
        "n_frames": len(pts),
        "duration_s": duration_s,
        "fps": len(pts) / duration_s,
        "vfr": bool(len(steps) and steps.max() - steps.min() > 1),
    }
