"""Where a dataset stands: the funnel, the reasons, what is left, and how fast it goes."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hdvg.dataset import ledger
from hdvg.dataset.alone_views import clips_without
from hdvg.dataset.damage import NEEDED, broken
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import SEED, files, unit_of
from hdvg.dataset.manifest import Manifest
from hdvg.dataset.stages import SPLIT
from hdvg.errors import DamagedError
from hdvg.reports.captions import caption_stats
from hdvg.reports.published import durations, keep_rates
from schemas.pass_measures import PASS

Row = dict[str, Any]

WINDOW_S = 600
"""Throughput is taken over the parts of the last ten minutes."""

FUNNEL = """
with of_clips as materialized (
    select count(*) as clips, sum(duration_s) / 3600 as clips_h,
        count(*) filter (keep) as kept, sum(duration_s) filter (keep) / 3600 as kept_h,
        count(*) filter (keep and cut_status = 'ok') as cut,
        sum(duration_s) filter (keep and cut_status = 'ok') / 3600 as cut_h,
        count(*) filter (keep and caption is not null) as captioned,
        sum(duration_s) filter (keep and caption is not null) / 3600 as captioned_h
    from dataset
)
select 'links' as stage, count(*) as items, null::double as hours from inputs
union all select 'videos', count(*), null from videos
union all select 'fetched', count(*), null from videos where sha256 is not null
union all select 'decoded', count(*), sum(duration_s) / 3600 from videos where status = 'ok'
union all select 'clips', clips, clips_h from of_clips
union all select 'kept', kept, kept_h from of_clips
union all select 'cut', cut, cut_h from of_clips
union all select 'captioned', captioned, captioned_h from of_clips
union all select 'in shards', coalesce(sum(n_clips), 0)::bigint, null from shards
"""


DROPPED = (
    "select reason, count(*) as clips from (select unnest(reasons) as reason from verdicts) "
    "group by reason order by clips desc, reason"
)
FAILURES = (
    "select stage, status, reason, count(*) as items from failures group by all order by items desc, stage, reason"
)
PENDING = "select stage, count(*) as items from pending group by stage order by stage"


DECODE_PASSES = """
with cut as (select video_id, sum(cut_decoded_frames) as frames from clips group by video_id),
passes as (
    select (v.decoded_frames + coalesce(cut.frames, 0)) / v.n_frames as passes
    from videos v left join cut using (video_id) where v.status = 'ok' and v.n_frames is not null
)
select avg(passes) as mean, max(passes) as max from passes
"""
"""How often a source's frames were decoded, split and cut together, over the videos."""


SECTIONS = """
select count(*) as videos, count(source_bytes) as sized, sum(bytes)::bigint as kept_bytes,
    coalesce(sum(source_bytes - fetched), 0)::bigint as saved_bytes,
    sum(fetched) filter (source_bytes is not null) / sum(source_bytes) as share,
    (select count(*) from videos where whole_because is not null) as whole
from (select *, list_sum([one.until - one.start for one in fetched_ranges]) as fetched from videos)
where fetched_ranges is not null
"""
"""What was fetched in part: of `sized` ones it is known how large their sources are. `whole`: taken whole all the same."""


REPORT = "last-run.json"
"""What the stages of the last run that did something did: units, items by status, and how well models were used."""


HOSTS = "hosts.json"
"""How the last run that fetched anything fared with each host: written while it goes, and at its end."""


def read_report(root: Path) -> dict[str, Any] | None:
    """The last run's report, or None if there is none."""
    return read_json(root / REPORT)


def read_json(path: Path) -> dict[str, Any] | None:
    """What a file of figures holds, or None if there is none."""
    report: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    return report


@dataclass(frozen=True)
class Status:
    """Where a dataset stands. Rows are dicts; their keys are the columns that `hdvg status` shows."""

    dataset: str
    recipe: str
    funnel: list[Row]
    """`stage`, `items`, `hours`, from links to shards."""
    dropped: list[Row]
    """`reason`, `clips`, the most frequent first; a clip may have several reasons."""
    failures: list[Row]
    """`stage`, `status`, `reason`, `items`."""
    pending: list[Row]
    """`stage`, `items` that wait for it."""
    not_taken: list[Row]
    """`measure`, `clips`: measures of the pass that came later, or are newer; `hdvg measure` takes them alone."""
    sections: Row
    """What was fetched in part, and how many bytes that saved."""
    decode_passes: Row
    """`mean` and `max`: how often a source's frames were decoded, over the videos."""
    last_run: Row | None
    hosts: Row | None
    captions: Row | None
    durations: list[Row]
    keep_rates: list[Row]
    running: bool
    """Whether a run works on the dataset now."""
    videos_per_min: float | None
    eta_s: float | None
    damaged: list[str] = field(default_factory=list)
    """Files that are lost or cannot be read: the figures are those of all others."""


def status(dataset: Dataset) -> Status:
    """The figures of `hdvg status`. Raises DamagedError if a file is damaged without which nothing may be shown."""
    lost = tuple(ledger.lost(dataset.root))
    try:
        return replace(_status(dataset), damaged=list(lost))
    except DamagedError:
        harmed = broken(dataset.root)
        if any(path.parent.name in NEEDED for path in harmed):
            raise
        names = (str(path.relative_to(dataset.root)) for path in harmed)
        return replace(_status(dataset, harmed), damaged=[*names, *lost])


def _status(dataset: Dataset, without: Sequence[Path] = ()) -> Status:
    with dataset.manifest(without=without) as manifest:
        manifest.hold("videos", "checked", "verdicts")
        return Status(
            dataset=str(dataset.root),
            recipe=dataset.plan.recipe.name,
            funnel=manifest.rows(FUNNEL),
            dropped=manifest.rows(DROPPED),
            failures=manifest.rows(FAILURES),
            pending=manifest.rows(PENDING),
            not_taken=_not_taken(dataset, manifest),
            sections=manifest.rows(SECTIONS)[0],
            decode_passes=manifest.rows(DECODE_PASSES)[0],
            last_run=read_report(dataset.root),
            hosts=read_json(dataset.root / HOSTS),
            captions=caption_stats(manifest, dataset.plan),
            durations=durations(manifest),
            keep_rates=keep_rates(manifest, dataset.plan),
            **_speed(dataset, manifest),
        )


def _not_taken(dataset: Dataset, manifest: Manifest) -> list[Row]:
    """Those that the dataset does not take alone by now."""
    alone = dataset.plan.recipe.measure.alone
    return [
        {"measure": name, "clips": clips}
        for name, clips in clips_without(manifest.rows).items()
        if alone.get(name) != PASS[name].version
    ]


def _speed(dataset: Dataset, manifest: Manifest) -> dict[str, Any]:
    """Videos a minute over the newest split parts, and how long the rest takes at that rate, while a run is going."""
    running = dataset.store.is_locked()
    held = files(dataset.root, "parts", stage=SPLIT, fingerprint=dataset.plan.fingerprints[SPLIT])
    parts = [path for path in held if unit_of(path) != SEED]
    now = time.time()
    fresh = [path for path in parts if now - path.stat().st_mtime < WINDOW_S]
    if not running or not fresh:
        return {"running": running, "videos_per_min": None, "eta_s": None}
    done = manifest.one(
        "select count(*) from inputs where status = 'new' and list_contains(?, unit)",
        [[unit_of(path) for path in fresh]],
    )
    minutes = max((now - min(path.stat().st_mtime for path in fresh)) / 60, 1 / 60)
    left = manifest.one("select count(*) from videos where status = 'pending'")
    return {"running": True, "videos_per_min": done / minutes, "eta_s": 60 * left * minutes / done if done else None}
