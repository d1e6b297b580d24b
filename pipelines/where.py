"""On what a run runs: one job at a time, this machine's cores, or Ray; and what may be spread over all nodes beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hdvg.config.recipe import Recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.shards import in_turn
from hdvg.duplicates import here
from hdvg.filtering.pool import Search
from pipelines.children import warm
from pipelines.local_runner import Local
from pipelines.runners import Runner, Serial, address_of
from pipelines.shard_stage import Spread


@dataclass(frozen=True)
class Where:
    """On what a run runs."""

    runner: str | None = None
    address: str | None = None
    cpus: int | None = None
    gpus: int | None = None

    def make(self, recipe: Recipe, say: Callable[[str], None]) -> Runner:
        """The runner asked for, else the recipe's; `say` is given what it has to say of the nodes of a cluster."""
        runner = self._runner(recipe)
        if runner == "serial":
            return Serial(recipe)
        if runner == "local":
            return Local(recipe, cores=self.cpus)
        from pipelines.ray_runner import OnRay  # imports ray

        return OnRay(recipe, address=self.address, cpus=self.cpus, gpus=self.gpus, say=say)

    def get_ready(self, recipe: Recipe) -> None:
        """Begin to load what jobs in this process will need."""
        if self._runner(recipe) != "ray":
            warm(recipe.split.detector, recipe.limits.sandbox)

    def spread(self, dataset: Dataset) -> Spread:
        """What writes shards: all nodes of a cluster, else this process."""
        if (address := self._cluster(dataset)) is None:
            return in_turn
        from pipelines.shards_on_ray import on_cluster  # imports ray

        return on_cluster(address)

    def search(self, dataset: Dataset) -> Search:
        """What looks for copies: all nodes of a cluster, else this process."""
        if (address := self._cluster(dataset)) is None:
            return here
        from pipelines.search_on_ray import on_cluster  # imports ray

        return on_cluster(address)

    def _cluster(self, dataset: Dataset) -> str | None:
        """The address of a cluster that stands, whose nodes see the dataset's folder; None for a dataset in a bucket."""
        address, runner = address_of(self.address), self._runner(dataset.plan.recipe)
        return None if dataset.store.far is not None or address == "local" or runner != "ray" else address

    def _runner(self, recipe: Recipe) -> str:
        """The name of the runner asked for, else the recipe's."""
        return self.runner or recipe.run.runner
