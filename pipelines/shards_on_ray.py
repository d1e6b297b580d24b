"""Shards written by all nodes of a cluster. It imports ray."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.shards import NewShard, write_shard
from pipelines.shard_stage import Spread
from pipelines.tasks_on_ray import on_nodes
from pipelines.virtual_clips import Places, VirtualClips

Item = tuple[Path, str, NewShard]


def on_cluster(address: str) -> Spread:
    """What writes shards on the cluster at that address."""
    return lambda dataset, clips: functools.partial(_write_all, dataset, clips.places, address)


def _write_all(dataset: Dataset, places: Places, address: str, shards: Sequence[NewShard]) -> None:
    """Write them. A shard that was written stays, whatever becomes of the others. Raises what writing raises, and as `on_nodes`."""
    if shards:
        items = ((dataset.root, dataset.store.run, one) for one in shards)
        needs = (dataset.root / "tmp" / dataset.store.run,)
        for _ in on_nodes(address, _write, items, held=places, needs=needs, called="a shard"):
            pass


def _write(item: Item, places: Places) -> None:
    root, run, shard = item
    dataset = Dataset.open(root, run=run)
    with dataset.store.scratch() as folder:
        write_shard(dataset, shard, VirtualClips(dataset, folder, places))
