"""A clip's mp4, wherever its bytes lie: a cut file, a place in a pack, a row of a shard, or a span of its source that is cut now.

Nothing else may look for a clip's file: where it lies can change, and a virtual clip has none.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.config.child_settings import CutSettings
from hdvg.dataset.damage import say
from hdvg.dataset.manifest import Manifest, path_list
from hdvg.dataset.parts import read_as
from hdvg.dataset.store import Store
from hdvg.errors import DamagedError, ItemError, UsageError
from hdvg.media.calls import CutSpan, cut
from hdvg.sandbox import Limits
from hdvg.sandbox.process import process_sandbox
from schemas.shards import SHARDS

if TYPE_CHECKING:
    from hdvg.config.recipe import Recipe
    from hdvg.dataset.dataset import Dataset

Row = Mapping[str, Any]
Numbers = npt.NDArray[np.int64]

HELD = ("clip_sha256", "clip_pack", "clip_offset", "clip_bytes")
"""Columns that say where in media/ a clip's bytes are."""

PLACED = (
    *("clip_id", "video_id", *HELD, "video_sha256", "start_pts", "end_pts", "n_frames"),
    *("first_look", "last_look", "source", "start_s", "end_s"),
)
"""Columns of `dataset` that say where a clip's bytes are, or of what they can be made."""

SPAN = ("clip_id", "start_pts", "end_pts", "n_frames", "first_look", "last_look")
"""Those that a cut asks for."""


def promised(clip: Row) -> Row:
    """What a cut says of a virtual clip, whose file is made when its shard is written; `clip` has the columns of its span."""
    span = {"cut_start_pts": clip["start_pts"], "cut_end_pts": clip["end_pts"], "cut_n_frames": clip["n_frames"]}
    return {"cut_mode": "virtual", **span, "cut_decoded_frames": 0}


@dataclass(frozen=True)
class ClipFile:
    """Where the bytes of a cut clip lie: all of a file, or of a pack `size` bytes from `start` on."""

    path: Path
    start: int
    size: int
    is_packed: bool = False

    def read(self) -> bytes:
        """What lies there; less than `size` bytes if the file ends before."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.size)


def find_clip_file(store: Store, clip: Row) -> ClipFile | None:
    """Where a clip's bytes lie in media/; None if it was not cut, or they are gone. `clip` has the columns `HELD`."""
    if not clip["clip_sha256"]:
        return None
    path = store.find_media(clip["clip_pack"] or clip["clip_sha256"])
    if path is None:
        return None
    if clip["clip_pack"]:
        return in_pack(path, clip)
    return ClipFile(path, 0, path.stat().st_size)


def in_pack(pack: Path, clip: Row) -> ClipFile:
    """Where a clip's bytes lie in its pack."""
    return ClipFile(pack, clip["clip_offset"], clip["clip_bytes"], is_packed=True)


def open_clip(dataset: Dataset, clip_id: str) -> bytes:
    """The clip's mp4. Raises as `clip_path`, and UsageError if there is no such clip."""
    with dataset.manifest() as manifest:
        rows = manifest.rows(f"select {', '.join(PLACED)} from dataset where clip_id = ?", [clip_id])
        if not rows:
            raise UsageError(f'{dataset.root}: no clip {clip_id!r}; ids: hdvg query … "select clip_id from clips"')
        with clip_path(dataset, rows[0], manifest) as path:
            return path.read_bytes()


@contextmanager
def clip_path(dataset: Dataset, clip: Row, manifest: Manifest) -> Iterator[Path]:
    """A file with the clip's mp4, to read until the end of the block: where it lies, or a copy that then goes.

    `clip` has the columns `PLACED`. A clip that was never cut, such as one that is dropped, is cut of its source.
    Raises UsageError if neither it nor its source is in the dataset, ItemError if it cannot be cut, DamagedError if it lies in
    a pack with other bytes.
    """
    held = None if clip["clip_pack"] else find_clip_file(dataset.store, clip)
    if held is not None:
        yield held.path
        return
    with tempfile.TemporaryDirectory(prefix="hdvg-clip-") as scratch:
        path = Path(scratch) / f"{clip['clip_id']}.mp4"
        stored = cut_file(dataset.store, clip) or _stored(dataset, clip, manifest)
        if stored is not None:
            path.write_bytes(stored)
        else:
            _cut(dataset, clip, manifest, path)
        yield path


@contextmanager
def own_file(store: Store, clip: Row) -> Iterator[Path]:
    """A file with what a clip was cut into and nothing else, to read until the end of the block: of a pack, a copy.

    A child that opens it so sees no other clip. Raises DamagedError if the clip lies in a pack with other bytes, or is gone.
    """
    held = None if clip["clip_pack"] else find_clip_file(store, clip)
    if held is not None:
        yield held.path
        return
    content = cut_file(store, clip)
    if content is None:
        raise DamagedError(say(store.root, [f"clip {clip['clip_id']}"], "lost"))
    with tempfile.TemporaryDirectory(prefix="hdvg-clip-") as scratch:
        path = Path(scratch) / f"{clip['clip_id']}.mp4"
        path.write_bytes(content)
        yield path


def harmed_clips(pack: Path | None, clips: Sequence[Row]) -> list[str]:
    """Of clips that lie in a pack, with the columns `HELD`, the ids of those whose bytes are not as they were cut; `pack`: its
    file, None if that is gone."""
    return [
        clip["clip_id"]
        for clip in clips
        if pack is None or hashlib.sha256(in_pack(pack, clip).read()).hexdigest() != clip["clip_sha256"]
    ]


def clips_of_pack(manifest: Manifest, sha256: str) -> list[dict[str, Any]]:
    """The newest rows of the cut stage that name a pack, in its order."""
    return manifest.rows("from cuts where status = 'ok' and clip_pack = ? order by clip_offset", [sha256])


def cut_file(store: Store, clip: Row) -> bytes | None:
    """What a clip, with the columns `HELD`, was cut into; None if it was not, or that is gone from media/.

    Raises DamagedError if it has other bytes.
    """
    if clip["clip_pack"]:
        name = f"media/{clip['clip_pack'][:2]}/{clip['clip_pack']}.zip"
        content = store.read_media(clip["clip_pack"], clip["clip_offset"], clip["clip_bytes"])
    else:
        held = find_clip_file(store, clip)
        name, content = (str(held.path.relative_to(store.root)), held.read()) if held else ("", None)
    if content is not None and hashlib.sha256(content).hexdigest() != clip["clip_sha256"]:
        raise DamagedError(say(store.root, [name], "damaged"))
    return content


def places_sql(root: Path, shards: Iterable[str], columns: Sequence[str]) -> str:
    """SQL: these columns of each row of shards, which are named as in the view `shards`, and its place: `shard`, `row`."""
    files = path_list(root / name for name in shards)
    return (
        f"select {', '.join(columns)}, 'shards/' || parse_filename(filename) as shard, file_row_number as row "
        f"from {read_as(SHARDS, files, also=', filename = true, file_row_number = true')}"
    )


def shard_rows(path: Path, rows: Sequence[int], columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """(row, its columns) of some of a shard's rows, in the shard's order; one row group is in memory at a time.

    Raises UsageError if the shard is gone or cannot be read.
    """
    try:
        with pq.ParquetFile(path) as file:
            for numbers, table in grouped_rows(file, np.unique(np.asarray(rows, np.int64)), columns):
                for place, number in enumerate(numbers.tolist()):
                    yield number, {name: table[name][place].as_py() for name in columns}
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{path}: cannot be read ({error}); see `hdvg verify`") from error


def grouped_rows(
    file: pq.ParquetFile, rows: Numbers, columns: Sequence[str] | None = None
) -> Iterator[tuple[Numbers, pa.Table]]:
    """Of each row group that holds some of `rows`, which rise: which they are, and them; by default with all columns."""
    first = 0
    for group in range(file.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        low, high = np.searchsorted(rows, [first, first + count])
        if high > low:
            whole = file.read_row_group(group, columns=None if columns is None else list(columns))
            mine = rows[low:high]
            yield mine, whole if high - low == count else whole.take(pa.array(mine - first))
        first += count


def _stored(dataset: Dataset, clip: Row, manifest: Manifest) -> bytes | None:
    """The clip's bytes out of a shard, or None if it is in none."""
    shards = [row["shard"] for row in manifest.rows("from shards") if (dataset.root / row["shard"]).exists()]
    if not shards:
        return None
    places = places_sql(dataset.root, shards, ["clip_id"])
    for place in manifest.rows(f"select shard, row from ({places}) where clip_id = ? limit 1", [clip["clip_id"]]):
        for _, row in shard_rows(dataset.root / place["shard"], [place["row"]], ["clip_id", "video"]):
            if row["clip_id"] == clip["clip_id"]:  # else the shard was written anew meanwhile
                return bytes(row["video"])
    return None


def _cut(dataset: Dataset, clip: Row, manifest: Manifest, path: Path) -> None:
    """Cut the clip of its source into the file, in the sandbox."""
    source = dataset.store.find_media(clip["video_sha256"]) if clip["video_sha256"] else None
    if source is None:
        raise UsageError(
            f"clip {clip['clip_id']}: it has no file, is in no shard, and its source is not in the dataset (any more); it is "
            f"{clip['start_s']:.3f} to {clip['end_s']:.3f} s of {clip['source']}; `hdvg run {dataset.root}` cuts what is kept"
        )
    (of_video,) = manifest.rows(
        "select decode_errors, retimed_frames from videos where video_id = ?", [clip["video_id"]]
    )
    recipe: Recipe = dataset.plan.recipe
    span = {name: clip[name] for name in SPAN} | of_video
    asked = cut(
        str(source),
        str(path.parent),
        [cast("CutSpan", span)],
        cast("CutSettings", recipe.cut.model_dump()),
        recipe.limits.max_pixels,
    )
    (made,) = process_sandbox("hdvg.media.cut").call(asked, path.parent, limits(recipe))
    if "reason" in made:
        raise ItemError(made["reason"], f"clip {clip['clip_id']}: {made['detail']}")
    if not path.is_file() or path.is_symlink():  # a hijacked child may have written anything
        raise ItemError("crash", f"clip {clip['clip_id']}: the child wrote no file")


def limits(recipe: Recipe) -> Limits:
    """The walls of a decode or cut child."""
    return Limits(**recipe.limits.of_children())
