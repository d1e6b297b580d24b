"""One clip of a dataset as Python sees it: its span, texts and measures, and its pictures when they are asked for."""

from __future__ import annotations

import builtins
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hdvg.config.conditions import check_expression
from hdvg.dataset.clip_files import PLACED, Row, clip_path, limits
from hdvg.errors import ItemError, UsageError
from hdvg.media.calls import FramesWanted, write_frames
from hdvg.sandbox.process import process_sandbox
from schemas.clips import SPAN
from schemas.measures import ALL_MEASURED

if TYPE_CHECKING:
    from hdvg.dataset.dataset import Dataset
    from hdvg.dataset.manifest import Manifest

Frames = NDArray[np.uint8]
"""RGB, (T, H, W, 3)."""

BATCH = 256
"""Clips that are read at a time."""

MEASURES = tuple(one.name for one in ALL_MEASURED if not pa.types.is_list(one.type))
"""The measures of a clip that are one value each."""

CUT = ("clip_width", "clip_height", "cut_start_pts", "cut_end_pts", "cut_n_frames")
BASE = dict.fromkeys(
    [*PLACED, *CUT, *(one.name for one in SPAN if one.name != "keyframes"), *MEASURES, "caption", "texts", "keep", "reasons", "source"]
)  # fmt: skip


def own_measures(dataset: Dataset) -> list[str]:
    """The columns of the user's own measures; a list is a value of these too."""
    return [field.name for one in dataset.plan.recipe.measure.taken if one.is_own for field in one.fields()]


def columns(dataset: Dataset) -> list[str]:
    """What is read of a clip."""
    return [*BASE, *own_measures(dataset)]


@dataclass(frozen=True)
class Span:
    """Where a clip lies in its video: pts from `start_pts` to before `end_pts`, in ticks of `time_base` seconds.

    Frame numbers are None where only a part of the video was fetched.
    """

    time_base: Fraction
    start_pts: int
    end_pts: int
    start_frame: int | None
    end_frame: int | None
    n_frames: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Text:
    """One text of a clip; `weight` is how often the trainer draws it, of 1 over all texts of the clip."""

    kind: str
    text: str
    language: str | None
    weight: float
    captioner: str
    model: str | None


@dataclass(frozen=True)
class Clip:
    """A shot of a video. `fps`: frames a second, on average. `measures`: by name, None where one was not taken."""

    id: str
    video_id: str
    source: str
    span: Span
    fps: float
    caption: str | None
    texts: tuple[Text, ...]
    measures: Mapping[str, Any]
    keep: bool
    reasons: tuple[str, ...]
    _files: _Files = field(repr=False, compare=False)

    def bytes(self) -> builtins.bytes:
        """Its mp4: the cut file, or what is cut of the source now if it was never cut. Raises as `frames`."""
        with self._files.path() as path:
            return path.read_bytes()

    def frames(self, *, fps: float | None = None, height: int | None = None) -> Frames:
        """Its pictures, (T, H, W, 3), uint8, RGB, upright with square pixels, decoded in a limited child process.

        `fps`: so many a second, from the first frame on, each time's nearest; by default every frame. `height`: in pixels,
        the width follows; by default as they are. Raises UsageError for a number that cannot be, pictures over
        `limits.file_mb`, or a clip whose bytes and source are gone; ItemError if the clip does not decode.
        """
        return self._files.frames(fps=fps, height=height)


@dataclass(frozen=True)
class _Files:
    """What a clip's bytes are read by."""

    dataset: Dataset
    manifest: Manifest
    row: Row

    @contextmanager
    def path(self) -> Iterator[Path]:
        with clip_path(self.dataset, self.row, self.manifest) as path:
            yield path

    def frames(self, *, fps: float | None, height: int | None) -> Frames:
        length_s, n_frames = self._cut()
        self._refuse_odd(fps, height, n_frames if fps is None else math.ceil(length_s * Fraction(fps)))
        recipe = self.dataset.plan.recipe
        wanted: FramesWanted = {
            "fps": fps,
            "height": height,
            "length_s": str(length_s),
            "n_frames": n_frames,
            "max_pixels": recipe.limits.max_pixels,
        }
        with self.path() as path, tempfile.TemporaryDirectory(prefix="hdvg-frames-") as scratch:
            out = Path(scratch) / "frames"
            sandbox = process_sandbox("hdvg.media.clip_frames")
            shape = sandbox.call(write_frames(str(path), str(out), wanted), Path(scratch), limits(recipe))
            return _read(out, shape)

    def _cut(self) -> tuple[Fraction, int]:
        """Seconds and frames of the cut file, which mode `copy` makes shorter than the span."""
        row = self.row
        start, end, count = (
            row[name] if row[f"cut_{name}"] is None else row[f"cut_{name}"]
            for name in ("start_pts", "end_pts", "n_frames")
        )
        return (end - start) * Fraction(row["time_base"]), count

    def _refuse_odd(self, fps: float | None, height: int | None, count: int) -> None:
        if fps is not None and not 0 < fps < math.inf:
            raise UsageError(f"fps = {fps}: frames a second are a positive number, such as 8")
        if height is not None and height < 1:
            raise UsageError(f"height = {height}: at least 1 pixel, such as 256")
        tall = self.row["clip_height"] or self.row["height"]
        wide = self.row["clip_width"] or self.row["width"]
        size = count * 3 * tall * wide * ((height or tall) / tall) ** 2
        most_mb = self.dataset.plan.recipe.limits.file_mb
        if size > most_mb * 2**20:
            raise UsageError(
                f"clip {self.row['clip_id']}: {count} frames of {wide}x{tall} are {size / 2**20:.0f} MB, more than "
                f"limits.file_mb = {most_mb:g}; take fewer with fps=, or smaller ones with height="
            )


def _read(out: Path, shape: Sequence[int]) -> Frames:
    """What the child wrote. It is not trusted: it may have said or written anything."""
    try:
        taken = np.fromfile(out, np.uint8)
        return taken.reshape(*shape, 3)
    except (OSError, ValueError, TypeError) as error:
        raise ItemError("crash", f"the child wrote no frames ({error})") from error


def stream_clips(dataset: Dataset, manifest: Manifest, where: str | None) -> Iterator[Clip]:
    """The clips of which `where`, a condition on `dataset`, holds, by video and time; a batch of rows is in memory.

    Raises UsageError if `where` is no condition.
    """
    try:
        check_expression(where or "true", example="keep and duration_s > 3")
    except ValueError as error:
        raise UsageError(f"clips({where!r}): {error}") from error
    sql = f"select {', '.join(columns(dataset))} from dataset where (\n{where or 'true'}\n) order by video_id, start_pts, end_pts"
    for batch in manifest.batches(sql, size=BATCH):
        for row in batch.to_pylist():
            yield as_clip(dataset, manifest, row)


def find_clip(dataset: Dataset, manifest: Manifest, clip_id: str) -> Clip:
    """The clip whose id starts with `clip_id`. Raises UsageError if there is none, or several."""
    rows = manifest.rows(
        f"select {', '.join(columns(dataset))} from dataset where starts_with(clip_id, ?) limit 2", [clip_id]
    )
    if len(rows) != 1:
        what = "several clips" if rows else "no clip"
        raise UsageError(
            f'{what} with an id that starts with {clip_id!r}; ids: hdvg query {dataset.root} "select clip_id from clips"'
        )
    return as_clip(dataset, manifest, rows[0])


def as_clip(dataset: Dataset, manifest: Manifest, row: Row) -> Clip:
    """The clip of a row of `dataset` with its `columns`."""
    span = {name: row[name] for name in Span.__dataclass_fields__ if name != "time_base"}
    return Clip(
        id=row["clip_id"],
        video_id=row["video_id"],
        source=row["source"],
        span=Span(Fraction(row["time_base"]), **span),
        fps=row["fps"],
        caption=row["caption"],
        texts=tuple(Text(**text) for text in row["texts"] or ()),
        measures={name: row[name] for name in (*MEASURES, *own_measures(dataset))},
        keep=row["keep"],
        reasons=tuple(row["reasons"]),
        _files=_Files(dataset, manifest, row),
    )
