"""The figures of a report: the same for the page, the Markdown card and `--json`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import duckdb
import numpy as np

from hdvg.audit.results import results
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.snapshot import SOURCE, snapshot_name
from hdvg.environment import VERSION
from hdvg.filtering.whatif import Judge, group, what_if
from hdvg.ids import digest
from hdvg.reports.concepts import concepts
from hdvg.reports.status import status
from schemas import SCHEMA_VERSION

Row = dict[str, Any]

CATEGORIES_MOST, HOSTS_MOST, COPIES_MOST = 20, 50, 10

LINKS = """
select video_id, status, categories, fetched_at, yt_dlp_version,
    coalesce(nullif(regexp_extract(source, '^[a-z0-9]+://([^/:?#]+)', 1), ''), '(files)') as host
from videos
"""
SLIM = """
create or replace temp table report_rows as
select c.video_id, c.duration_s, {keep} as keep, c.short_px, coalesce(c.duplicate, false) as duplicate, c.duplicate_how,
    c.duplicate_group, c.duplicate_in, coalesce(c.licence_class, 'unknown') as licence_class, v.categories, v.host
from {source} c join report_videos v using (video_id)
"""
COUNTED = (
    "count(*) as clips, coalesce(sum(duration_s), 0) / 3600 as hours, count(*) filter (keep) as kept, "
    "coalesce(sum(duration_s) filter (keep), 0) / 3600 as kept_hours"
)
RESOLUTIONS = f"""
select case when short_px >= 2160 then '2160 px and more' when short_px >= 1440 then '1440-2159 px'
    when short_px >= 1080 then '1080-1439 px' when short_px >= 720 then '720-1079 px'
    when short_px >= 480 then '480-719 px' when short_px is null then 'unknown' else 'below 480 px' end as shorter_side,
    {COUNTED} from report_rows group by 1 order by min(short_px) desc nulls last
"""
LICENCES = f"select licence_class, {COUNTED} from report_rows group by all order by clips desc, licence_class"
HOSTS = f"""
select host, count(distinct video_id) as videos, {COUNTED} from report_rows
group by host order by clips desc, host limit {HOSTS_MOST}
"""
CATEGORIES = f"""
select category, {COUNTED} from (
    select duration_s, keep, unnest(case when len(categories) > 0 then categories else ['(none stated)'] end) as category
    from report_rows
) group by category order by clips desc, category limit {CATEGORIES_MOST}
"""
FAILURES = f"""
select stage, status, reason, coalesce(nullif(regexp_extract(source, '^[a-z0-9]+://([^/:?#]+)', 1), ''), '(files)') as host,
    count(*) as items from failures group by all order by items desc, stage, reason, host limit {HOSTS_MOST}
"""
COPIES = """
select coalesce(duplicate_how, 'unknown') as how, case when duplicate_in is null then 'here' else 'earlier datasets' end as better_copy,
    count(*) as clips, coalesce(sum(duration_s), 0) / 3600 as hours
from report_rows where duplicate group by all order by clips desc
"""
GROUPS = f"""
select duplicate_group as stays, count(*) as clips, count(distinct video_id) as videos
from report_rows where duplicate_group is not null group by all having count(*) > 1 order by clips desc, stays limit {COPIES_MOST}
"""
VIDEOS = "select count(*) as links, count(*) filter (status = 'ok') as videos from report_videos"
FETCHES = (
    "select min(fetched_at) as first_fetch, max(fetched_at) as last_fetch, "
    "list(distinct yt_dlp_version) filter (yt_dlp_version is not null) as yt_dlp from report_videos"
)
MODELS = ("text_model", "nsfw_model", "watermark_model", "semantics_model", "aesthetic_model", "classifier_model")


PARTS = {
    "hosts_of_clips": HOSTS,
    "resolutions": RESOLUTIONS,
    "licences": LICENCES,
    "categories": CATEGORIES,
    "copies": COPIES,
    "copy_groups": GROUPS,
}


def figures(dataset: Dataset, connection: duckdb.DuckDBPyConnection) -> Row:
    """All figures, ready for JSON; `connection` has the table `SOURCE`."""
    plan = dataset.plan
    judge = Judge(plan.recipe.rules, plan.quantiles)
    effects = what_if(connection, plan, plan.recipe.keep)
    found = asdict(status(dataset))
    with dataset.manifest() as manifest:
        videos, failures = manifest.table(LINKS), manifest.rows(FAILURES)
        named = concepts(manifest.rows, "(from dataset where keep)")
    connection.register("report_videos", videos)
    keep = " and ".join(f"coalesce({test}, false)" for test in judge.tests) or "true"
    connection.execute(SLIM.format(keep=keep, source=SOURCE))
    parts = {name: _asked(connection, sql) for name, sql in PARTS.items()}
    totals = _asked(connection, VIDEOS)[0]
    return {
        "audits": results(dataset),
        "dataset": dataset.name,
        "recipe": plan.recipe.name,
        "about": plan.recipe.about,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "totals": totals | {"clips": effects.all.clips, "hours": effects.all.hours}
        | {"kept": effects.before.clips, "kept_hours": effects.before.hours},
        "rules": _rules(connection, judge, [asdict(rule) for rule in effects.rules]),
        "overlap": effects.overlap,
        "to_measure": asdict(effects.to_measure),
        **{name: found[name] for name in ("funnel", "dropped", "pending", "not_taken", "damaged", "running")},
        **{name: found[name] for name in ("durations", "keep_rates", "captions", "hosts")},
        **parts,
        "concepts": named,
        "failures": failures,
        "stages": stages(found["last_run"]),
        "run_ended": (found["last_run"] or {}).get("ended"),
        "provenance": _provenance(dataset, connection, found["captions"]),
    }  # fmt: skip


def _rules(connection: duckdb.DuckDBPyConnection, judge: Judge, effects: list[Row]) -> list[Row]:
    """Each rule with what it does, and what is left after it and those before."""
    groups = group(connection, [judge])
    passed = np.cumprod(groups.outcomes(judge) == 1, axis=1).astype(bool)
    names = ("rule", "asks", "threshold", "breaks", "share", "alone", "alone_so_far", "unmeasured", "not_taken")
    return [
        {name: effect[name] for name in names}
        | {"left": groups.count(passed[:, place]), "left_hours": groups.total(passed[:, place]).hours}
        for place, effect in enumerate(effects)
    ]


def stages(last_run: Row | None) -> list[Row]:
    """What each stage of the last run did and took; `share` of all stages' time, `limiting` is the one with most of it."""
    rows = [{"stage": name} | row for name, row in (last_run or {}).get("stages", {}).items()]
    spent = [row.get("spent_s") or 0.0 for row in rows]
    names = ("stage", "units", "ok", "failed", "retry", "spent_s", "model_busy_share")
    return [
        {name: row.get(name) for name in names}
        | {"share": took / sum(spent) if sum(spent) else None, "limiting": took > 0 and took == max(spent)}
        for row, took in zip(rows, spent, strict=True)
    ]


def _provenance(dataset: Dataset, connection: duckdb.DuckDBPyConnection, captions: Row | None) -> Row:
    """What it was made with: recipe, versions, models, and hashes of settings and state."""
    plan = dataset.plan
    lists = ", ".join(f"list(distinct {name}) filter ({name} is not null) as {name}" for name in MODELS)
    (models,) = _asked(connection, f"select {lists} from {SOURCE}")
    names = ("writer", "captioner", "model")
    writers = {tuple(row[name] for name in names) for row in (captions or {}).get("writers", [])}
    return {
        "hdvg": VERSION,
        "schema": SCHEMA_VERSION,
        "recipe_toml": plan.recipe.to_toml(),
        "recipe_digest": digest(plan.recipe.to_toml())[:16],
        "state": snapshot_name(dataset).rsplit("-", 1)[1].removesuffix(".parquet"),
        "fingerprints": dict(plan.fingerprints),
        "quantiles": dict(plan.quantiles),
        "models": {name.removesuffix("_model"): sorted(found) for name, found in models.items() if found},
        "captioners": [dict(zip(names, writer, strict=True)) for writer in sorted(writers, key=str)],
        **_asked(connection, FETCHES)[0],
    }


def _asked(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Row]:
    rows: list[Row] = connection.sql(sql).to_arrow_table().to_pylist()
    return rows
