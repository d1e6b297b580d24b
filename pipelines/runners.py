"""What a runner is, the order of jobs it is given, and the one in this process: `Serial`; `OnRay` stands in ray_runner.py."""

from __future__ import annotations

import math
import os
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from hdvg.config.recipe import Recipe
from hdvg.dataset.dataset import Dataset
from hdvg.errors import ResourceError
from pipelines.graph import Stage
from pipelines.hosts import published
from pipelines.perform import Done, Job, gather, make_gate, pending_items, perform, poison

CRASHES = 2
"""Workers that one job may kill before it is split into single items, and a single item before it is called poison."""


SHORTAGES = 3
"""Workers of one job that may end for want of memory, each time with fewer beside them, before the run stops."""


AHEAD = 8
"""Jobs that may wait before a stage whatever its slots: the largest of them goes first."""

LOSSES = 20
"""Nodes, or processes that went with them, that one job may lose before the run stops."""


def address_of(named: str | None) -> str:
    """The cluster to use: the one that is named, or RAY_ADDRESS; `local` for a session of our own."""
    return named or os.environ.get("RAY_ADDRESS") or "local"


class NodeLostError(ResourceError):
    """The node of a job is gone, or the way to it: that says nothing of the items it had."""


class MemoryShortError(ResourceError):
    """A worker was ended because its machine ran low on memory: that says nothing of the items it had."""


@dataclass(frozen=True)
class Order:
    """What to run: units and the stages they pass, over one dataset."""

    root: Path
    run: str
    stages: tuple[Stage, ...]
    units: dict[str, int]
    """Unit -> index in `stages` of the first stage that has work for it."""
    retry: tuple[str, ...] = ()

    def job(self, unit: str, stage: int) -> Job:
        """The job of a unit at the stage of that index."""
        name, *later = (stage.name for stage in self.stages[stage:])
        return Job(self.root, self.run, name, unit, self.retry, later=tuple(later))

    def all_done(self, done: Done) -> list[Done]:
        """This, and what was done at the stages that the unit passed with it: nothing."""
        first = 1 + [stage.name for stage in self.stages].index(done.stage)
        return [done, *(Done(stage.name, done.unit, {}, {}, 0.0) for stage in self.stages[first : first + done.passed])]


class Runner(Protocol):
    """Runs an order to its end and reports every job done; raises what stops a run (UsageError, ResourceError)."""

    def __call__(self, order: Order, report: Callable[[Done], None]) -> None: ...


class Serial:
    """One unit after the other, in this process."""

    def __init__(self, recipe: Recipe) -> None:
        self._gate = make_gate(recipe)

    def __call__(self, order: Order, report: Callable[[Done], None]) -> None:
        with published(order.root, order.run, self._gate.figures):
            for unit, first in order.units.items():
                stage = first
                while stage < len(order.stages):
                    done = perform(order.job(unit, stage), self._gate)
                    stage += 1 + done.passed
                    for one in order.all_done(done):
                        report(one)


class Queues:
    """Which job starts next: later stages first, of a stage the largest, so that no core waits for it at the end; and no stage
    runs far ahead of the one after it."""

    def __init__(self, order: Order, slots: list[int]) -> None:
        self._order = order
        self._slots = slots
        self._fewer = [0] * len(slots)
        self._stage = {stage.name: index for index, stage in enumerate(order.stages)}
        self._fresh: list[deque[Job]] = [deque() for _ in order.stages]
        self._waiting: list[deque[Job]] = [deque() for _ in order.stages]
        self._bytes = Counter[str]()
        self._running: Counter[int] = Counter()
        self._open: Counter[str] = Counter()
        for unit, first in order.units.items():
            self._fresh[first].append(order.job(unit, first))
            self._open[unit] += 1

    def next(self, room: float = math.inf) -> Job | None:
        """A job to start now, or None if the slots are taken or the stages after are behind. `room`: cores that it may take."""
        for stage in reversed(range(len(self._slots))):
            fits = self._order.stages[stage].cpus <= room
            if fits and self._running[stage] < self._slots[stage] and not self._held_back(stage):
                queue = self._waiting[stage] or self._fresh[stage]
                if queue:
                    self._running[stage] += 1
                    job = max(queue, key=lambda job: self._bytes[job.unit]) if self._waiting[stage] else queue[0]
                    queue.remove(job)
                    return job
        return None

    def add(self, job: Job) -> None:
        """A job to try again, before its unit goes on."""
        self._waiting[self._stage[job.stage]].appendleft(job)
        self._open[job.unit] += 1

    def fewer(self, job: Job) -> None:
        """From now on one job less of this stage at a time, if there are several."""
        stage = self._stage[job.stage]
        if self._slots[stage] > 1:
            self._slots[stage] -= 1
            self._fewer[stage] += 1

    def resize(self, slots: list[int]) -> None:
        """From now on so many jobs of each stage at a time, less those that `fewer` took away."""
        self._slots = [max(1, count - less) for count, less in zip(slots, self._fewer, strict=True)]

    def starve(self, cpus: float) -> bool:
        """Whether the first stage has more to do than slots, nothing waits behind it, and there are cores for more."""
        behind = range(1, len(self._slots))
        idle = sum(self._running[stage] for stage in behind) < cpus and not any(
            self._waiting[stage] for stage in behind
        )
        return idle and bool(self._fresh[0]) and self._running[0] >= self._slots[0]

    def left(self) -> list[int]:
        """The jobs of each stage that run, or could."""
        return [
            self._running[stage] + len(self._waiting[stage]) + len(self._fresh[stage])
            for stage in range(len(self._slots))
        ]

    def threads(self, cores: float, most: int) -> int:
        """Of one decode: one where every core has a job, more towards the end; as many again as cores, for some wait."""
        return max(1, min(most, math.ceil(2 * cores / sum(self.left()))))

    def ended(self, job: Job, done: Done | None = None) -> None:
        """The job is over; when its unit has no other one open, the unit goes on to the next stage, or behind those that it
        passed."""
        passed = done.passed if done else 0
        self._bytes[job.unit] += done.fetched_bytes if done else 0
        stage = self._stage[job.stage]
        self._running[stage] -= 1
        self._open[job.unit] -= 1
        after = stage + 1 + passed
        if self._open[job.unit] == 0 and after < len(self._slots):
            self._waiting[after].append(self._order.job(job.unit, after))
            self._open[job.unit] += 1

    def _held_back(self, stage: int) -> bool:
        after = stage + 1
        return after < len(self._slots) and len(self._waiting[after]) >= max(2 * self._slots[after], AHEAD)


def after_crash(job: Job, crashes: int, queues: Queues) -> Done | None:
    """A job killed its worker: try it again, then its items one by one; an item that goes on killing is poison."""
    if crashes < CRASHES:
        queues.add(job)
    elif job.keys is None:
        dataset = Dataset.open(job.root, run=job.run)
        gather(dataset, job)
        for item in pending_items(dataset, job):
            queues.add(replace(job, keys=(item["key"],)))
    else:
        return poison(job)
    return None


def after_shortage(job: Job, short: MemoryShortError, shortages: int, queues: Queues) -> None:
    """A job's worker was ended for want of memory: try it again with fewer beside it. Raises `short` if that does not help."""
    if shortages >= SHORTAGES:
        raise short
    queues.fewer(job)
    queues.add(job)


def after_loss(job: Job, lost: NodeLostError, losses: int, queues: Queues) -> None:
    """A job's node is gone: try it again elsewhere. Raises `lost` if that was so too often."""
    if losses >= LOSSES:
        raise NodeLostError(
            f"{lost}; the same job for the {losses}th time: look after the cluster, then run the same command again"
        )
    queues.add(job)
