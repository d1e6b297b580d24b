"""A dataset folder: created by a plan, fed with lists of links, cut into units of work."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.dataset.manifest import Manifest, views_sql
from hdvg.dataset.plan import Plan, read_plan
from hdvg.dataset.store import Store
from hdvg.dataset.tombstones import Tombstones
from hdvg.errors import UsageError
from hdvg.ids import digest, video_id
from hdvg.sources.links import Link, read_links
from schemas.inputs import INPUTS
from schemas.measures import POOL
from schemas.parts import SHARD_PART, part_schema
from schemas.rejected import REJECTED

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


class Dataset:
    """The folder `root` with its plan; reading needs no lock, changing it does (`store.lock`)."""

    def __init__(self, root: Path, plan: Plan, store: Store | None = None) -> None:
        self.root = root
        self.plan = plan
        self.store = store or Store(root)

    @classmethod
    def open(cls, root: Path, *, run: str = "none") -> Dataset:
        """The dataset at `root`, to read, or to write as part of a run. Raises UsageError if there is none."""
        root = root.resolve()
        path = root / "dataset.toml"
        if not path.is_file():
            raise UsageError(
                f"{root} is no dataset (no dataset.toml); make one: hdvg run demo --links links.txt --out {root.name}"
            )
        return cls(root, read_plan(path.read_text(encoding="utf-8"), where=str(path)), Store(root, run=run))

    def prepare(self) -> None:
        """Write the empty seed parts, the plan and the views; under the run lock.

        Raises UsageError, with the plan and the views as they were, if the new plan cannot be read back.
        """
        self.publish_seeds()
        text, path = self.plan.to_toml(), self.root / "dataset.toml"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            self.read_back()
            self.store.replace("dataset.toml", text)
        self.write_views()

    def publish_seeds(self) -> None:
        """Publish a file without rows of each kind, for views to read; under the run lock."""
        self.store.publish_table("inputs/00000-seed.parquet", INPUTS.empty_table())
        self.store.publish_table("rejected/seed.parquet", REJECTED.empty_table())
        self.store.publish_table("parts/shard/seed.parquet", SHARD_PART.empty_table())
        for stage in (*self.plan.stages, POOL):
            self.store.publish_table(
                f"parts/{stage}/seed-{self.plan.fingerprints[stage]}-0.parquet", part_schema(stage).empty_table()
            )

    def read_back(self) -> None:
        """Raise UsageError unless the plan, read again from its own text, gives a verdict on every clip; seeds are needed."""
        plan = read_plan(self.plan.to_toml(), where=f"the new settings of {self.root}")
        try:
            with Manifest(self.root, plan) as manifest:
                manifest.one("select count(*) from clip_rows where len(reasons) = 0")
        except duckdb.Error as error:
            raise UsageError(
                f"{self.root}: by the new settings its clips cannot be judged: {error}\n"
                "dataset.toml stays as it was; change the rule that is named, or see `hdvg verify`"
            ) from error

    def write_views(self, store: Store | None = None) -> None:
        """Write the views for people, as they are now; with another `store` than the run's, without its lock."""
        (store or self.store).replace("manifest.sql", views_sql(self.plan, self.root, relative=True))

    def manifest(self, *, unit: str | None = None, stage: str | None = None) -> Manifest:
        """The dataset's views, or one unit's; with a `stage`, only its items are wanted."""
        return Manifest(self.root, self.plan, unit=unit, stage=stage)

    def accept(self, links: str, *, origin: str | None = None, all_files: bool = False) -> Accepted:
        """Take a list of links: what was not seen before becomes one immutable input part with its units.

        `origin` is stored as where they come from, by default the list's name; `all_files` as `read_links` has it. Of a link that was taken down nothing is
        stored. Raises UsageError if `links` cannot be read.
        """
        names = sorted(path.name for path in (self.root / "inputs").glob("*.parquet"))
        seen = pq.read_table(
            [self.root / "inputs" / name for name in names], columns=["link_id", "video_id", "status"], schema=INPUTS
        ).to_pydict()
        seen_links = set(seen["link_id"])
        seen_videos = {name for name, status in zip(seen["video_id"], seen["status"], strict=True) if status == "new"}
        seq = int(names[-1].split("-")[0]) + 1
        given = list(read_links(links, all_files=all_files))
        tombstones = Tombstones.of(self.root)
        wanted = [link for link in given if not (link.source and tombstones.hold("video", video_id(link.source)))]
        rows, known = _new_rows(wanted, origin or _origin(links), seq, seen_links, seen_videos)
        if rows:
            _assign_units(rows)
            rows.sort(key=lambda row: (row["video_id"] or "", row["line"]))
            table = pa.Table.from_pylist(rows, schema=INPUTS)
            content = digest([row["link_id"] for row in rows])
            self.store.publish_table(f"inputs/{seq:05d}-{content}.parquet", table)
        counts = Counter(row["reason"] or "new" for row in rows)
        forgotten = len(given) - len(wanted)
        return Accepted(counts["new"], known, counts["duplicate"], counts["bad_input"], forgotten)


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


def folder_problem(root: Path) -> str | None:
    """Why `root` cannot become a dataset, or None if it can: it must be new, empty, or a dataset already."""
    if "\\" in str(root.absolute()):
        return f"{root}: DuckDB takes a backslash in a path for a slash"
    if not root.exists() or (root / "dataset.toml").exists():
        return None
    if not root.is_dir():
        return f"{root} is a file"
    own = {"tmp", "inputs", "rejected", "parts", "run.lock"}
    strangers = sorted(path.name for path in root.iterdir() if path.name not in own)
    return f"{root} holds other files ({', '.join(strangers[:3])})" if strangers else None
