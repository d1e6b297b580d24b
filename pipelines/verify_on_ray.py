"""Files looked at by all nodes of a cluster, for `hdvg verify`: every byte of a dataset is read. It imports ray."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.inventory import State, Thing
from hdvg.reports.verify import LookAtAll, states_here
from pipelines.tasks_on_ray import on_nodes

FILES = 256
"""Of a task."""

Item = tuple[int, Path, Sequence[Thing]]


def on_cluster(address: str) -> LookAtAll:
    """What looks at files on the cluster at that address."""

    def look(dataset: Dataset, things: Sequence[Thing]) -> list[State]:
        items = [(start, dataset.root, things[start : start + FILES]) for start in range(0, len(things), FILES)]
        if len(items) < 2:  # not worth a session
            return states_here(dataset, things)
        found = dict(on_nodes(address, _look, items, needs=(dataset.root / "parts",), called="a look at files"))
        return [state for start, _, _ in items for state in found[start]]

    return look


def _look(item: Item, _: None) -> tuple[int, list[State]]:
    start, root, things = item
    return start, states_here(Dataset.open(root), things)
