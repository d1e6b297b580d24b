"""Shards written by all nodes of a cluster, each a task that any node may do, and again if its node is lost. It imports ray."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.shards import NewShard, write_shard
from hdvg.errors import ResourceError, first_line
from pipelines.session import Session, raised_by
from pipelines.shard_stage import Spread
from pipelines.virtual_clips import Places, VirtualClips

TRIES = 5
"""Nodes or workers that one shard may lose before the run stops."""

AHEAD = 2
"""Shards that wait for each of the cluster's CPUs."""


def on_cluster(address: str) -> Spread:
    """What writes shards on the cluster at that address."""
    return lambda dataset, clips: functools.partial(_write_all, dataset, clips.places, address)


def _write_all(dataset: Dataset, places: Places, address: str, shards: Sequence[NewShard]) -> None:
    """Write them. A shard that was written stays, whatever becomes of the others.

    Raises what writing raises, and ResourceError if a shard's node or worker was lost too often.
    """
    if not shards:
        return
    Session(address, None, None).open()
    try:
        task: Any = ray.remote(max_retries=TRIES, num_cpus=1, scheduling_strategy="SPREAD")(_write)
        held = ray.put(places)
        cpus = ray.cluster_resources().get("CPU", 1)  # type: ignore[no-untyped-call]  # Ray types none of it
        most = max(int(AHEAD * cpus), 1)
        running: list[Any] = []
        for one in shards:
            if len(running) >= most:
                running = _finish(running)
            running.append(task.remote(dataset.root, dataset.store.run, one, held))
        while running:
            running = _finish(running)
    finally:
        ray.shutdown()


def _finish(running: list[Any]) -> list[Any]:
    """Wait for one; the others."""
    (over,), left = ray.wait(running, num_returns=1)
    try:
        ray.get(over)
    except RayTaskError as error:
        raise raised_by(error) from None
    except RayError as error:
        raise ResourceError(
            f"a shard lost its node or its worker {TRIES} times ({first_line(error)}); run again"
        ) from None
    return list(left)


def _write(root: Path, run: str, shard: NewShard, places: Places) -> None:
    dataset = Dataset.open(root, run=run)
    with dataset.store.scratch() as folder:
        write_shard(dataset, shard, VirtualClips(dataset, folder, places))
