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
from hdvg.dataset.given_texts import publish_texts, texts_of, without_scenes
from hdvg.dataset.layout import files, list_name, next_list
from hdvg.dataset.tombstones import Tombstones
from hdvg.ids import digest, video_id
from hdvg.sources.canonical import masked
from hdvg.sources.folder import passed_over
from hdvg.sources.links import Columns, Folders, Link, read_links
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
    texts: int = 0
    """Texts that became the captions of whole videos."""
    only_bad: str = ""
    """Of a source without one good link, what is wrong with the first."""
    passed_over: str = ""
    """Of folders, how many of their files were not taken, and why."""


def accept(
    dataset: Dataset,
    links: str,
    *,
    origin: str | None = None,
    all_files: bool = False,
    columns: Columns = Columns(),  # noqa: B008 - frozen
) -> Accepted:
    """Take a list of links: what was not seen before becomes one immutable input part with its units.

    `origin` is stored as where they come from, by default the list's name; `all_files` and `columns` as `Folders` and
    `read_links` have them.
    Texts are taken of new videos; if their column is asked for, also of those without given scenes.
    Of a link that was taken down nothing is stored. Raises UsageError if `links` cannot be read.
    """
    named = ["link_id", "video_id", "status", "unit"]
    seen = pq.read_table(files(dataset.root, "inputs"), columns=named, schema=INPUTS).to_pydict()
    seen_links = set(seen["link_id"])
    known_units = {name: unit for name, unit in zip(seen["video_id"], seen["unit"], strict=True) if unit is not None}
    seen_videos = {name for name, status in zip(seen["video_id"], seen["status"], strict=True) if status == "new"}
    seq = next_list(dataset.root)
    folders = Folders(all_files, ways=dataset.plan.recipe.fetch)
    given = list(read_links(links, columns=columns, folders=folders))
    tombstones = Tombstones.of(dataset.root)
    wanted = [link for link in given if not (link.source and tombstones.hold("video", video_id(link.source)))]
    rows, known = _new_rows(wanted, origin or _origin(links), seq, seen_links, seen_videos)
    _assign_units(rows)
    texts = texts_of(wanted)
    units = {row["video_id"]: row["unit"] for row in rows if row["unit"]}
    if columns.text is not None:
        units |= without_scenes(dataset.root, {name: known_units[name] for name in texts.keys() & known_units.keys()})
    n_texts = publish_texts(dataset, texts, units, file=origin or _origin(links))
    if rows:
        rows.sort(key=lambda row: (row["video_id"] or "", row["line"]))
        table = pa.Table.from_pylist(rows, schema=INPUTS)
        dataset.store.publish_table(list_name(seq, digest([row["link_id"] for row in rows])), table)
    counts = Counter(row["reason"] or "new" for row in rows)
    only_bad = "" if any(link.source for link in given) else given[0].error or ""
    forgotten = len(given) - len(wanted)
    return Accepted(
        counts["new"],
        known,
        counts["duplicate"],
        counts["bad_input"],
        forgotten,
        texts=n_texts,
        only_bad=only_bad,
        passed_over=passed_over(folders.passed),
    )


def _origin(links: str) -> str:
    return Path(links).name if "://" not in links else masked(links)


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
