"""One clip's file, wherever the dataset keeps its bytes: by themselves, or in a shard."""

from __future__ import annotations

from dataclasses import dataclass

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.manifest import Manifest, path_list
from hdvg.dataset.parts import read_as
from hdvg.errors import UsageError
from schemas.shards import SHARDS


@dataclass(frozen=True)
class ClipFile:
    """A clip's whole id and its mp4."""

    clip_id: str
    content: bytes


def read_clip(dataset: Dataset, clip_id: str) -> ClipFile:
    """The file of the clip whose id starts with `clip_id`.

    Raises UsageError if no clip or several have such an id, or if the clip has no file: it was dropped, or is not cut yet.
    """
    with dataset.manifest() as manifest:
        rows = manifest.rows(
            "select d.clip_id, d.clip_sha256, d.keep, d.reasons, d.start_s, d.end_s, v.source from dataset d "
            "join videos v using (video_id) where starts_with(d.clip_id, ?) limit 2",
            [clip_id],
        )
        if len(rows) != 1:
            what = "several clips" if rows else "no clip"
            raise UsageError(
                f'{what} with an id that starts with {clip_id!r}; ids: hdvg query {dataset.root} "select clip_id from clips"'
            )
        (row,) = rows
        path = dataset.store.find_media(row["clip_sha256"]) if row["clip_sha256"] else None
        content = path.read_bytes() if path else _in_shards(dataset, manifest, row["clip_id"])
    if content is None:
        place = f"{row['start_s']:.3f} to {row['end_s']:.3f} s of {row['source']}"
        why = (
            "is not cut yet: hdvg run"
            if row["keep"]
            else f"was dropped for {', '.join(row['reasons'])}: it has no file"
        )
        raise UsageError(f"clip {row['clip_id']} {why}; it is {place}")
    return ClipFile(row["clip_id"], content)


def _in_shards(dataset: Dataset, manifest: Manifest, clip_id: str) -> bytes | None:
    names = [row["shard"] for row in manifest.rows("select shard from shards order by shard")]
    files = [dataset.root / name for name in names if (dataset.root / name).exists()]
    if not files:
        return None
    rows = manifest.rows(f"select video from {read_as(SHARDS, path_list(files))} where clip_id = ? limit 1", [clip_id])
    return rows[0]["video"] if rows else None
