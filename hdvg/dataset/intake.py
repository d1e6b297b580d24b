"""Take lists of links into a dataset: what was not seen before becomes one immutable input part, cut into units of work."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import files, list_name, next_list
from hdvg.dataset.tombstones import Tombstones
from hdvg.ids import digest, video_id
from hdvg.sources.links import Link, read_links
from schemas.inputs import INPUTS

UNIT_MOST = 64
"""Most videos of a unit; lists under 64 x 64 videos get smaller units, so that every core has work."""


@dataclass(frozen=True)
class Accepted:
    """What a list of links came to."""

    new: int = 0
    known: int = 0
    duplicates: int = 0
    bad: int = 0
    forgotten: int = 0


def accept(dataset: Dataset, links: str, *, origin: str | None = None) -> Accepted:
    """Take a list of links: what was not seen before becomes one immutable input part with its units.

    `origin` is stored as where they come from, by default the list's name. Of a link that was taken down nothing is
    stored. Raises UsageError if `links` cannot be read.
    """
    columns = ["link_id", "video_id", "status"]
    seen = pq.read_table(files(dataset.root, "inputs"), columns=columns, schema=INPUTS).to_pydict()
    seen_links = set(seen["link_id"])
    seen_videos = {name for name, status in zip(seen["video_id"], seen["status"], strict=True) if status == "new"}
    seq = next_list(dataset.root)
    given = list(read_links(links))
    tombstones = Tombstones.of(dataset.root)
    wanted = [link for link in given if not (link.source and tombstones.hold("video", video_id(link.source)))]
    rows, known = _new_rows(wanted, origin or _origin(links), seq, seen_links, seen_videos)
    if rows:
        _assign_units(rows)
        rows.sort(key=lambda row: (row["video_id"] or "", row["line"]))
        table = pa.Table.from_pylist(rows, schema=INPUTS)
        dataset.store.publish_table(list_name(seq, digest([row["link_id"] for row in rows])), table)
    counts = Counter(row["reason"] or "new" for row in rows)
    return Accepted(counts["new"], known, counts["duplicate"], counts["bad_input"], len(given) - len(wanted))


def _origin(links: str) -> str:
    return Path(links).name if "://" not in links else links


def _new_rows(
    links: Iterable[Link], origin: str, seq: int, seen_links: set[str], seen_videos: set[str]
) -> tuple[list[dict[str, Any]], int]:
    """Rows for the links not accepted before, and how many were. A repeated line counts by its place among equals."""
    rows: list[dict[str, Any]] = []
    repeats: Counter[str] = Counter()
    known = 0
    for link in links:
        link_id = digest("link", link.raw, link.source, repeats[link.raw])
        repeats[link.raw] += 1
        if link_id in seen_links:
            known += 1
            continue
        name = video_id(link.source) if link.source else None
        row = _row(link, link_id=link_id, name=name, duplicate=name in seen_videos)
        rows.append(row | {"seq": seq, "origin": origin})
        if name:
            seen_videos.add(name)
    return rows, known


def _row(link: Link, *, link_id: str, name: str | None, duplicate: bool) -> dict[str, Any]:
    status, reason, detail = "new", None, None
    if name is None:
        status, reason, detail = "failed", "bad_input", link.error
    elif duplicate:
        status, reason, detail = "failed", "duplicate", f"line {link.line}: the same source as video {name}"
    return {
        "link_id": link_id,
        "link": link.raw,
        "line": link.line,
        "source": link.source,
        "video_id": name,
        "unit": None,
        "status": status,
        "reason": reason,
        "detail": detail,
    }


def _assign_units(rows: list[dict[str, Any]]) -> None:
    """Give every new video its unit."""
    new = {row["video_id"]: row for row in rows if row["status"] == "new"}
    for unit, members in cut_units(sorted(new)):
        for name in members:
            new[name]["unit"] = unit


def cut_units(videos: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """The units of new videos, given sorted: 1 to 64 videos each, named by what is in them."""
    size = min(max(math.ceil(len(videos) / UNIT_MOST), 1), UNIT_MOST)
    for start in range(0, len(videos), size):
        members = videos[start : start + size]
        yield digest("unit", members)[:16], members
