"""Forget videos: hide them at once, and if asked purge them from every file, with the shards written anew without them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import files
from hdvg.dataset.shards import Cutter, Row
from hdvg.dataset.tombstones import Name
from hdvg.filtering.pool import settle
from hdvg.reports.beside import beside, models_that_saw, written_that_may_show
from hdvg.takedown import Found, find, hide, media_bytes, purge
from pipelines.run import fill_shards
from pipelines.virtual_clips import VirtualClips
from pipelines.writing import new_run, writing
from schemas.clips import CUT


def forget(
    root: Path, asked: Iterable[Name], console: Console, *, purged: bool = False, dry_run: bool = False
) -> dict[str, Any]:
    """Hide what is asked, and with `purged` remove that and all that was hidden before; a report, ready for JSON.

    With `dry_run` nothing is changed. Raises UsageError if a purge meets another run: what was asked is hidden by then.
    """
    dataset = Dataset.open(root, run=new_run())
    names = frozenset(asked)
    found = find(dataset, names)
    report = _report(dataset, found) | {"purged": purged and not dry_run, "dry_run": dry_run}
    if not dry_run:
        with dataset.store.aside() as store:
            report["hidden"] = hide(dataset, store, found)
        if purged:
            report["whole"] = remove(dataset, names, console)
    return report


def remove(dataset: Dataset, asked: Iterable[Name], console: Console) -> bool:
    """Purge under the run lock; True unless a virtual clip of a neighbour ended in an unknown error."""
    with writing(dataset.store), ExitStack() as stack:
        found = find(dataset, asked)  # again: a run may have added to it
        hide(dataset, dataset.store, found)
        if dataset.plan.pool_wanted:
            dataset = settle(dataset)
        shards = (dataset.root / "shards").is_dir()
        held = (
            HeldClips(dataset, stack.enter_context(dataset.store.scratch()), VirtualClips(dataset)) if shards else None
        )
        purge(dataset, found)
        for path in sorted(dataset.root.glob("logs/*")):  # links and files are named in them
            dataset.store.remove(str(path.relative_to(dataset.root)))
        return held is None or fill_shards(dataset, console, held)


class HeldClips:
    """Gives shards their virtual clips from the shards there were, so that no neighbour is fetched and cut again.

    These are linked into `folder` before they go; what they lack `otherwise` makes.
    """

    def __init__(self, dataset: Dataset, folder: Path, otherwise: Cutter) -> None:
        self._otherwise = otherwise
        self._places: dict[str, tuple[Path, int]] = {}
        recipe = dataset.plan.recipe.to_toml().encode()
        virtual = dataset.plan.recipe.cut.mode == "virtual"
        for shard in files(dataset.root, "shards") if virtual else []:
            link = folder / shard.name
            os.link(shard, link)
            with pq.ParquetFile(link) as file:
                groups = (
                    range(file.num_row_groups)
                    if (file.schema_arrow.metadata or {}).get(b"hdvg_recipe") == recipe
                    else ()
                )
                for group in groups:
                    for name in file.read_row_group(group, columns=["clip_id"])["clip_id"].to_pylist():
                        self._places[name] = link, group

    def __call__(self, rows: list[Row]) -> dict[str, tuple[Row, bytes]]:
        """By clip_id, the row with its cut's columns, and the file's bytes."""
        wanted: defaultdict[tuple[Path, int], dict[str, Row]] = defaultdict(dict)
        for row in rows:
            if row["clip_id"] in self._places:
                wanted[self._places[row["clip_id"]]][row["clip_id"]] = row
        made = self._otherwise([row for row in rows if row["clip_id"] not in self._places])
        for (path, group), mine in wanted.items():
            with pq.ParquetFile(path) as file:
                names = [field.name for field in CUT if field.name in file.schema_arrow.names]
                clips = file.read_row_group(group, columns=[*names, "video"]).to_pylist()
            for held in clips:
                if held["clip_id"] in mine:
                    made[held["clip_id"]] = mine[held["clip_id"]] | {name: held[name] for name in names}, held["video"]
        return made


def _report(dataset: Dataset, found: Found) -> dict[str, Any]:
    index = dataset.plan.recipe.duplicates.index
    return {
        "dataset": str(dataset.root),
        "found": {
            "videos": len(found.videos),
            "clips": len(found.clips),
            "captions": found.captions,
            "rows": found.rows,
            "media_bytes": media_bytes(dataset, found),
        },
        "hidden": 0,
        "models_that_saw_clips": models_that_saw(dataset, found.clips),
        "beside": beside(dataset),
        "written": written_that_may_show(dataset, found.clips),
        "index_of_duplicates": None if index is None else str(Path(index).expanduser()),
    }
