"""Bring back a pack of clips: what is whole of it stays, and each other clip is cut again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hdvg.dataset.clip_files import clips_of_pack, harmed_clips, in_pack
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.inventory import Thing
from hdvg.dataset.stages import CUT
from hdvg.ids import file_sha256
from pipelines.clip_media import publish_pack, taken, write_clips
from pipelines.perform import Job, commit
from pipelines.repair_media import Outcome, item_work, unit_of_video
from pipelines.stages import cut_files
from pipelines.work import Row, Work

Again = Mapping[str, tuple[Row, Path | None]]
"""By clip_id, the row and the file of clips that were cut again; None where that failed."""


def mend_clips(dataset: Dataset, thing: Thing) -> Outcome:
    """Make a pack again, with the same bytes where each clip comes out as it was. Else what there is becomes another pack, which
    new rows of its clips name; those that cannot be cut again go on naming the one that was, which then stays.

    A damaged pack is there until another is: stopped anywhere, no clip is lost that it holds.
    """
    store, damaged = dataset.store, thing.path(dataset.store)
    read = partial(store.read_media, str(thing.sha256))
    with dataset.manifest() as manifest:
        clips = clips_of_pack(manifest, str(thing.sha256))
    harmed = harmed_clips(read, clips)
    work = item_work(dataset, CUT, harmed)
    with store.scratch() as cuts, store.scratch() as scratch:
        again = _cut_again(work, cuts)
        rows = write_clips(scratch / "pack", _contents(clips, set(harmed), again, damaged))
        if file_sha256(scratch / "pack") == thing.sha256:
            store.ops.fsync(scratch / "pack")
            store.move(str((scratch / "pack").relative_to(store.root)), f"{thing.name}.zip")
            return Outcome(f"{thing.name}: {thing.what}, made again with the same bytes")
        made = [row for row in publish_pack(store, scratch / "pack", rows) if row["clip_offset"] is not None]
    job = Job(dataset.root, store.run, CUT, unit_of_video(dataset, clips[0]["video_id"]))
    if made:
        commit(dataset, job, list(work.items), made)
    faults = [row for row, path in again.values() if path is None]
    if faults:
        what = f"{thing.what}: {len(faults)} of its {len(clips)} clips cannot be cut again"
        return Outcome(
            drift=f"{what}, such as {faults[0]['clip_id']}: {faults[0]['reason']}: {faults[0]['detail']}"[:300]
        )
    store.remove_media(str(thing.sha256))
    return Outcome(f"{thing.what}: cut again, with other bytes")


def _cut_again(work: Work[Any], scratch: Path) -> Again:
    files: dict[str, Path | None] = {}

    def cut(items: list[Any]) -> list[Row]:
        made = list(cut_files(work, items, scratch))
        files.update({row["clip_id"]: path for row, path in made})
        return [row for row, _ in made]

    rows = work.guarded_batch(cut, work.items) if work.items else []
    return {row["clip_id"]: (row, files.get(row["clip_id"]) if row["status"] == "ok" else None) for row in rows}


def _contents(
    clips: Sequence[Row], harmed: set[str], again: Again, pack: Path | None
) -> Iterator[tuple[Row, bytes | None]]:
    """The clips in the pack's order, without those that the dataset knows no more."""
    for clip in clips:
        if pack is not None and clip["clip_id"] not in harmed:
            yield clip, in_pack(pack, clip).read()
        elif clip["clip_id"] in again:
            row, path = again[clip["clip_id"]]
            yield row, taken(path) if path else None
