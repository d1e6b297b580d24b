"""The sections of a recipe as children get them: the fields of config.Split and config.Cut, and what is added to them."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12


class Scene(TypedDict):
    """Where a published set says that a clip lies; see schemas.given."""

    parent: str | None
    parent_start_ms: int | None
    parent_end_ms: int | None
    start_frame: int | None
    end_frame: int | None
    start_ms: int | None
    end_ms: int | None


class Blocked(TypedDict):
    """Hashes of pictures that may not be stored, and in how many bits one may differ from them."""

    pictures: list[str]
    distance: int


class SplitSettings(TypedDict):
    """The fields of `config.Split`; and if there are any, given scenes and blocked pictures.

    `max_frames` and `max_decoded_gb` are those of `config.Limits`. The child itself adds `spans` and `layer`, for the
    assembly of given scenes, and `interlaced`, of the first frame.
    """

    detector: str
    adaptive_threshold: float
    min_content_val: float
    window_frames: int
    content_threshold: float
    histogram_threshold: float
    hash_threshold: float
    network_threshold: float
    min_scene_frames: int
    min_scene_s: float
    guard_frames: int
    stitch_levels: float
    stitch_s: float
    given: str
    max_clip_s: float | None
    divide: str
    segment_s: float
    max_error_share: float
    min_whole_share: float
    analysis_width_px: int
    keyframe_px: int
    keyframe_quality: int
    scenes: NotRequired[list[Scene]]
    blocked: NotRequired[Blocked]
    spans: NotRequired[list[tuple[int, int]]]
    layer: NotRequired[int]
    interlaced: NotRequired[bool]
    max_frames: NotRequired[int]
    max_decoded_gb: NotRequired[float]


class CutSettings(TypedDict):
    """The fields of `config.Cut`."""

    mode: str
    codec: str
    crf: int
    preset: str
    threads: int
    max_height_px: int | None
    crop: str
    audio: str
    hdr: str
    verify_share: float
