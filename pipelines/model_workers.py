"""The actors that keep a stage's model loaded: started where a job waits for one, used again, ended when they are long idle."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipelines.node_traits import refuse_other_code
from pipelines.nodes import Node
from pipelines.perform import Done, Job, perform
from pipelines.remote_gate import RemoteGate

IDLE_S = 60.0
"""How long a worker may have nothing to do before what it holds (a GPU's share, memory, its node) is given back."""


class ModelWorker:
    """A process that keeps a stage's model loaded from job to job."""

    def perform(self, job: Job, gate: RemoteGate, code: str) -> Done:
        refuse_other_code(code)
        return perform(job.on_this_node(), gate)


@dataclass(eq=False)
class Worker:
    """One actor of a stage."""

    stage: str
    actor: Any
    node: str
    """Where it was put; "" if that was left to Ray."""
    idle_since: float = 0.0


class ModelWorkers:
    """All of them, by stage."""

    def __init__(self) -> None:
        # an actor holds its share all its life, so it takes no core: on a small machine the other stages need them
        self._kind: Any = ray.remote(num_cpus=0, max_restarts=0)(ModelWorker)
        self._idle: dict[str, list[Worker]] = {}
        self._placed: Counter[tuple[str, str]] = Counter()

    def take(self, stage: str, *, gpus: float, nodes: Sequence[Node]) -> Worker:
        """An idle one, else a new one: on the node with the fewest of its stage, or where Ray finds that share of a GPU."""
        if idle := self._idle.get(stage):
            return idle.pop()
        if gpus or not nodes:
            return Worker(stage, self._kind.options(num_gpus=gpus, scheduling_strategy="SPREAD").remote(), "")
        node = min(nodes, key=lambda node: self._placed[stage, node.id]).id
        self._placed[stage, node] += 1
        there = NodeAffinitySchedulingStrategy(node, soft=True)
        return Worker(stage, self._kind.options(scheduling_strategy=there).remote(), node)

    def give_back(self, worker: Worker) -> None:
        """It has nothing to do for now."""
        worker.idle_since = time.monotonic()
        self._idle.setdefault(worker.stage, []).append(worker)

    def drop(self, worker: Worker) -> None:
        """It is not used again: Ray ends an actor of which nobody holds a handle."""
        self._placed[worker.stage, worker.node] -= 1

    def drop_idle(self, stage: str | None = None) -> None:
        """Drop those that were idle for long; of that stage all that are idle, for some of them may be lost."""
        since = time.monotonic() - IDLE_S
        for name, idle in self._idle.items():
            for worker in [one for one in idle if name == stage or one.idle_since < since]:
                idle.remove(worker)
                self.drop(worker)
