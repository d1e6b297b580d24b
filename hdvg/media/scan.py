"""The one pass over a video: shots, their measures and keyframes, from a single decode."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
from av.video.reformatter import VideoReformatter

from hdvg.errors import ItemError
from hdvg.measures import MEASURES, phash
from hdvg.measures.series import View
from hdvg.media.decode import Decoder, Frame, geometry, open_video
from hdvg.media.keyframes import Keyframes, as_array
from hdvg.media.probe import describe
from hdvg.shots import ShotBoundaries

WHOLE_ENOUGH = 0.9
ERRORS_MOST = 0.01


def scan(path: str, out: str, settings: dict[str, Any], threads: int, max_pixels: int) -> dict[str, Any]:
    """Decode `path` once; returns {"video": columns, "clips": [columns and "keyframes"]}, keyframe JPEGs lie in `out`.

    `settings` are config.Split's. A clip is [start_pts, end_pts); a video without a cut is one clip.
    Raises ItemError no_frames, truncated (under 90 % of what the index promises decodes), corrupt (over 1 % of the
    packets do not decode), and what `open_video` raises.
    """
    cv2.setNumThreads(1)
    with open_video(path, threads=threads, max_pixels=max_pixels) as (container, stream):
        decoder = Decoder(container, stream)
        the_pass: _Pass | None = None
        for frame in decoder:
            if the_pass is None:
                the_pass = _Pass(
                    geometry(stream, frame.picture), Fraction(stream.time_base), settings=settings, out=Path(out)
                )
            the_pass.see(frame)
        if the_pass is None:
            raise ItemError("no_frames", "no frame decodes")
        clips = the_pass.finish(decoder.end_pts)
        duration = (decoder.end_pts - the_pass.pts[0]) * the_pass.time_base
        _check_whole(
            container, stream, decoder, frames=len(the_pass.pts), end_s=float(decoder.end_pts * the_pass.time_base)
        )
        video = describe(container, stream) | the_pass.shape
        video |= {"start_pts": the_pass.pts[0], "n_frames": len(the_pass.pts), "duration_s": float(duration)}
        video |= {"fps": float(len(the_pass.pts) / duration), "vfr": the_pass.is_vfr, "decode_errors": decoder.errors}
        return {"video": video, "clips": clips}


class _Pass:
    """What is known while the frames go by."""

    def __init__(self, shape: dict[str, Any], time_base: Fraction, *, settings: dict[str, Any], out: Path) -> None:
        self.shape = shape
        self.time_base = time_base
        self.pts: list[int] = []
        self.clips: list[dict[str, Any]] = []
        self._steps: tuple[int, int] | None = None
        self._width = min(settings["analysis_width_px"], shape["coded_width"])
        self._height = max(round(shape["coded_height"] * self._width / shape["coded_width"]), 1)
        self._out = out
        self._small = VideoReformatter()
        self._middle = VideoReformatter()
        self._boundaries = ShotBoundaries(settings)
        self._measures = [make() for make in MEASURES.values()]
        self._keyframes = Keyframes(
            shape, long_side_px=settings["keyframe_px"], quality=settings["keyframe_quality"], lag=self._boundaries.lag
        )
        self._start = 0

    @property
    def is_vfr(self) -> bool:
        """Whether steps between frames differ by more than the rounding of the time base."""
        return self._steps is not None and self._steps[1] - self._steps[0] > 1

    def see(self, frame: Frame) -> None:
        """One frame to all who watch; clips that it ends are closed."""
        if self.pts:
            step = frame.pts - self.pts[-1]
            low, high = self._steps or (step, step)
            self._steps = min(low, step), max(high, step)
        self.pts.append(frame.pts)
        seconds = float((frame.pts - self.pts[0]) * self.time_base)
        small = self._small.reformat(
            frame.picture, width=self._width, height=self._height, format="bgr24", interpolation="FAST_BILINEAR"
        )
        bgr = as_array(small)
        grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
        view = View(frame.index, seconds, grey, lambda width: self._at_width(frame, width))  # type: ignore[arg-type]  # cv2 types no uint8
        for measure in self._measures:
            measure.see(view)
        self._keyframes.see(frame, seconds)
        for cut in self._boundaries.see(frame.index, bgr):
            self._close(cut)

    def finish(self, end_pts: int) -> list[dict[str, Any]]:
        """Close the last clips; all clips, in order."""
        for cut in self._boundaries.finish():
            self._close(cut)
        self.pts.append(end_pts)
        self._close(len(self.pts) - 1)
        self.pts.pop()
        return self.clips

    def _at_width(self, frame: Frame, width: int) -> Any:
        width = min(width, frame.picture.width)
        height = max(round(frame.picture.height * width / frame.picture.width), 1)
        return as_array(
            self._middle.reformat(frame.picture, width=width, height=height, format="gray", interpolation="AREA")
        )

    def _close(self, end: int) -> None:
        start, self._start = self._start, end
        start_pts, end_pts = self.pts[start], self.pts[end]
        duration_s = float((end_pts - start_pts) * self.time_base)
        shape = self.shape
        clip: dict[str, Any] = {
            "time_base": f"{self.time_base.numerator}/{self.time_base.denominator}",
            "start_pts": start_pts,
            "end_pts": end_pts,
            "start_frame": start,
            "end_frame": end,
            "n_frames": end - start,
            "start_s": float(start_pts * self.time_base),
            "end_s": float(end_pts * self.time_base),
            "width": shape["width"],
            "height": shape["height"],
            "aspect": shape["width"] / shape["height"],
            "fps": (end - start) / duration_s,
            "duration_s": duration_s,
        }
        for measure in self._measures:
            clip |= measure.answer(start, end)
            measure.forget(end)
        chosen = self._keyframes.close(start, end)
        clip["phash"] = phash(cv2.cvtColor(dict(chosen)["middle"].bgr, cv2.COLOR_BGR2GRAY))  # type: ignore[arg-type]  # cv2 types no uint8
        clip["keyframes"] = []
        for position, held in chosen:
            file = f"{len(self.clips)}-{position}.jpg"
            size = self._keyframes.write(held, self._out / file)
            clip["keyframes"].append({"position": position, "frame": held.index, "pts": held.pts, "file": file} | size)
        self.clips.append(clip)


def _check_whole(container: Any, stream: Any, decoder: Decoder, *, frames: int, end_s: float) -> None:
    """Headers are no truth, but a file whose own index promises much more than decodes is not whole.

    An mp4's index lists its frames; a Matroska file with nothing but this stream states when it ends.
    """
    promised, got, what = 0.0, 0.0, "frames"
    if "mp4" in container.format.name:
        promised, got = float(stream.frames), float(frames)
    elif "matroska" in container.format.name and len(container.streams) == 1:
        promised, got, what = (container.duration or 0) / 1e6, end_s, "seconds"
    if got < WHOLE_ENOUGH * promised:
        raise ItemError("truncated", f"{got:g} of {promised:g} {what} decode")
    if decoder.errors > max(ERRORS_MOST * decoder.packets, 1):
        raise ItemError("corrupt", f"{decoder.errors} of {decoder.packets} packets do not decode")
