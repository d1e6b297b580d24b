"""The pool: what can be told of a clip only beside all others, once every measure is taken: copies, and quantiles."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from hdvg.dataset import Dataset
from hdvg.rules import Rule, Verdicts
from hdvg.settings import Plan


def settle(dataset: Dataset) -> Dataset:
    """The dataset with its pool settled; part of a run, under its lock."""
    plan = dataset.plan
    with dataset.manifest() as manifest:
        quantiles = resolve_quantiles(plan.recipe.rules, manifest.connection, "measured")
    settled = Dataset(dataset.root, Plan(plan.recipe, plan.fingerprints, plan.measures, quantiles), dataset.store)
    settled.prepare()
    return settled


def resolve_quantiles(rules: Sequence[Rule], connection: duckdb.DuckDBPyConnection, source: str) -> dict[str, float]:
    """The values of the rules' quantiles, by key, over the clips of `source`, a table of measures; no value over no clips.

    Quantiles are over the clips that pass all other rules: these have every measure, in whatever order they were taken.
    """
    bounds = {bound.key: bound for rule in rules for bound in rule.quantiles}
    if not bounds:
        return {}
    asked = ", ".join(f"quantile_cont({bound.column}, {bound.share!r})" for bound in bounds.values())
    everyone_else = Verdicts(tuple(rules), (), {}).unique_in_pool()
    (values,) = connection.execute(f"select {asked} from {source} where {everyone_else}").fetchall()
    return {key: float(value) for key, value in zip(bounds, values, strict=True) if value is not None}
