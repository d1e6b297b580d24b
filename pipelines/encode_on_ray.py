"""Latents encoded by all nodes of a cluster: actors that keep the networks, and lose no job when one is lost. It imports ray."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from hdvg.dataset.dataset import Dataset
from hdvg.errors import ResourceError, first_line
from hdvg.latents.encode import RunJobs
from hdvg.latents.jobs import Done, Worker
from hdvg.latents.settings import Encoding
from hdvg.latents.workers import Job
from pipelines.head import Head
from pipelines.node_traits import refuse_other_code
from pipelines.nodes import Nodes
from pipelines.session import opened, raised_by
from pipelines.tasks_on_ray import wait_for_one

LOSSES = 20
"""Encoders that may be lost, with their nodes or alone, before the command stops."""


class Encoder:
    """A process with one thread for its networks on a CPU, so that numbers do not depend on where they are made."""

    def __init__(self, root: Path, run: str, encoding: Encoding, wanted: str) -> None:
        import torch

        refuse_other_code(wanted)
        torch.set_num_threads(1)
        self._work = Worker(Dataset.open(root, run=run), encoding, depth=1)

    def do(self, job: Job) -> Done:
        return self._work(job)


def on_cluster(address: str) -> RunJobs:
    """What does an encoding's jobs on the cluster at that address."""

    def run(dataset: Dataset, encoding: Encoding, jobs: Iterable[Job], *, workers: int | None) -> Iterator[Done]:
        with opened(address) as session:
            yield from _all(
                _Encoders(workers, dataset.root, dataset.store.run, encoding, session.code), iter(jobs), session.head
            )

    return run


class _Encoders:
    """The actors: `workers`, or one for each GPU of the cluster, or without GPUs one for every two cores."""

    def __init__(self, workers: int | None, *arguments: object) -> None:
        nodes = Nodes()
        nodes.look()
        gpus, cpus = int(nodes.size.gpus), int(nodes.size.cpus)
        largest = max((int(node.cpus) for node in nodes.working), default=1)
        share: dict[str, Any] = {"num_gpus": 1, "num_cpus": 1} if gpus else {"num_cpus": max(min(largest, 2), 1)}
        kind: Any = ray.remote(max_restarts=0, scheduling_strategy="SPREAD", **share)(Encoder)
        self._make: Callable[[], Any] = lambda: kind.remote(*arguments)
        self.idle = deque(self._make() for _ in range(min(workers or gpus or max(cpus // 2, 1), gpus or cpus)))

    def replace(self) -> None:
        """One was lost: another takes its place, on whichever node has room."""
        self.idle.append(self._make())


def _all(encoders: _Encoders, jobs: Iterator[Job], head: Head) -> Iterator[Done]:
    """What comes of the jobs, as they are done. Raises what a job raises, and ResourceError if too many encoders or the head
    are lost."""
    again: deque[Job] = deque()
    running: dict[Any, tuple[Any, Job]] = {}
    losses = 0
    while True:
        while encoders.idle and (job := again.popleft() if again else next(jobs, None)) is not None:
            encoder = encoders.idle.popleft()
            running[encoder.do.remote(job)] = encoder, job
        if not running:
            return
        over = wait_for_one(running, head)
        encoder, job = running.pop(over)
        try:
            yield ray.get(over)
            encoders.idle.append(encoder)
        except RayTaskError as error:
            raise raised_by(error) from None
        except RayError as error:
            head.refuse_going()
            losses += 1
            if losses > LOSSES:
                raise ResourceError(
                    f"{losses} encoders were lost ({first_line(error)}); look after the cluster, then run again"
                ) from None
            again.append(job)
            encoders.replace()
