"""The runner on Ray, on a laptop or a cluster: the same graph and the same `perform` as in one process. It imports ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from ray.exceptions import RayError

from hdvg.config.recipe import Recipe
from hdvg.dataset.run_lock import refuse_lost
from hdvg.dataset.stages import DOWNLOAD
from hdvg.errors import ResourceError
from pipelines.cluster import Cluster
from pipelines.hosts import published
from pipelines.perform import Done, Job
from pipelines.runners import (
    MemoryShortError,
    NodeLostError,
    Order,
    Queues,
    after_crash,
    after_loss,
    after_shortage,
)

WIDEST = 4
"""Times as many downloads as by themselves, where cores wait for them."""


class OnRay:
    """Ray tasks, and actors where a stage has a model, behind a bounded window; names travel, never media.

    `say` is given what is to be known of the nodes of a cluster that others share.
    """

    def __init__(
        self, recipe: Recipe, *, address: str | None, cpus: int | None, gpus: int | None, say: Callable[[str], None]
    ) -> None:
        self._recipe, self._say = recipe, say
        self._address, self._cpus, self._gpus = address, cpus, gpus
        self._wider = 1

    def __call__(self, order: Order, report: Callable[[Done], None]) -> None:
        with (
            Cluster(self._recipe, address=self._address, cpus=self._cpus, gpus=self._gpus) as cluster,
            published(order.root, order.run, cluster.figures),
        ):
            if cluster.is_shared:
                self._say(cluster.describe())
                cluster.check(order)
            queues = Queues(order, self._slots(order, cluster))
            try:
                self._do(order, cluster, queues, report)
            except (RayError, ResourceError):
                cluster.refuse_lost_head()
                raise

    def _slots(self, order: Order, cluster: Cluster) -> list[int]:
        """How many jobs of each stage run at once on the cluster as it is now; its GPUs are shared out by that."""
        run = self._recipe.run
        slots = [stage.workers(run, cluster.size) for stage in order.stages]
        if order.stages[0].name == DOWNLOAD and not run.download_workers:
            slots[0] *= self._wider
        cluster.share_gpus(sum(count * stage.gpus(run) for count, stage in zip(slots, order.stages, strict=True)))
        return slots

    def _do(self, order: Order, cluster: Cluster, queues: Queues, report: Callable[[Done], None]) -> None:
        stages = {stage.name: stage for stage in order.stages}
        crashes, shortages, losses = Counter[Job](), Counter[Job](), Counter[Job]()
        running: dict[object, Job] = {}
        while True:
            waits = not cluster.takes_jobs
            while not waits and (job := queues.next()) is not None:
                threads = queues.threads(cluster.size.cpus, self._recipe.run.decode_threads)
                running[cluster.start(stages[job.stage], replace(job, threads=threads))] = job
            refuse_lost(order.root)
            self._look(order, cluster, queues)
            if not running and not waits:
                return
            ref = cluster.wait(running)
            if ref is None:
                continue
            job, done = running.pop(ref), None
            cluster.bring(job)
            try:
                done = cluster.result(ref)
                if done is None:
                    crashes[job] += 1
                    done = after_crash(job, crashes[job], queues)
                if done is not None:
                    for one in order.all_done(done):
                        report(one)
            except MemoryShortError as short:
                shortages[job] += 1
                after_shortage(job, short, shortages[job], queues)
            except NodeLostError as lost:
                losses[job] += 1
                after_loss(job, lost, losses[job], queues)
            queues.ended(job, done)

    def _look(self, order: Order, cluster: Cluster, queues: Queues) -> None:
        """Every few seconds: work for the nodes that have come, less for those that are left, and room asked for the rest."""
        news = cluster.look()
        if news is None:
            return
        for line in news:
            self._say(line)
        cluster.check(order)
        if queues.starve(cluster.size.cpus):
            self._wider = min(2 * self._wider, WIDEST)
        queues.resize(self._slots(order, cluster))
        cluster.ask_for(zip(queues.left(), order.stages, strict=True))
