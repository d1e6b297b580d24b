"""What measures are given beside frames: the sound of a clip, and a preview of it."""

from __future__ import annotations

from fractions import Fraction
from itertools import takewhile
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from hdvg.config.own_measures import PREVIEW_FPS, PREVIEW_PX, SOUND_HZ
from hdvg.errors import ItemError
from hdvg.media import measure_calls
from hdvg.media.audio import decoded, filtered
from hdvg.media.calls import Shape
from hdvg.media.containers import open_container
from hdvg.media.decode import alone_if_damaged, film_of, open_video
from hdvg.media.geometry import coded_way, geometry, upright
from hdvg.media.measure_calls import Span, Values, Wanted
from hdvg.media.spans import Frames
from hdvg.media.streams import find_sound
from hdvg.plugins import load_named

AHEAD_S = 1.0
"""How far before a span its sound is looked for: decoders need some."""
MONO = [("aformat", "sample_fmts=flt:channel_layouts=mono")]


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


@measure_calls.hear.serves
def hear(path: str, out: str, spans: list[Span], time_base: str) -> list[int]:
    """Write the sound of all spans, in order, into the file `out`: int16, mono, of `SOUND_HZ`; returns the samples of each.

    A span's are as long as it, with silence where nothing decodes; of one without any sound there are 0.
    """
    base = Fraction(time_base)
    with open_container(path) as container, Path(out).open("wb") as file:
        sound = find_sound(container, film_of(container, path))
        counts = []
        for one in spans:
            heard = samples(container, sound, float(one["start_pts"] * base), float(one["end_pts"] * base))
            counts.append(0 if heard is None else len(heard))
            if heard is not None:
                file.write((np.clip(heard, -1, 1) * 32767).astype("<i2").tobytes())
    return counts


def samples(container: Any, sound: Any, start_s: float, end_s: float) -> npt.NDArray[np.float32] | None:
    """(n,) float32, mono, of `SOUND_HZ`: an audio stream from `start_s` to `end_s`, silent where it has a gap or is damaged;
    None if there is nothing of it."""
    if sound is None or not sound.codec_context.name:
        return None
    container.seek(max(int((start_s - AHEAD_S) * av.time_base), 0))
    frames = takewhile(lambda frame: frame.time < end_s, decoded(container, sound))
    placed: npt.NDArray[np.float32] | None = None
    length = round((end_s - start_s) * SOUND_HZ)
    for piece in filtered(frames, MONO, time_base=sound.time_base, rate=SOUND_HZ):
        at = round((piece.time - start_s) * SOUND_HZ)
        held = piece.to_ndarray()[0, max(-at, 0) : max(length - at, 0)]
        if len(held):
            placed = np.zeros(length, np.float32) if placed is None else placed
            placed[max(at, 0) : max(at, 0) + len(held)] = held
    return placed


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
