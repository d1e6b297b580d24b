"""Forget videos: hide them at once, and if asked purge them from every file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.tombstones import Name
from hdvg.purge import purge
from hdvg.reports.beside import beside, models_that_saw, written_that_may_show
from hdvg.takedown import Found, find, hide, media_bytes
from pipelines.writing import new_run, writing


def forget(root: Path, asked: Iterable[Name], *, purged: bool = False, dry_run: bool = False) -> dict[str, Any]:
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
            remove(dataset, names)
    return report


def remove(dataset: Dataset, asked: Iterable[Name]) -> None:
    """Purge under the run lock."""
    with writing(dataset.store):
        found = find(dataset, asked)  # again: a run may have added to it
        hide(dataset, dataset.store, found)
        purge(dataset, found)
        for path in sorted(dataset.root.glob("logs/*")):  # links and files are named in them
            dataset.store.remove(str(path.relative_to(dataset.root)))


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
