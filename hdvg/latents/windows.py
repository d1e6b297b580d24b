"""The windows of clips that lie in shards, as pixels: decoded when they are read, nothing is stored."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from hdvg.latents import buckets
from hdvg.latents.clips import Found, found, refuse_unsharded, sizes, videos, wanted
from hdvg.latents.decoding import decode, starts
from hdvg.latents.settings import Encoding
from hdvg.latents.store import why_not

if TYPE_CHECKING:
    from hdvg.dataset.dataset import Dataset
    from hdvg.latents.encoders import Frames


class Windows:
    """The clips of rows that `wanted` gave, all with a bucket and in a shard; reads of several threads are safe."""

    def __init__(self, dataset: Dataset, encoding: Encoding, rows: pa.Table) -> None:
        self._dataset, self._encoding = dataset, encoding
        self._found: list[Found] = found(rows)
        self._shards, self._buckets = rows["shard"].to_pylist(), rows["bucket"].to_pylist()
        self.texts: list[str] = [text for texts in rows["texts"].to_pylist() for text in texts]
        begins = [
            starts(clip, encoding.buckets[at], encoding) for clip, at in zip(self._found, self._buckets, strict=True)
        ]
        self.rows = with_windows(rows, begins)

    def name(self, clip: int) -> str:
        """The id of the clip of that number."""
        return self._found[clip].clip_id

    def read(self, clip: int, window: int) -> Frames:
        """(T, H, W, 3), uint8, RGB. Raises ItemError if the clip does not decode."""
        one, bucket = self._found[clip], self._encoding.buckets[self._buckets[clip]]
        ((_, video),) = videos(self._dataset.root / self._shards[clip], [one.row])
        begin = starts(one, bucket, self._encoding)[window]
        with tempfile.TemporaryDirectory() as scratch:
            where = self._dataset.plan.recipe, Path(scratch)
            frames: Frames = decode(one, video, bucket, starts_s=[begin], fps=self._encoding.fps, where=where)[0]
        return frames


def readable(dataset: Dataset, encoding: Encoding, where: str | None) -> tuple[pa.Table, pa.Table, dict[str, str]]:
    """The wanted clips' rows, those of them with a bucket and in a shard, and why not of the others, by clip_id.

    Raises UsageError if there is none.
    """
    buckets.check(encoding)
    rows = wanted(dataset, encoding, where)
    buckets.refuse_empty(sizes(rows), rows["bucket"].to_numpy(), encoding)
    refuse_unsharded(dataset, rows)
    is_fine = pc.and_(pc.greater_equal(rows["bucket"], 0), pc.is_valid(rows["shard"]))
    others = rows.filter(pc.invert(is_fine)).to_pylist()
    return (
        rows,
        rows.filter(is_fine),
        {row["clip_id"]: why_not({**row, "reason": None}) or "in no shard" for row in others},
    )


def with_windows(rows: pa.Table, begins: Sequence[Sequence[Any]]) -> pa.Table:
    """The rows with the columns that an index has of encoded ones."""
    found = {
        "windows": pa.array([len(begin) for begin in begins], pa.int64()),
        "starts_s": pa.array([[float(start) for start in begin] for begin in begins], pa.list_(pa.float64())),
    }
    for name, values in found.items():
        rows = rows.append_column(name, values)
    return rows
