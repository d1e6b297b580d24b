"""Forget videos: hide them at once, and if asked purge them from every file, with the shards written anew without them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.tombstones import Name
from hdvg.filtering.pool import settle
from hdvg.reports.beside import beside, models_that_saw, written_that_may_show
from hdvg.takedown import Found, find, hide, media_bytes, purge
from pipelines.shard_stage import fill_shards
from pipelines.writing import new_run, writing


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
    """Purge under the run lock; True unless a virtual clip of a neighbour ended in an unknown error.

    Shards are written by new verdicts only where clips are judged beside others, and so may be by their going.
    """
    with writing(dataset.store):
        found = find(dataset, asked)  # again: a run may have added to it
        hide(dataset, dataset.store, found)
        if dataset.plan.pool_wanted:
            dataset = settle(dataset)
        purge(dataset, found)
        for path in sorted(dataset.root.glob("logs/*")):  # links and files are named in them
            dataset.store.remove(str(path.relative_to(dataset.root)))
        stays = not dataset.plan.pool_wanted or not (dataset.root / "shards").is_dir()
        return stays or fill_shards(dataset, console)


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
