"""Videos for people to look at: an mp4 and a GIF of frames in memory, and a list of what they are.

Shapes: T frames, H, W pixels.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hdvg.errors import ResourceError

Video = NDArray[np.uint8]
"""RGB, (T, H, W, 3)."""
BT709, LIMITED = 1, 1
"""In H.273's numbers."""


@dataclass(frozen=True)
class Place:
    """Where videos go: `sample-000.mp4`, `.gif`, …, `samples.json` of a folder, or files of one `stem` for one video."""

    folder: Path
    stem: str | None = None
    gif: bool = True


def write_videos(
    videos: Iterable[Video], prompts: Sequence[str], place: Place, *, fps: float, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Write videos as they come, then a list of what each shows, with `about`, which is true of all; returns the list's content.

    Files of these names are replaced, whole. Raises ResourceError if the disk refuses.
    """
    samples, folder = [], place.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, (prompt, video_THWC) in enumerate(zip(prompts, videos, strict=True)):
            name = place.stem or f"sample-{number:03d}"
            made = {"prompt": prompt, "mp4": f"{name}.mp4"}
            _put(folder / made["mp4"], partial(write_mp4, video_THWC, fps=fps))
            if place.gif:
                made["gif"] = f"{name}.gif"
                _put(folder / made["gif"], partial(write_gif, video_THWC, fps=fps))
            samples.append(made)
        content = {"samples": samples, "fps": fps, **about}
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        _put(folder / f"{place.stem or 'samples'}.json", lambda path: path.write_text(text, encoding="utf-8"))
    except OSError as error:
        refused = error.strerror or error
        raise ResourceError(f"{folder}: cannot write: {refused}; free space, or name another folder") from error
    return content


def write_mp4(video_THWC: Video, path: Path, *, fps: float) -> None:
    """H.264, 8-bit 4:2:0, BT.709; H and W even. The same bytes for the same frames."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}) as file:
        stream = file.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = video_THWC.shape[1:3]
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.thread_count = 1
        context.options = {"crf": "16", "preset": "medium", "flags": "+bitexact"}
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = LIMITED
        for picture_HWC in video_THWC:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture_HWC), format="rgb24")
            coded = picture.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            file.mux(stream.encode(coded))
        file.mux(stream.encode(None))


def write_gif(video_THWC: Video, path: Path, *, fps: float) -> None:
    """A GIF that repeats, with one palette for all frames; its times are whole hundredths of a second, right on average."""
    ends_cs = [round(100 * number / fps) for number in range(len(video_THWC) + 1)]
    durations_ms = [10 * (end - start) for start, end in pairwise(ends_cs)]
    whole = Image.fromarray(video_THWC.reshape(-1, *video_THWC.shape[2:]))
    palette = whole.quantize(colors=255, method=Image.Quantize.MEDIANCUT)
    frames = [Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE) for picture in video_THWC]
    frames[0].save(
        path, format="GIF", save_all=True, append_images=frames[1:], duration=durations_ms, loop=0, optimize=False
    )


def _put(path: Path, write: Callable[[Path], object]) -> None:
    """A file appears whole, or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
