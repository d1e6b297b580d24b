"""The Ray side of a run: one session, tasks for plain stages, a growing pool of actors for stages with a model."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # read at import; else Ray warns of its own change

import ray
from ray.exceptions import (
    ActorDiedError,
    GetTimeoutError,
    NodeDiedError,
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
    WorkerCrashedError,
)
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hdvg.config.recipe import Recipe
from hdvg.errors import HdvgError, ResourceError, TransientError, first_line, resource_error
from hdvg.sandbox import Call, Limits
from hdvg.sources.hosts import Leases
from hdvg.sources.hosts.host import Visit
from pipelines.graph import Stage
from pipelines.perform import Done, Job, make_gate, perform, sandbox
from pipelines.runners import MemoryShortError

KILLED = (ActorDiedError, NodeDiedError, WorkerCrashedError)
GATE_S = 10.0
"""Longest wait for the gate's figures."""
OBJECT_STORE_MB = 100
"""Only names pass through it."""


class GateActor(Leases):
    """The run's one host gate."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(make_gate(recipe))


class RemoteGate:
    """The run's host gate as one job sees it: the gate itself lives in one actor, which knows who holds its permits."""

    def __init__(self, actor: Any, holder: int) -> None:
        self._actor = actor
        self._holder = holder

    def ask(self, host: str) -> float:
        return float(self._answer(self._actor.ask.remote(self._holder, host)))

    def done(self, host: str, visit: Visit | None = None) -> None:
        self._answer(self._actor.done.remote(self._holder, host, visit))

    def spend(self, n_bytes: int) -> float:
        return float(self._answer(self._actor.spend.remote(n_bytes)))

    def forget(self) -> None:
        """The job's worker is dead: its permits come back."""
        self._answer(self._actor.forget.remote(self._holder))

    def _answer(self, ref: Any) -> Any:
        return answer_of_gate(ref)


def answer_of_gate(ref: Any, timeout_s: float | None = None) -> Any:
    """What the gate's actor answers. Raises what it raises, or ResourceError if it is dead, or answers not in time."""
    try:
        return ray.get(ref, timeout=timeout_s)
    except RayTaskError as error:
        raise error.cause from None
    except RayActorError as error:
        raise ResourceError(f"the run's host gate died ({error}); run again") from None
    except GetTimeoutError:
        raise ResourceError(f"the run's host gate did not answer within {timeout_s:g} s") from None


def in_child(detector: str, call: Call[Any], scratch: Path, limits: Limits) -> Any:
    """One call of a limited child, on whichever node."""
    return sandbox(detector, limits.sandbox).call(call, scratch, limits)


def across_nodes(detector: str, calls: Sequence[tuple[Call[Any], Path]], limits: Limits) -> list[Any]:
    """As `perform.side_by_side`, as Ray tasks; the worker that waits for them gives its core away meanwhile.

    If one fails, those that have not begun never do. Raises TransientError `crash` if a worker is killed.
    """
    task: Any = ray.remote(num_cpus=1, max_retries=2)(in_child)
    results = [task.remote(detector, call, scratch, limits) for call, scratch in calls]
    try:
        return list(ray.get(results))
    except RayTaskError as error:
        raise error.cause from None
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


def perform_here(job: Job, gate: RemoteGate) -> Done:
    """A job in a Ray worker."""
    return perform(job, gate, spread=across_nodes)


class ModelWorker:
    """A process that keeps a stage's model loaded from job to job."""

    def perform(self, job: Job, gate: RemoteGate) -> Done:
        return perform(job, gate)


def where(address: str | None, cpus: int | None, gpus: int | None) -> dict[str, Any]:
    """The arguments of `ray.init`: the cluster at the address, or at RAY_ADDRESS, else a session of our own."""
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if address != "local":
        return {"address": address}
    room = {"num_cpus": cpus, "num_gpus": gpus, "object_store_memory": OBJECT_STORE_MB * 2**20}
    return {"address": address, "include_dashboard": False, **room}


class Cluster:
    """A Ray session for one run; a context manager."""

    def __init__(self, recipe: Recipe, *, address: str | None, cpus: int | None, gpus: int | None) -> None:
        self._recipe = recipe
        self._where = where(address, cpus, gpus)
        self.gpus = 0.0
        self._gpu_scale = 1.0
        self._idle: dict[str, list[Any]] = {}
        self._busy: dict[Any, tuple[str, Any]] = {}
        self._gates: dict[Any, RemoteGate] = {}
        self._holders = itertools.count()

    def __enter__(self) -> Cluster:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **self._where)
        resources = ray.cluster_resources()  # type: ignore[no-untyped-call]  # ray leaves it untyped
        self.cpus = resources.get("CPU", 1.0)
        self.gpus = resources.get("GPU", 0.0)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        gate: Any = ray.remote(num_cpus=0)(GateActor)
        self._gate = gate.options(scheduling_strategy=here).remote(self._recipe)
        self._task = ray.remote(max_retries=0)(perform_here)
        # an actor holds its share all its life, so it takes no core: on a small machine the other stages need them
        self._worker: Any = ray.remote(num_cpus=0, max_restarts=0)(ModelWorker)
        return self

    def __exit__(self, *_: object) -> None:
        ray.shutdown()

    def share_gpus(self, wanted: float) -> None:
        """All processes with a model together want so many GPUs; they stay, so each gets less where there are fewer."""
        self._gpu_scale = min(1.0, self.gpus / wanted) if wanted else 1.0

    def start(self, stage: Stage, job: Job) -> Any:
        """Start a job where there is room; returns its reference."""
        gate = RemoteGate(self._gate, next(self._holders))
        if stage.load is not None:
            idle = self._idle.setdefault(stage.name, [])
            share = stage.gpus(self._recipe.run) * self._gpu_scale
            worker = idle.pop() if idle else self._worker.options(num_gpus=share).remote()
            ref = worker.perform.remote(job, gate)
            self._busy[ref] = stage.name, worker
        else:
            ref = self._task.options(num_cpus=stage.cpus).remote(job, gate)
        self._gates[ref] = gate
        return ref

    def figures(self) -> dict[str, dict[str, Any]]:
        """As `hosts.HostGate.figures`. Raises ResourceError if the gate does not answer."""
        found: dict[str, dict[str, Any]] = answer_of_gate(self._gate.figures.remote(), GATE_S)
        return found

    def wait(self, refs: Iterable[Any]) -> Any:
        """The next reference that is over."""
        return ray.wait(list(refs), num_returns=1)[0][0]

    def result(self, ref: Any) -> Done | None:
        """What became of the job, or None if its worker was killed.

        Raises the HdvgError the job raised, MemoryShortError if Ray ended its worker because the machine ran low on memory.
        """
        (stage, worker), gate = self._busy.pop(ref, ("", None)), self._gates.pop(ref)
        try:
            done: Done = ray.get(ref)
        except KILLED:
            gate.forget()
            return None
        except OutOfMemoryError as error:
            gate.forget()
            raise low_on_memory(error, "a worker") from None
        except RayTaskError as error:
            if isinstance(error.cause, HdvgError):
                raise error.cause from None
            if machine := resource_error(error.cause):
                raise machine from None
            raise
        if worker is not None and not done.reasons.get("error"):  # a GPU may stay broken after an unknown error
            self._idle[stage].append(worker)
        return done
