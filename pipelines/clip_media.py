"""Where cut clips go, as the recipe's `storage.clips` says: a file each in media/, or packs, one a video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from hdvg.dataset.clip_packs import write_pack
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.store import Store
from hdvg.errors import ItemError
from pipelines.work import Row

MOST_BYTES = 2**30
"""Of a pack, unless one clip has more: a longer film has several, for stores that take no objects of any size."""

Cut = Iterable[tuple[Row, Path | None]]
"""Rows of the cut stage for clips of one video, each with its file in a scratch folder, or None if it failed."""


def kept_clips(dataset: Dataset, cut: Cut) -> list[Row]:
    """Publish the files; the rows, which then say where their clips are. Raises ItemError if a file for a pack is a link."""
    store = dataset.store
    if dataset.plan.recipe.storage.clips == "files":
        return [row if path is None else row | {"clip_sha256": store.put_media(path, "mp4")} for row, path in cut]
    rows: list[Row] = []
    for some in _runs(cut):
        with store.scratch() as scratch:
            packed = write_clips(scratch / "pack", ((row, taken(path) if path else None) for row, path in some))
            rows += publish_pack(store, scratch / "pack", packed)
    return rows


def _runs(cut: Cut) -> Iterator[list[tuple[Row, Path | None]]]:
    """The clips of each pack."""
    held, size = list[tuple[Row, Path | None]](), 0
    for row, path in cut:
        mine = row["clip_bytes"] if path else 0
        if held and size + mine > MOST_BYTES:
            yield held
            held, size = [], 0
        held.append((row, path))
        size += mine
    if held:
        yield held


def taken(path: Path) -> bytes:
    """What a child left in its scratch folder; the file is gone then, so that no clip is on the disk twice."""
    if path.is_symlink():
        raise ItemError("error", "a child gave a link to a file for a clip")
    content = path.read_bytes()
    path.unlink()
    return content


def write_clips(path: Path, clips: Iterable[tuple[Row, bytes | None]]) -> list[Row]:
    """Write a pack of the clips that have bytes; all rows, which say where in it these begin."""
    rows: list[Row] = []

    def contents() -> Iterator[tuple[str, bytes]]:
        for row, content in clips:
            rows.append(row)
            if content is not None:
                row["clip_sha256"] = sha256(content).hexdigest()
                yield row["clip_id"], content

    places = write_pack(path, contents())
    return [row | {"clip_offset": places.get(row["clip_id"])} for row in rows]


def publish_pack(store: Store, path: Path, rows: list[Row]) -> list[Row]:
    """Publish a pack that `write_clips` wrote, unless it is empty; the rows, which then name it."""
    if all(row["clip_offset"] is None for row in rows):
        return rows
    pack = store.put_media(path, "zip")
    return [row if row["clip_offset"] is None else row | {"clip_pack": pack} for row in rows]
