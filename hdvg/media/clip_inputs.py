"""What measures are given beside frames: the sound of a clip, and a preview of it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from hdvg.config.own_measures import PREVIEW_FPS, PREVIEW_PX, SOUND_HZ
from hdvg.errors import ItemError
from hdvg.media import measure_calls
from hdvg.media.calls import Shape
from hdvg.media.containers import open_container
from hdvg.media.decode import alone_if_damaged, film_of, open_video
from hdvg.media.geometry import coded_way, geometry, upright
from hdvg.media.measure_calls import Span, Values, Wanted
from hdvg.media.source_file import check_was_read, file_of
from hdvg.media.spans import Frames
from hdvg.media.streams import find_sound
from hdvg.plugins import load_named


@measure_calls.listen.serves
def listen(path: str, spans: list[Span], time_base: str, measures: dict[str, Wanted]) -> list[Values]:
    """The values of measures of sound for each span, in order.

    A class's `measure` is given (n,) float32 in -1..1 of `SOUND_HZ`, mono; None where there is no sound.
    """
    made = {name: load_named(one["made_by"])(**one["options"]) for name, one in measures.items()}
    base = Fraction(time_base)
    with open_container(path) as container:
        sound = find_sound(container, film_of(container, path))
        clips = [
            samples(container, sound, float(one["start_pts"] * base), float(one["end_pts"] * base)) for one in spans
        ]
    return [{name: dict(measure.measure(clip)) for name, measure in made.items()} for clip in clips]


def samples(container: Any, sound: Any, start_s: float, end_s: float) -> npt.NDArray[np.float32] | None:
    """(n,) float32, mono, of `SOUND_HZ`: an audio stream from `start_s` to `end_s`; None if there is none."""
    if sound is None:
        return None
    container.seek(max(int((start_s - 1.0) * av.time_base), 0))
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SOUND_HZ)
    pieces: list[npt.NDArray[Any]] = []
    first_s: float | None = None
    for frame in container.decode(sound):
        if frame.time is not None and frame.time >= end_s:
            break
        if frame.time is None or frame.time + frame.samples / frame.sample_rate <= start_s:
            continue
        first_s = frame.time if first_s is None else first_s
        pieces += [piece.to_ndarray().reshape(-1) for piece in resampler.resample(frame)]
    check_was_read(file_of(container))
    if first_s is None:
        return None
    pieces += [piece.to_ndarray().reshape(-1) for piece in resampler.resample(None)]
    skip = max(round((start_s - first_s) * SOUND_HZ), 0)
    return np.concatenate(pieces).astype(np.float32, copy=False)[skip : skip + round((end_s - start_s) * SOUND_HZ)]


@measure_calls.preview.serves
def preview(path: str, out: str, spans: list[Span], threads: int, max_pixels: int) -> list[str]:
    """Write a few small frames of each span into `out`, (T, H, W, 3) uint8 RGB as .npy; returns the files' names, in order.

    T is about `PREVIEW_FPS` a second, at least 1; the shorter side is `PREVIEW_PX`. Raises ItemError bad_span.
    """
    return alone_if_damaged(lambda few: _preview(path, out, spans, few, max_pixels), threads)


def _preview(path: str, out: str, spans: list[Span], threads: int, max_pixels: int) -> list[str]:
    kept: list[list[npt.NDArray[np.uint8]]] = [[] for _ in spans]
    with open_video(path, threads=threads, max_pixels=max_pixels, thrifty=True) as opened:
        step = 1 / PREVIEW_FPS / Fraction(opened[1].time_base)
        for frame in Frames(path, opened, spans, threads=threads, max_pixels=max_pixels, thrifty=True):
            for span, pictures in zip(spans, kept, strict=True):
                due = max(span["start_pts"], 0) + int(len(pictures) * step)
                if span["start_pts"] <= frame.pts < span["end_pts"] and frame.pts >= due:
                    pictures.append(_small(frame.picture, geometry(opened[1], frame.picture)))
    for number, pictures in enumerate(kept):
        if not pictures:
            raise ItemError("bad_span", f"no frame decodes in span {number} of {path}")
        np.save(Path(out) / f"preview-{number}.npy", np.stack(pictures), allow_pickle=False)
    return [f"preview-{number}.npy" for number in range(len(spans))]


def _small(picture: av.VideoFrame, shape: Shape) -> npt.NDArray[np.uint8]:
    scale = PREVIEW_PX / min(shape["width"], shape["height"])
    size = max(round(shape["width"] * scale), 1), max(round(shape["height"] * scale), 1)
    width, height = coded_way(shape, size)
    pixels = picture.reformat(width=width, height=height, format="rgb24").to_ndarray()
    return np.ascontiguousarray(upright(pixels, shape))
