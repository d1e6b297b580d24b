"""Make the plan of a dataset: which stages a recipe asks for, their fingerprints, and the best order of keyframe measures.

First comes the measure that costs little and drops much, by what this dataset showed so far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hdvg import shots
from hdvg.config.deadline import OverError
from hdvg.config.own_measures import is_new
from hdvg.config.recipe import Recipe
from hdvg.dataset.alone_views import clips_without
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.plan import Plan, match_wanted
from hdvg.dataset.plugins import locate
from hdvg.dataset.stages import MATCH, POOL, SPLIT, entry_of, shape, stage_names
from hdvg.errors import UsageError
from hdvg.learned.contents import with_contents
from hdvg.measures.keyframed import KEYFRAME_MEASURES, TYPICAL_MS
from schemas.measures import HOMES
from schemas.pass_measures import PASS

ENOUGH = 100
"""Clips that a measure must have been taken of before its own figures count."""

TYPICAL_DROPPED = 0.2


@dataclass(frozen=True)
class Observed:
    """What a measure showed: the clips it was taken of, its time per clip, and the share that its rules dropped."""

    measure: str
    clips: int
    ms_per_clip: float | None
    dropped_share: float | None


def make_plan(
    recipe: Recipe, *, known: Plan | None = None, observed: Sequence[Observed] = (), root: Path | None = None
) -> Plan:
    """Fingerprint the stages. Raises UsageError if a model, or a package it needs, is not there.

    Plug-ins are loaded, of files that `plugins.keep` named from the folder `root`.

    Only what shapes results counts, see `hdvg.dataset.shaping`. Rules shape no stage: they are part of a query. What is
    `known` of the dataset stays as far as it holds: quantiles, and measures that were taken before; for `observed` see
    `with_rules`.
    """
    recipe = recipe.model_copy(update={"measure": with_contents(recipe.measure)})
    located = locate(recipe, root) if root else recipe
    shots.preload(located.split.detector)  # asked now, not when the first child starts
    fingerprints: dict[str, str] = {}
    for name in stage_names(recipe, ()):
        if not entry_of(name).by_rules:
            fingerprints[name] = shape(name, recipe, fingerprints, located=located)
    if known is not None and known.fingerprints[SPLIT] == fingerprints[SPLIT]:
        fingerprints = {**known.fingerprints, **fingerprints}
    plan = Plan(recipe, fingerprints)
    if known is not None:
        plan = replace(plan, quantiles=known.quantiles)
    return with_rules(plan, recipe, observed=observed)


def with_alone(recipe: Recipe, alone: Mapping[str, int]) -> Recipe:
    """The recipe with the measures of the pass that are taken alone, each in that version."""
    return recipe.model_copy(update={"measure": recipe.measure.model_copy(update={"alone": dict(alone)})})


def lacking(dataset: Dataset) -> dict[str, int]:
    """The measures of the pass that the split of some clip does not hold in today's version, and that version."""
    with dataset.manifest() as manifest:
        return {name: PASS[name].version for name in clips_without(manifest.rows)}


def to_take(dataset: Dataset, recipe: Recipe, *, everything: bool) -> dict[str, int]:
    """The measures of the pass to take alone from now on: all that are lacking, or those that rules name and that were never
    taken: nothing else becomes work because hdvg is newer."""
    named = recipe.named_columns | set(recipe.measure.also)
    asked = {
        name
        for name, one in PASS.items()
        if everything or (is_new(name) and named & {name, *(field.name for field in one.columns)})
    }
    return {name: version for name, version in lacking(dataset).items() if name in asked} if asked else {}


def with_rules(plan: Plan, recipe: Recipe, *, observed: Sequence[Observed] = ()) -> Plan:
    """The plan with the recipe's rules, and the measures these need, in the best order by what was observed of them.

    Raises UsageError as `make_plan` does.
    """
    measures = best_order(wanted_measures(recipe), observed)
    fingerprints = dict(plan.fingerprints)
    for name in stage_names(recipe, measures):
        if entry_of(name).by_rules:
            fingerprints[name] = shape(name, recipe, fingerprints)
    return replace(plan, recipe=recipe, fingerprints=fingerprints, measures=measures)


def wanted_measures(recipe: Recipe) -> tuple[str, ...]:
    """The keyframe measures that the recipe's rules, writers' conditions and `measure.also` ask for.

    Raises UsageError for a name in `measure.also` that is none, or a rule on topics where there are none.
    """
    columns = recipe.named_columns
    if {"topic", "topic_similarity"} & columns and recipe.measure.topics is None:
        raise UsageError("a rule asks for topics: say which with --set measure.topics=topics.txt, a topic a line")
    there_are = [*KEYFRAME_MEASURES, POOL, MATCH, *PASS]
    unknown = set(recipe.measure.also) - set(there_are)
    if unknown:
        raise UsageError(f"measure.also = {min(unknown)!r}: no such measure; there are: {', '.join(there_are)}")
    homes = recipe.homes
    if recipe.wants_clusters or match_wanted(recipe):
        homes.add(HOMES["embedding"])
    if recipe.cut.crop == "clean":
        homes.add(HOMES["clean_area"])
    if POOL in homes:
        homes |= {HOMES["embedding"]} if recipe.duplicates.semantic is not None else set()
        homes |= {HOMES[column] for column in recipe.duplicates.score}
    return tuple(name for name in KEYFRAME_MEASURES if name in homes)


def observe(dataset: Dataset) -> list[Observed]:
    """The figures of every measure of the dataset's plan, in their order."""
    plan = dataset.plan
    found: list[Observed] = []
    if not plan.measures:
        return found
    with dataset.manifest() as manifest:
        for place, name in enumerate(plan.measures):
            rules = [rule for rule in plan.recipe.rules if plan.verdicts.home(rule) == place]
            passes = " and ".join(rule.sql({}) for rule in rules) or "true"
            sql = (
                f"select count(*) as clips, 1000 * avg(r.seconds) as ms_per_clip, "
                f"1 - avg(coalesce({passes}, false)::int) as dropped_share "
                f"from measured join (select video_id, clip_id, seconds from {name}_rows) r using (video_id, clip_id)"
            )
            try:
                found += [Observed(name, **row) for row in manifest.rows(sql)]
            except OverError:  # rules that take too long: the new ones may be what mends it
                break
    return found


def best_order(names: tuple[str, ...], observed: Sequence[Observed]) -> tuple[str, ...]:
    """The names, sorted by cost over dropped share: the order of least expected cost for filters that drop independently."""
    known = {one.measure: one for one in observed if one.clips >= ENOUGH}

    def price(name: str) -> float:
        one = known.get(name)
        cost = one.ms_per_clip if one and one.ms_per_clip is not None else TYPICAL_MS[name]
        dropped = one.dropped_share if one and one.dropped_share is not None else TYPICAL_DROPPED
        return cost / max(dropped, 1e-3)

    return tuple(sorted(names, key=price))
