"""The Ray side of a run: one session, tasks for plain stages, a growing pool of actors for stages with a model."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import Any

os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # read at import; else Ray warns of its own change

import ray
from ray.exceptions import ActorDiedError, NodeDiedError, OutOfMemoryError, RayTaskError, WorkerCrashedError

from hdvg.config import Recipe
from hdvg.errors import HdvgError
from pipelines.graph import Stage
from pipelines.perform import Done, Job, perform
from pipelines.runners import make_gate

KILLED = (ActorDiedError, NodeDiedError, OutOfMemoryError, WorkerCrashedError)
OBJECT_STORE_MB = 100
"""Only names pass through it."""


class GateActor:
    """The run's one host gate."""

    def __init__(self, recipe: Recipe) -> None:
        self._gate = make_gate(recipe)

    def ask(self, host: str) -> float:
        return self._gate.ask(host)

    def done(self, host: str, retry_after_s: float | None, blocked: bool) -> None:
        self._gate.done(host, retry_after_s=retry_after_s, blocked=blocked)


class RemoteGate:
    """The run's host gate as seen from a worker: the gate itself lives in one actor."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def ask(self, host: str) -> float:
        try:
            return float(ray.get(self._actor.ask.remote(host)))
        except RayTaskError as error:
            raise error.cause from None

    def done(self, host: str, retry_after_s: float | None = None, blocked: bool = False) -> None:
        ray.get(self._actor.done.remote(host, retry_after_s, blocked))


class ModelWorker:
    """A process that keeps a stage's model loaded from job to job."""

    def perform(self, job: Job, gate: RemoteGate) -> Done:
        return perform(job, gate)


class Cluster:
    """A Ray session for one run; a context manager."""

    def __init__(self, recipe: Recipe, *, address: str | None, cpus: int | None, gpus: int | None) -> None:
        self._recipe = recipe
        self._where: dict[str, Any] = {"address": address}
        if address is None:
            self._where |= {"num_cpus": cpus, "num_gpus": gpus}
            self._where |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_MB * 2**20}
        self._idle: list[Any] = []
        self._busy: dict[Any, Any] = {}

    def __enter__(self) -> Cluster:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **self._where)
        resources = ray.cluster_resources()  # type: ignore[no-untyped-call]  # ray leaves it untyped
        self.cpus = resources.get("CPU", 1.0)
        gpus = min(resources.get("GPU", 0.0), self._recipe.run.caption_gpus)
        self._gate = RemoteGate(ray.remote(num_cpus=0)(GateActor).remote(self._recipe))
        self._task = ray.remote(max_retries=0)(perform)
        # an actor holds its share all its life, so it takes no core: on a small machine the other stages need them
        self._worker: Any = ray.remote(num_cpus=0, num_gpus=gpus, max_restarts=0)(ModelWorker)
        return self

    def __exit__(self, *_: object) -> None:
        ray.shutdown()

    def start(self, stage: Stage, job: Job) -> Any:
        """Start a job where there is room; returns its reference."""
        if not stage.has_model:
            return self._task.options(num_cpus=stage.cpus).remote(job, self._gate)
        worker = self._idle.pop() if self._idle else self._worker.remote()
        ref = worker.perform.remote(job, self._gate)
        self._busy[ref] = worker
        return ref

    def wait(self, refs: Iterable[Any]) -> Any:
        """The next reference that is over."""
        return ray.wait(list(refs), num_returns=1)[0][0]

    def result(self, ref: Any) -> Done | None:
        """What became of the job, or None if its worker was killed. Raises the HdvgError the job raised."""
        worker = self._busy.pop(ref, None)
        try:
            done: Done = ray.get(ref)
        except KILLED:
            return None
        except RayTaskError as error:
            if isinstance(error.cause, HdvgError):
                raise error.cause from None
            raise
        if worker is not None:
            self._idle.append(worker)
        return done
