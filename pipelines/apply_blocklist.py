"""Take out what is in the dataset already, when an entry of the block-list came after it."""

from __future__ import annotations

from collections import defaultdict

import pyarrow as pa

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.manifest import Manifest
from hdvg.dataset.stages import with_media
from hdvg.media.blocked import Pictures
from hdvg.sources.blocklist import block_list
from pipelines.perform import Job, commit, cut_again
from pipelines.work import Row

LISTED = """
select video_id, unit, split_generation is not null as is_split, 'download' as stage, 'the file is listed' as detail
from videos semi join listed_files using (sha256) where reason is distinct from 'blocked_content'
union all select distinct video_id, unit, true, 'split', 'a picture of it is like a listed one'
from near_clips join videos using (video_id)
"""
SOURCES = "select sha256 from videos where video_id in (from taken) or owner in (from taken)"
CUT = """
select video_id, clip_id, unit from cuts join videos using (video_id)
where video_id in (select video_id from caught) and cuts.status = 'ok'
"""
BLOCKED = "select video_id from videos where reason = 'blocked_content' or video_id in (select video_id from caught)"


def apply_block_list(dataset: Dataset) -> int:
    """Give videos that the list now names the reason `blocked_content`; remove their files. Returns how many were found.

    Under the run lock, between the stages' jobs; shards follow when they are written next. Stored are the hashes of files and
    of every clip's middle keyframe, and only these are compared: other pictures are met when a video is split again.
    Raises UsageError if the list cannot be read.
    """
    blocked = block_list(dataset.plan.recipe.fetch)
    if not blocked.files and not blocked.pictures.hashes:
        return 0
    with dataset.manifest() as manifest:
        manifest.hold("videos")
        _hold(manifest, "listed_files", pa.table({"sha256": pa.array(sorted(blocked.files), pa.string())}))
        _hold(manifest, "near_clips", _near_clips(manifest, blocked.pictures))
        caught = manifest.table(LISTED)
        _hold(manifest, "caught", caught)
        _hold(manifest, "taken", manifest.table(BLOCKED))
        for row in manifest.rows(f"select distinct sha256 from ({_files()}) where sha256 is not null"):
            dataset.store.remove_media(row["sha256"])  # before the rows: a run that ends here finds them again
        cut = manifest.rows(CUT)
    rows = caught.to_pylist()
    _commit(dataset, rows)
    cut_again(dataset, [(row["video_id"], row["clip_id"], row["unit"]) for row in cut])
    return len({row["video_id"] for row in rows})


def _near_clips(manifest: Manifest, pictures: Pictures) -> pa.Table:
    """The `video_id` of every clip whose stored hash is near a listed one."""
    clips = manifest.table("select video_id, ('0x' || phash)::ubigint as bits from clip_rows where phash is not null")
    return clips.filter(pa.array(pictures.near(clips.column("bits").to_numpy()))).drop_columns("bits")


def _hold(manifest: Manifest, name: str, table: pa.Table) -> None:
    manifest.connection.register(name, table)


def _commit(dataset: Dataset, caught: list[Row]) -> None:
    """The verdict, as the stage's newest word on the videos; if it is lifted all is done again."""
    jobs: defaultdict[tuple[str, str], dict[str, Row]] = defaultdict(dict)
    for row in caught:
        for stage in {row["stage"], *(["split"] if row["is_split"] else [])}:
            failed = {
                "video_id": row["video_id"],
                "status": "failed",
                "reason": "blocked_content",
                "detail": row["detail"],
            }
            jobs[stage, row["unit"]][row["video_id"]] = failed | {"attempt": 1}
    for (stage, unit), rows in sorted(jobs.items()):
        items = [{"key": video, "attempt": 0} for video in rows]
        commit(dataset, Job(dataset.root, dataset.store.run, stage, unit), items, list(rows.values()))


def _files() -> str:
    """SQL: the hashes of all files of the videos that are taken out."""
    made = [
        f"select {column} from {entry.rows_view()} where video_id in (from taken)" for entry, column, _ in with_media()
    ]
    return " union ".join([SOURCES, *made])
