"""The pool: what can be told of a clip only beside all others, once every measure is taken: copies, and quantiles."""

from __future__ import annotations

from hdvg.dataset import Dataset
from hdvg.settings import Plan


def settle(dataset: Dataset) -> Dataset:
    """The dataset with its pool settled; part of a run, under its lock.

    Quantiles are over the clips that pass all other rules: these have every measure, in whatever order they were taken.
    """
    wanted = {bound.key: bound for rule in dataset.plan.recipe.rules for bound in rule.quantiles}
    quantiles: dict[str, float] = {}
    with dataset.manifest() as manifest:
        for key, bound in wanted.items():
            value = manifest.one(
                f"select quantile_cont({bound.column}, {bound.share!r}) from measured where {dataset.plan.verdicts.unique_in_pool()}"
            )
            if value is not None:
                quantiles[key] = float(value)
    plan = dataset.plan
    settled = Dataset(dataset.root, Plan(plan.recipe, plan.fingerprints, plan.measures, quantiles), dataset.store)
    settled.prepare()
    return settled
