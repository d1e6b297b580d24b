"""The Ray side of a run: one session, tasks for plain stages, a pool of actors for stages with a model, both as large as the cluster."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayTaskError,
    WorkerCrashedError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hdvg.config.recipe import Recipe
from hdvg.dataset.following import follow, link_of
from hdvg.errors import TransientError, first_line
from hdvg.sandbox import Call, Limits
from pipelines.children import sandbox
from pipelines.graph import Stage
from pipelines.model_workers import ModelWorkers, Worker
from pipelines.node_check import check_nodes
from pipelines.node_traits import refuse_other_code
from pipelines.nodes import Demand, Nodes
from pipelines.perform import Done, Job, perform
from pipelines.remote_gate import GateActor, RemoteGate, answer_of_gate
from pipelines.runners import MemoryShortError, NodeLostError, Order
from pipelines.session import opened, raised_by
from pipelines.sizes import Size

LOST = (NodeDiedError, ActorUnavailableError, ObjectLostError)
"""What Ray says of a job whose node, or the way to it, is gone."""
KILLED = (ActorDiedError, WorkerCrashedError)
"""What Ray says of a job whose process ended: by itself, or with its node."""
GATE_S = 10.0
"""Longest wait for the gate's figures."""
LOOK_S = 5.0
"""How often the cluster's nodes are looked at."""
GOING_S = 3.0
"""How long after a process on it a node may be known to be gone."""


def in_child(detector: str, call: Call[Any], scratch: Path, limits: Limits, code: str) -> Any:
    """One call of a limited child, on whichever node; see `perform_here`."""
    refuse_other_code(code)
    return sandbox(detector, limits.sandbox).call(call, scratch, limits)


def across_nodes(
    detector: str, calls: Sequence[tuple[Call[Any], Path]], limits: Limits, *, code: str = ""
) -> list[Any]:
    """As `children.side_by_side`, as Ray tasks; the worker that waits for them gives its core away meanwhile.

    If one fails, those that have not begun never do. Raises TransientError `crash` if a worker is killed, NodeLostError if its
    node is.
    """
    task: Any = ray.remote(num_cpus=1, max_retries=2)(in_child)
    results = [task.remote(detector, call, scratch, limits, code) for call, scratch in calls]
    try:
        return list(ray.get(results))
    except RayTaskError as error:
        raise error.cause from None
    except LOST as error:
        raise NodeLostError(f"a node that decoded a segment is gone: {first_line(error)}") from None
    except KILLED as error:
        raise TransientError("crash", f"a worker that decoded a segment was killed: {error}") from None
    except OutOfMemoryError as error:
        raise low_on_memory(error, "a worker that decoded a segment") from None
    finally:
        for result in results:
            ray.cancel(result)  # says nothing to one that has ended


def low_on_memory(error: OutOfMemoryError, who: str) -> MemoryShortError:
    """What to say when Ray ended a process to keep its machine alive: whose item it had is chance."""
    return MemoryShortError(
        f"Ray ended {who}, for its machine ran low on memory ({first_line(error)}); free memory, or use fewer workers "
        "(--cpus, --set run.…_workers=…), then run the same command again"
    )


def perform_here(job: Job, gate: RemoteGate, code: str) -> Done:
    """A job in a Ray worker, which must run that code of hdvg; "" is any."""
    refuse_other_code(code)
    if job.link is not None:
        return perform(job.on_this_node(), gate)  # files in a mirror are of one node: no other decodes segments
    return perform(job, gate, spread=functools.partial(across_nodes, code=code))


@dataclass(frozen=True)
class Started:
    """A job that runs: its side of the gate, the process with its model if it has one, and how many nodes were lost before."""

    gate: RemoteGate
    lost_before: int
    worker: Worker | None


class Cluster:
    """A Ray session for one run; a context manager."""

    def __init__(self, recipe: Recipe, *, address: str | None, cpus: int | None, gpus: int | None) -> None:
        self._recipe = recipe
        self._where = address, cpus, gpus
        self._open = ExitStack()
        self.is_shared, self._code = False, ""
        """Whether it is a cluster that stood before this run, and may grow and shrink; the code its nodes run. Known when it is open."""
        self._checked: set[str] = set()
        self._nodes, self._demand, self._models = Nodes(), Demand(), ModelWorkers()
        self._next_look = 0.0
        self._gpu_scale = 1.0
        self._started: dict[Any, Started] = {}
        self._holders = itertools.count()

    def __enter__(self) -> Cluster:
        session = self._open.enter_context(opened(*self._where))
        self.is_shared, self._head, self._code = session.is_shared, session.head, session.code
        self._nodes.look()
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        gate: Any = ray.remote(num_cpus=0)(GateActor)
        self._gate = gate.options(scheduling_strategy=here).remote(self._recipe)
        self._task = ray.remote(max_retries=0, scheduling_strategy="SPREAD")(perform_here)
        return self

    def __exit__(self, *_: object) -> None:
        with self._open:
            if self._head.answers:
                self._demand.withdraw()

    @property
    def size(self) -> Size:
        """Of the nodes that were there at the last look."""
        return self._nodes.size

    def describe(self) -> str:
        """The nodes, in a line."""
        self._nodes.read_news()
        return self._nodes.describe()

    def check(self, order: Order) -> None:
        """Raise UsageError if a node that was not looked at yet differs from this machine in what a run needs."""
        new = [node for node in self._nodes.working if self.is_shared and node.id not in self._checked]
        if new:
            check_nodes(new, order, self._recipe)
        self._checked |= {node.id for node in new}

    def look(self) -> list[str] | None:
        """Look which nodes there are, and end processes with models that are idle for long; what has happened to nodes, or None
        if it is not yet time to look, or the session is the run's own. Raises HeadLostError if the head is gone."""
        self._head.refuse_lost()
        if not self.is_shared or not self._head.answers or time.monotonic() < self._next_look:
            return None
        self._next_look = time.monotonic() + LOOK_S
        self._models.drop_idle()
        self._nodes.look()
        return self._nodes.read_news()

    @property
    def takes_jobs(self) -> bool:
        """Whether a job can be started now: not while the head is silent."""
        return self._head.answers

    def refuse_lost_head(self) -> None:
        """Raise HeadLostError behind an error that came of a head that is gone."""
        self._head.refuse_going()

    def share_gpus(self, wanted: float) -> None:
        """All processes with a model together want so many GPUs; they stay, so each gets less where there are fewer."""
        self._gpu_scale = min(1.0, self.size.gpus / wanted) if wanted else 1.0

    def ask_for(self, jobs: Iterable[tuple[int, Stage]]) -> None:
        """Let an autoscaler make room for so many jobs of these stages; GPUs only where the cluster has some by itself."""
        gpus = bool(self.size.gpus)
        if self.is_shared:
            self._demand.ask((count, one.cpus, gpus * one.gpus(self._recipe.run)) for count, one in jobs)

    def start(self, stage: Stage, job: Job) -> Any:
        """Start a job where there is room; returns its reference."""
        gate = RemoteGate(self._gate, next(self._holders))
        job = replace(job, link=link_of(job.root) if self.is_shared else None)
        if stage.load is None:
            worker, ref = None, self._task.options(num_cpus=stage.cpus).remote(job, gate, self._code)
        else:
            share = stage.gpus(self._recipe.run) * self._gpu_scale
            worker = self._models.take(stage.name, gpus=share, nodes=self._nodes.working)
            ref = worker.actor.perform.remote(job, gate, self._code)
        self._started[ref] = Started(gate, self._nodes.lost, worker)
        return ref

    def bring(self, job: Job) -> None:
        """Have here what a job has put on another node, of a dataset in a bucket."""
        if self.is_shared and link_of(job.root):
            follow(job.root, job.unit)

    def figures(self) -> dict[str, dict[str, Any]]:
        """As `hosts.HostGate.figures`. Raises ResourceError if the gate does not answer."""
        found: dict[str, dict[str, Any]] = answer_of_gate(self._gate.figures.remote(), GATE_S)
        return found

    def wait(self, refs: Iterable[Any]) -> Any:
        """The next reference that is over, or None if it is time to look at the nodes first."""
        if not (refs := list(refs)):  # the head is silent
            return time.sleep(1)
        over = ray.wait(refs, num_returns=1, timeout=LOOK_S)[0]
        return over[0] if over else None

    def result(self, ref: Any) -> Done | None:
        """What became of the job, or None if its worker was killed.

        Raises the HdvgError the job raised, NodeLostError if its node is gone, or the way to it, MemoryShortError if Ray ended
        its worker because the machine ran low on memory.
        """
        started = self._started.pop(ref)
        worker = started.worker
        try:
            done: Done = ray.get(ref)
        except LOST as error:
            raise self._lost(started, error) from None
        except KILLED as error:
            if self._node_is_lost(started):
                raise self._lost(started, error) from None
            self._drop(started)
            return None
        except OutOfMemoryError as error:
            self._drop(started)
            raise low_on_memory(error, "a worker") from None
        except RayTaskError as error:
            self._drop(started)
            raise raised_by(error) from None
        if worker is not None and done.reasons.get("error"):  # a GPU may stay broken after an unknown error
            self._models.drop(worker)
        elif worker is not None:
            self._models.give_back(worker)
        return done

    def _node_is_lost(self, started: Started) -> bool:
        """Whether a node was lost since the job started; where there are several, that may take a moment to be known."""
        until = time.monotonic() + (GOING_S if self.size.nodes > 1 else 0.0)
        while self._nodes.lost == started.lost_before and time.monotonic() < until:
            time.sleep(0.2)
            self._head.refuse_going()
            self._nodes.look()
        return self._nodes.lost > started.lost_before

    def _lost(self, started: Started, error: BaseException) -> NodeLostError:
        self._drop(started)
        if started.worker is not None:
            self._models.drop_idle(started.worker.stage)
        return NodeLostError(f"Ray lost a node, or a process on it, while it worked ({first_line(error)})")

    def _drop(self, started: Started) -> None:
        started.gate.forget()
        if started.worker is not None:
            self._models.drop(started.worker)
