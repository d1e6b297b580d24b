"""The ledger of links: what became of every link, by host and year, for those who ask how much of a list is still alive."""

from __future__ import annotations

import csv
from typing import IO, Any

from hdvg.dataset.manifest import Manifest, literal

LOST_LATER = ("gone", "private", "geo", "age", "blocked", "opt_out", "lost_source", "changed")
"""Reasons of later stages, which fetch a source again, that are about its link."""

LEDGER = f"""
with later as (
    select video_id, any_value(status) as status, any_value(reason) as reason from failures
    where stage not in ('input', 'download') and reason in ({", ".join(map(literal, LOST_LATER))}) group by video_id
), links as (
    select regexp_extract(v.source, '^[a-z0-9]+://([^/?#]*)', 1) as host, l.status as later_status, l.reason as later_reason,
        v.stage = 'download' and v.status <> 'pending' and v.reason <> 'duplicate' as lost, v.status, v.reason,
        v.stage = 'download' and v.status = 'pending' as pending, v.upload_date, v.fetched_at
    from videos v left join later l using (video_id)
), said as (
    select case when host = '' then '(files)' else host end as host,
        coalesce(try_cast(left(upload_date, 4) as integer), try_cast(left(fetched_at, 4) as integer)) as year,
        case when try_cast(left(upload_date, 4) as integer) is not null then 'upload'
             when fetched_at is not null then 'fetch' end as year_of,
        case when lost then status when pending then 'pending' when later_reason is not null then later_status else 'ok'
            end as status,
        case when lost then reason when not pending then later_reason end as reason
    from links
), counted as (select *, count(*) as links from said group by all)
select *, links / sum(links) over (partition by host) as share
from counted order by host, year nulls last, links desc, status, reason
"""


def ledger(manifest: Manifest) -> list[dict[str, Any]]:
    """One row for each host, year and outcome: `links`, and their `share` of all links of the host, 0-1.

    `year` is that of the upload where the source says so, else of the (last) fetch, else null; `year_of` says which.
    Links with the same bytes as others count as alive.
    """
    return manifest.rows(LEDGER)


def write_csv(rows: list[dict[str, Any]], file: IO[str]) -> None:
    """The ledger as CSV with a header."""
    writer = csv.DictWriter(
        file, ["host", "year", "year_of", "status", "reason", "links", "share"], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
