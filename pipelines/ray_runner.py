"""The runner on Ray, on a laptop or a cluster: the same graph and the same `perform` as in one process. It imports ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hdvg.config.recipe import Recipe
from pipelines.cluster import Cluster
from pipelines.hosts import published
from pipelines.perform import Done, Job
from pipelines.runners import MemoryShortError, Order, Queues, after_crash, after_shortage


class OnRay:
    """Ray tasks, and actors where a stage has a model, behind a bounded window; names travel, never media."""

    def __init__(self, recipe: Recipe, *, address: str | None, cpus: int | None, gpus: int | None) -> None:
        self._recipe = recipe
        self._address, self._cpus, self._gpus = address, cpus, gpus

    def __call__(self, order: Order, report: Callable[[Done], None]) -> None:
        stages = {stage.name: stage for stage in order.stages}
        with (
            Cluster(self._recipe, address=self._address, cpus=self._cpus, gpus=self._gpus) as cluster,
            published(order.root, order.run, cluster.figures),
        ):
            slots = [stage.workers(self._recipe.run, cluster.cpus) for stage in order.stages]
            cluster.share_gpus(
                sum(count * stage.gpus(self._recipe.run) for count, stage in zip(slots, order.stages, strict=True))
            )
            queues = Queues(order, slots)
            crashes, shortages = Counter[Job](), Counter[Job]()
            running: dict[object, Job] = {}
            while True:
                while (job := queues.next()) is not None:
                    running[cluster.start(stages[job.stage], job)] = job
                if not running:
                    return
                ref = cluster.wait(running)
                job = running.pop(ref)
                try:
                    done = cluster.result(ref)
                    if done is None:
                        crashes[job] += 1
                        done = after_crash(job, crashes[job], queues)
                    if done is not None:
                        report(done)
                except MemoryShortError as short:
                    shortages[job] += 1
                    after_shortage(job, short, shortages[job], queues)
                queues.ended(job)
