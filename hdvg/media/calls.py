"""What is asked of the limited children that open media, and what they return: declared here, done in the modules named."""

from __future__ import annotations

from typing import Literal, NotRequired, final

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from hdvg.config.child_settings import CutSettings, Scene, SplitSettings
from hdvg.media.pieces import Done, FileAsked, Need, PlaylistAsked, Whole
from hdvg.sandbox.paths import Reads, Writes
from hdvg.sandbox.seam import closed, open_ended, seam


class Stream(TypedDict):
    """What a video stream is said to be."""

    container: str
    codec: str
    pix_fmt: str | None
    time_base: str


class Shape(TypedDict):
    """Coded and displayed size of a picture, its orientation (see geometry.Orientation) and pixel aspect."""

    coded_width: int
    coded_height: int
    width: int
    height: int
    rotation: int
    mirrored: bool
    odd_turn: int | None
    sar: str


class Flags(TypedDict):
    """What the first picture says of all."""

    interlaced: bool
    hdr: str | None


class Timing(TypedDict):
    """Columns about time; what is known only of a whole video is None of a part."""

    start_pts: int
    n_frames: int | None
    duration_s: float | None
    fps: float | None
    vfr: bool | None


class Probed(Stream, Shape):
    """A video of which one frame decodes."""


class Video(Stream, Shape, Flags, Timing):
    """The columns of a video."""

    size_changes: int
    decode_errors: int
    decoded_frames: int
    retimed_frames: int


class Span(TypedDict):
    """Where a clip lies in its video, and how large it is; columns of schemas/."""

    time_base: str
    start_pts: int
    end_pts: int
    start_frame: int
    end_frame: int
    n_frames: int
    start_s: float
    end_s: float
    width: int
    height: int
    aspect: float
    fps: float
    duration_s: float


@closed
class Keyframe(TypedDict):
    """A picture of a clip, in a file of the child's folder."""

    position: str
    frame: int
    pts: int
    file: str
    width: int
    height: int


class Shot(Span):
    """The columns of a clip but for those of its measures."""

    stitched: int
    opens_with: str
    opens_frames: int
    closes_with: str
    closes_frames: int
    first_look: str | None
    last_look: str | None
    phash: str
    phashes: list[int]
    phashes_inner: list[int]
    keyframes: list[Keyframe]


@open_ended
class Clip(Shot):
    """The columns of a clip, those of its measures beside them; `given` is the number of the scene that it is."""

    given: NotRequired[int]
    given_shift_frames: NotRequired[int | None]
    given_short_ms: NotRequired[int | None]


class LostScene(TypedDict):
    """A given scene, by its number, that became no clip, and why."""

    number: int
    reason: str
    detail: str


@final
class Scanned(TypedDict):
    """What the one pass over a video finds; `failed` only where scenes are given."""

    video: Video
    clips: list[Clip]
    failed: NotRequired[list[LostScene]]


class Segment(TypedDict):
    """A part of a long video, to be decoded on its own; `end_pts` is None of the last, `n_frames` those of the whole video."""

    start_pts: int
    end_pts: int | None
    video_start_pts: int
    n_frames: int


@final
class Segments(TypedDict):
    """A video that is too long for one child."""

    segments: list[Segment]


class Seen(TypedDict):
    """What frames do not say themselves."""

    shape: Shape
    flags: Flags
    time_base: str
    size_changes: int
    decoded: int
    end_pts: int
    errors: int
    packets: int
    hidden: int
    retimed: int


class SeenSegment(Seen):
    """What was seen of a segment; its features lie in so many files."""

    chunks: int


class StoredSegment(SeenSegment):
    """A segment with the folder of its files."""

    folder: Reads


class CutSpan(TypedDict):
    """A clip to be cut; looks are hex texts of 8 x 8 grey levels, `clean` sides in shares of the picture as it is shown."""

    clip_id: str
    start_pts: int
    end_pts: int
    n_frames: int
    first_look: NotRequired[str | None]
    last_look: NotRequired[str | None]
    decode_errors: NotRequired[int | None]
    retimed_frames: NotRequired[int | None]
    clean_left: NotRequired[float | None]
    clean_top: NotRequired[float | None]
    clean_width: NotRequired[float | None]
    clean_height: NotRequired[float | None]


@final
class CutClip(TypedDict):
    """A clip that was cut, in a file of the child's folder."""

    clip_id: str
    file: str
    width: int
    height: int
    codec: str
    cut_mode: str
    cut_start_pts: int
    cut_end_pts: int
    cut_n_frames: int
    copied_frames: int
    cut_decoded_frames: int


Reason = Literal["cut_mismatch", "no_keyframe", "unsupported"]


@final
class UncutClip(TypedDict):
    """A clip that could not be cut, and why."""

    clip_id: str
    reason: Reason
    detail: str


class FramesWanted(TypedDict):
    """Which frames of a clip are wanted, so many a second (None: all), of a height in pixels (None: as they are shown); and what
    is known of it: its length, a fraction of seconds, and its frames."""

    fps: float | None
    height: int | None
    length_s: str
    n_frames: int
    max_pixels: int


@seam("hdvg.media.probe:probe")
def probe(path: Reads, max_pixels: int) -> Probed:
    raise NotImplementedError


@seam("hdvg.media.scan:scan")
def scan(path: Reads, out: Writes, settings: SplitSettings, threads: int, max_pixels: int) -> Scanned | Segments:
    raise NotImplementedError


@seam("hdvg.media.scan:scan_segment")
def scan_segment(
    path: Reads, out: Writes, settings: SplitSettings, threads: int, max_pixels: int, segment: Segment
) -> SeenSegment:
    raise NotImplementedError


@seam("hdvg.media.scan:assemble")
def assemble(
    path: Reads, out: Writes, settings: SplitSettings, max_pixels: int, seen: list[StoredSegment], n_frames: int
) -> Scanned:
    raise NotImplementedError


@seam("hdvg.media.cut:cut")
def cut(
    path: Reads, out: Writes, spans: list[CutSpan], settings: CutSettings, max_pixels: int
) -> list[CutClip | UncutClip]:
    raise NotImplementedError


@seam("hdvg.media.coverage:plan")
def plan(
    path: Reads, asked: FileAsked | PlaylistAsked, scenes: list[Scene], mode: str, max_pixels: int
) -> Need | Whole | Done:
    raise NotImplementedError


@seam("hdvg.media.clip_frames:write_frames")
def write_frames(path: Reads, out: Writes, wanted: FramesWanted) -> list[int]:
    raise NotImplementedError


@seam("hdvg.media.mux:mux")
def mux(video: Reads, sound: Reads, target: Writes) -> str:
    raise NotImplementedError
