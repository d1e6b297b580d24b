"""Let source files go, if the recipe keeps none: each as soon as no video with its bytes needs it any more."""

from __future__ import annotations

from collections import defaultdict

from hdvg.dataset.dataset import Dataset
from pipelines.perform import Done
from pipelines.runners import Order


class Release:
    """Watches the jobs of a run: a source goes when the last unit of the run that holds its bytes is cut.

    All that a unit has fetched counts as held, whether its videos turn out as duplicates or not, until it is cut.
    """

    def __init__(self, dataset: Dataset, order: Order) -> None:
        self._dataset = dataset
        self._holders: defaultdict[str, set[str]] = defaultdict(set)
        if not dataset.plan.recipe.storage.keep_sources:
            with dataset.manifest() as manifest:
                rows = manifest.rows(
                    "select sha256, unit from videos where sha256 is not null and unit in (select unnest(?::varchar[]))",
                    [list(order.units)],
                )
            for row in rows:
                self._holders[row["sha256"]].add(row["unit"])

    def __call__(self, done: Done) -> None:
        """One job is over."""
        if self._dataset.plan.recipe.storage.keep_sources:
            return
        for sha256 in done.sources:
            if done.fetched:
                self._holders[sha256].add(done.unit)
            else:
                holders = self._holders.pop(sha256, set()) - {done.unit}
                if holders:
                    self._holders[sha256] = holders
                else:
                    self._dataset.store.remove_media(sha256)


def drop_sources(dataset: Dataset) -> None:
    """Remove the sources whose bytes no video needs for pending work, whatever run left them; between the stages' jobs."""
    if dataset.plan.recipe.storage.keep_sources:
        return
    with dataset.manifest() as manifest:
        manifest.hold("videos")
        rows = manifest.rows(
            "select sha256 from videos where sha256 is not null group by sha256 having not bool_or(video_id in (select video_id from needed))"
        )
    for row in rows:
        dataset.store.remove_media(row["sha256"])
