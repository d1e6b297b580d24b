"""`hdvg encode`: make what is not there yet of clips' latents and texts' states."""

from __future__ import annotations

import itertools
import math
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.plugins import keep
from hdvg.dataset.store import Store
from hdvg.latents import buckets
from hdvg.latents.clips import found, refuse_unsharded, sizes, wanted
from hdvg.latents.fitting import fit_patches
from hdvg.latents.jobs import ClipJob, Done, TextJob
from hdvg.latents.lengths import Lengths
from hdvg.latents.patches import fitted_psnr_db
from hdvg.latents.settings import Encoding
from hdvg.latents.store import WHY_NOT, why_not
from hdvg.latents.units import find_keys, indexes
from hdvg.latents.workers import Job, run_jobs

MOST = 256
"""Clips of a unit; fewer if they are long, or few in all: then every core has work."""
LEAST_UNITS = 64
UNIT_BYTES = 2**30
"""Pictures of a unit, as bytes of RGB; its latents, a tenth or so, are made in memory."""
MOST_TEXTS = 1024


@dataclass
class Report:
    """What an encoding came to. `without` and `failed`: reason -> the clips, by id."""

    wanted: int = 0
    encoded: int = 0
    there: int = 0
    texts: int = 0
    texts_there: int = 0
    lengths: Lengths | None = None
    """Of the texts that are there: how much of them is cut."""
    truncated_share: float | None = None
    tags: dict[str, int] = field(default_factory=dict)
    """Clips by what `data.tags` says of them."""
    without: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, list[str]] = field(default_factory=dict)
    codec: str = ""
    text: str = ""
    psnr_db: float | None = None
    bytes_per_clip: int | None = None
    seconds: float = 0.0


class RunJobs(Protocol):
    """Does an encoding's jobs, in any order."""

    def __call__(
        self, dataset: Dataset, encoding: Encoding, jobs: Iterable[Job], *, workers: int | None
    ) -> Iterator[Done]: ...


class Watch(Protocol):
    """Receives the progress of an encoding."""

    def begin(self, clips: int, texts: int) -> None:
        """So much is to be made."""

    def __call__(self, done: Done) -> None:
        """One job is over."""


def encode(
    dataset: Dataset,
    encoding: Encoding,
    *,
    where: str | None = None,
    workers: int | None = None,
    run: RunJobs = run_jobs,
    watch: Watch | None = None,
) -> Report:
    """Encode the kept clips, of which `where` holds, and their texts, as far as they are not there.

    `workers` processes; by default one a GPU, or one for every two cores, of what `run` does the jobs on. Raises UsageError if
    not one clip has a bucket or another hdvg is at work, ResourceError if disk or memory run short; what was published stays.
    """
    start = time.monotonic()
    buckets.check(encoding)
    ours = Dataset(dataset.root, dataset.plan, Store(dataset.root, dataset.store.ops, run=uuid.uuid4().hex))
    with ours.store.lock():
        ours.store.begin()
        try:
            encoding = keep(encoding, ours.store)
            rows = wanted(ours, encoding, where)
            buckets.refuse_empty(sizes(rows), rows["bucket"].to_numpy(), encoding)
            fit_patches(ours, rows, encoding)
            clips, texts = _missing(ours, encoding, rows)
            if watch is not None:
                watch.begin(len(clips), len(texts))
            jobs: Iterator[Job] = itertools.chain(clip_jobs(clips, rows, encoding), text_jobs(texts, rows))
            made = Done()
            for done in run(ours, encoding, jobs, workers=workers):
                made.clips, made.texts = made.clips + done.clips, made.texts + done.texts
                if watch is not None:
                    watch(done)
        finally:
            ours.store.end()
    return replace(report(ours, encoding, rows, made), seconds=time.monotonic() - start)


def _missing(dataset: Dataset, encoding: Encoding, rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Rows of the clips that are in a shard and not encoded, by bucket and place; and (clip_id, text_id, text).

    Raises UsageError if nothing is there and no clip is in a shard.
    """
    keys = find_keys(dataset, encoding)
    with indexes(dataset.root, keys) as connection:
        connection.register("wanted", rows.filter(pc.greater_equal(rows["bucket"], 0)))
        clips = connection.sql(
            "from wanted anti join windows using (clip_id, bucket) where shard is not null order by bucket, shard, row"
        ).to_arrow_table()
        if not len(clips) and not len(connection.sql("from wanted semi join windows using (clip_id, bucket) limit 1")):
            refuse_unsharded(dataset, rows)
        texts = connection.sql(
            "from (select clip_id, unnest(text_ids) as text_id, unnest(texts) as text, generate_subscripts(texts, 1) as place "
            "from wanted) anti join states using (clip_id, text_id) order by clip_id, place"
        ).to_arrow_table()
    return clips, texts


def clip_jobs(clips: pa.Table, rows: pa.Table, encoding: Encoding) -> Iterator[ClipJob]:
    """Units of clips of one shard and bucket. Where they end does not depend on which units were made before."""
    shards = pc.dictionary_encode(clips["shard"].combine_chunks())
    bucket_N, shard_N = clips["bucket"].to_numpy(), shards.indices.to_numpy()
    total = np.bincount(rows.filter(pc.greater_equal(rows["bucket"], 0))["bucket"].to_numpy())
    ends = np.flatnonzero((np.diff(bucket_N) != 0) | (np.diff(shard_N) != 0)) + 1
    for start, end in itertools.pairwise([0, *ends.tolist(), len(clips)]):
        if start == end:
            continue
        number = int(bucket_N[start])
        clip_bytes = encoding.windows * math.prod(encoding.buckets[number]) * 3
        size = max(min(_unit_size(total[number], MOST), UNIT_BYTES // clip_bytes), 1)
        shard = shards.dictionary[int(shard_N[start])].as_py()
        for at in range(start, end, size):
            yield ClipJob(number, shard, tuple(found(clips.slice(at, min(size, end - at)))))


def text_jobs(texts: pa.Table, rows: pa.Table) -> Iterator[TextJob]:
    """Units of texts; one that is empty makes sure of the empty text."""
    size = _unit_size(pc.sum(pc.list_value_length(rows["texts"])).as_py() or 0, MOST_TEXTS)
    for at in range(0, max(len(texts), 1), size):
        columns = texts.slice(at, size).select(["clip_id", "text_id", "text"]).to_pydict().values()
        yield TextJob(tuple(zip(*columns, strict=True)))


def _unit_size(total: int, most: int) -> int:
    return min(max(math.ceil(total / LEAST_UNITS), 1), most)


def report(dataset: Dataset, encoding: Encoding, rows: pa.Table, made: Done) -> Report:
    """What is there now, what is not, and why."""
    keys = find_keys(dataset, encoding)
    said = Report(len(rows), made.clips, -made.clips, made.texts, -made.texts, codec=keys.codec, text=keys.text)
    with indexes(dataset.root, keys) as connection:
        connection.register("wanted", rows)
        both = connection.sql("from wanted left join windows using (clip_id, bucket) order by clip_id").to_arrow_table()
        is_there = pc.fill_null(pc.greater(both["windows"], 0), False)
        for row in both.filter(pc.invert(is_there)).select(WHY_NOT).to_pylist():
            place = said.failed if row["reason"] else said.without
            place.setdefault(row["reason"] or why_not(row) or _later(row), []).append(row["clip_id"])
        said.there += pc.sum(is_there).as_py() or 0
        texts = "(select clip_id, unnest(text_ids) as text_id from wanted) join states using (clip_id, text_id)"
        tokens = connection.sql(f"select tokens from {texts}").to_arrow_table()["tokens"].to_pylist()
        said.texts_there += len(tokens)
        said.lengths = Lengths.of(tokens, encoding.text_tokens)
        said.truncated_share = said.lengths.truncated_share
        files = connection.sql(
            "select distinct unit from windows semi join wanted using (clip_id, bucket) where windows > 0 union "
            "select distinct unit from states semi join wanted using (clip_id)"
        ).fetchall()
    if said.there + said.encoded:
        held = sum(Path(name).stat().st_size for (name,) in files)
        said.bytes_per_clip = round(held / (said.there + said.encoded))
    said.tags = dict(Counter(tag for tags in rows["tags"].to_pylist() for tag in tags))
    if encoding.codec == "patches":
        said.psnr_db = fitted_psnr_db(dataset.root, encoding)
    return said


def _later(row: dict[str, Any]) -> str:
    return "in no shard: run `hdvg shard`" if row["shard"] is None else "not encoded this time: run again"
