"""The runner on this machine alone: jobs in threads of this process, their limited children side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace

from hdvg.config.recipe import Recipe
from pipelines.children import close_sandboxes
from pipelines.hosts import published
from pipelines.perform import Done, Job, make_gate, perform
from pipelines.runners import Order, Queues
from pipelines.sizes import Size

BESIDE = 0.5
"""Cores that jobs may take over those there are: two downloads, which wait for the network."""


class Local:
    """As many jobs at once as keep the cores busy; of a stage with a model, which this process has once, one."""

    def __init__(self, recipe: Recipe, *, cores: int | None = None) -> None:
        self._run = recipe.run
        self._cores = cores or len(os.sched_getaffinity(0))
        self._gate = make_gate(recipe)

    def __call__(self, order: Order, report: Callable[[Done], None]) -> None:
        size = Size(self._cores, gpus=0, nodes=1)
        slots = [1 if stage.load else stage.workers(self._run, size) for stage in order.stages]
        queues = Queues(order, slots)
        cpus = {stage.name: stage.cpus for stage in order.stages}
        running: dict[Future[Done], Job] = {}
        with published(order.root, order.run, self._gate.figures), _threads(sum(slots)) as pool:
            while True:
                while True:
                    busy = sum(cpus[job.stage] for job in running.values())
                    if (new := queues.next(self._cores + BESIDE - busy)) is None:
                        break
                    threads = queues.threads(self._cores, self._run.decode_threads)
                    running[pool.submit(perform, replace(new, threads=threads), self._gate)] = new
                if not running:
                    return
                for over in wait(running, return_when=FIRST_COMPLETED).done:
                    job, done = running.pop(over), over.result()
                    for one in order.all_done(done):
                        report(one)
                    queues.ended(job, done)


@contextmanager
def _threads(most: int) -> Iterator[ThreadPoolExecutor]:
    """So many threads for jobs; if the run is stopped, their children end at once, and they with the item at hand."""
    done = False
    with ThreadPoolExecutor(most, thread_name_prefix="job") as pool:
        try:
            yield pool
            done = True
        finally:
            if not done:
                close_sandboxes()
                pool.shutdown(wait=False, cancel_futures=True)
