"""A dataset by its folder or by its link into a bucket, to read."""

from __future__ import annotations

from pathlib import Path

from hdvg.dataset import ledger
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.location import dataset_text, shown
from hdvg.errors import UsageError


def open_to_read(place: str | Path) -> Dataset:
    """The dataset in a folder, or, of a link such as s3://bucket/dataset, its mirror on this machine.

    Raises UsageError if there is no dataset, or it cannot be reached, or was copied there in part.
    """
    text = str(place)
    found = Dataset.open(dataset_text(text))
    if found.store.far is not None and (lost := ledger.lost(found.root)):
        raise UsageError(
            f"{shown(str(found.root))}: {lost[0]} is not there, and {len(lost) - 1} others: copy the whole dataset there again"
        )
    return found
