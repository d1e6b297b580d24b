"""What a recipe wants beyond the base install: extras of packages, and settings that have no default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hdvg.captioners import CAPTIONER
from hdvg.config.recipe import Recipe
from hdvg.environment import BASE_MODULES
from hdvg.measures.keyframed import KEYFRAME_MEASURE
from hdvg.planning import wanted_measures
from hdvg.registry import Registry
from hdvg.shots import NETWORKS

SETTINGS: Mapping[str, tuple[str, ...]] = {
    "aesthetic": ("aesthetic_path", "aesthetic_head"),
    "classifier": ("classifier_path", "classifier_label"),
}
"""Measure -> settings of `measure` that it does not work without."""


def wants(recipe: Recipe) -> list[str]:
    """Extras in brackets, as pip takes them, then settings that are still unset: ["[measure,shots]", "measure.topics"].

    Empty if the recipe runs as it is on the base install.
    """
    topics = {"topic", "topic_similarity"} & {column for rule in recipe.rules for column in rule.columns}
    unset = ["topics"] if topics and recipe.measure.topics is None else []
    measure = recipe.measure.model_copy(update={"topics": recipe.measure.topics or "a file"})
    measures = wanted_measures(recipe.model_copy(update={"measure": measure}))
    unset += [name for one in measures for name in SETTINGS.get(one, ()) if getattr(recipe.measure, name) is None]
    writers = [writer.captioner for writer in recipe.caption.writers.values()]
    extras = {
        "caption": any(_needs_more(CAPTIONER, name) for name in writers) or bool(recipe.measure.ask),
        "measure": any(_needs_more(KEYFRAME_MEASURE, name) for name in measures) or bool(recipe.measure.quality),
        "shots": recipe.split.detector in NETWORKS,
    }
    named = ",".join(extra for extra, is_wanted in extras.items() if is_wanted)
    return [*([f"[{named}]"] if named else []), *(f"measure.{name}" for name in unset)]


def _needs_more(registry: Registry, name: str) -> bool:
    """Whether the class of that name needs a module that the base install lacks; it is not looked for here."""
    if registry.is_plugin(name):
        return False
    found: Any = registry.find(name, find=lambda module: module)
    return not set(found.needs) <= BASE_MODULES
