"""What is asked of the limited children that take measures alone, and what they return."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from hdvg.config.child_settings import SplitSettings
from hdvg.sandbox.paths import Code, MayName, Reads, Writes
from hdvg.sandbox.seam import seam

ALL = 2**62
"""As the end of a span: behind every frame."""


class Span(TypedDict):
    """[start_pts, end_pts) in the file's time base."""

    start_pts: int
    end_pts: int


class Wanted(TypedDict):
    """A measure: its class, `file.py:Class` or `package.module:Class`, and what it is made with."""

    made_by: Code
    options: MayName


class PreviewSpan(Span):
    """A span of which a frame is wanted every `step_s` seconds, at most `most` in all."""

    step_s: float
    most: int


class Previewed(TypedDict):
    """The frames of a span: bytes of each, one behind the other in the file that was asked for, and its second in the span."""

    sizes: list[int]
    at_s: list[float]


Values = dict[str, dict[str, Any]]
"""By measure: a value of each column, which `hdvg.config.own_measures.Taken.checked` looks at."""


@seam("hdvg.media.remeasure:remeasure")
def remeasure(
    path: Reads, spans: list[Span], measures: dict[str, Wanted], settings: SplitSettings, threads: int, max_pixels: int
) -> list[Values]:
    raise NotImplementedError


@seam("hdvg.media.clip_inputs:listen")
def listen(path: Reads, spans: list[Span], time_base: str, measures: dict[str, Wanted]) -> list[Values]:
    raise NotImplementedError


@seam("hdvg.media.clip_inputs:hear")
def hear(path: Reads, out: Writes, spans: list[Span], time_base: str) -> list[int]:
    raise NotImplementedError


@seam("hdvg.media.clip_inputs:preview")
def preview(path: Reads, out: Writes, spans: list[Span], threads: int, max_pixels: int) -> list[str]:
    raise NotImplementedError


@seam("hdvg.media.pack_preview:keep_preview")
def keep_preview(path: Reads, out: Writes, spans: list[PreviewSpan], threads: int, max_pixels: int) -> list[Previewed]:
    raise NotImplementedError
