"""The plan of a dataset: its resolved recipe and the fingerprints that name its parts."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from hdvg import shots
from hdvg.captioners import CAPTIONER
from hdvg.config.caption import stage_of, told_of
from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.config.rules import Verdicts
from hdvg.config.sections import Settings
from hdvg.dataset.plugins import locate
from hdvg.errors import UsageError
from hdvg.ids import settings_fingerprint
from hdvg.measures.keyframed import KEYFRAME_MEASURES
from hdvg.measures.keyframed import fingerprint as measure_fingerprint
from hdvg.planning import Observed, best_order
from hdvg.sources.settings import Fetch
from schemas import SCHEMA_VERSION
from schemas.measures import CAPTION, HOMES, MATCH, POOL

BEFORE = ("download", "split")
"""The stages before the keyframe measures, in order."""

MEASURES_STAGE = "measure"
"""What all keyframe measures are called together."""

VERSIONS = {"download": 2, "split": 3, "pool": 1, "cut": 2, CAPTION: 2, MATCH: 1}
"""Raise a stage's number when its code changes what it writes: its parts then become new work."""


FORMAT_SETTINGS = ("codecs", "max_fps", "hdr", "sound")
"""Settings of `fetch` that shape what is fetched, beside `min_height_px` and `codec`, where they are not as they come."""


@dataclass(frozen=True)
class Plan:
    """What a dataset is made by: the recipe, and per stage the hash of all that shapes its results."""

    recipe: Recipe
    fingerprints: Mapping[str, str]
    measures: tuple[str, ...] = ()
    """The keyframe measures to take, in the order they are taken."""
    quantiles: Mapping[str, float] = field(default_factory=dict)
    """The values of the rules' quantiles over the dataset, as far as they are known."""

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that write parts, in order."""
        return (*BEFORE, *self.measures, *self.after)

    @property
    def after(self) -> tuple[str, ...]:
        """The stages behind the pool, in order."""
        return ("cut", *self.writing)

    @property
    def writing(self) -> tuple[str, ...]:
        """The stages that write captions, each followed by the one that matches them with pictures, if that is wanted."""
        steps = (CAPTION, MATCH) if match_wanted(self.recipe) else (CAPTION,)
        return tuple(stage_of(step, writer) for writer in self.recipe.caption.writers for step in steps)

    @property
    def for_captions(self) -> tuple[str, ...]:
        """The keyframe measures that matching texts with pictures needs."""
        return (HOMES["embedding"],) if match_wanted(self.recipe) else ()

    @property
    def pool_wanted(self) -> bool:
        """Whether verdicts look at the whole pool of clips: at duplicates, diversity or quantiles."""
        return self.needs_pool or any(rule.quantiles for rule in self.recipe.rules)

    @property
    def needs_pool(self) -> bool:
        """Whether a rule, a writer's condition, or the recipe asks for what is told of a clip only beside all others."""
        return POOL in self.recipe.measure.also or POOL in {HOMES[column] for column in _named_columns(self.recipe)}

    @property
    def verdicts(self) -> Verdicts:
        """The SQL of the verdicts."""
        return Verdicts(self.recipe.rules, self.measures, self.quantiles)

    @property
    def captions_wanted(self) -> bool:
        """Whether the recipe asks for captions at all."""
        return bool(self.recipe.caption.writers)

    def to_toml(self) -> str:
        """The text of dataset.toml."""
        table: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "fingerprints": dict(self.fingerprints),
            "measures": list(self.measures),
            "quantiles": dict(self.quantiles),
            "recipe": self.recipe.model_dump(exclude_none=True),
        }
        return tomli_w.dumps(table)


def make_plan(
    recipe: Recipe, *, known: Plan | None = None, observed: Sequence[Observed] = (), root: Path | None = None
) -> Plan:
    """Fingerprint the stages. Raises UsageError if a model, or a package it needs, is not there.

    Plug-ins are loaded, of files that `plugins.keep` named from the folder `root`.
    Only what shapes results counts; `split.given` does where scenes are given, and is part of what these videos' splits
    are compared by (`given_digest`). Limits (sizes, times, hosts) and resources do not: raising one is followed by
    `hdvg retry`, not by doing everything again. Rules shape no stage: they are part of a query. What is `known` of the
    dataset stays as far as it holds: quantiles, and measures that were taken before; for `observed` see `with_rules`.
    """
    here = locate(recipe, root) if root else recipe
    shots.preload(here.split.detector)  # asked now, not when the first child starts
    fetch = recipe.fetch
    changed = _changed(fetch, (*FORMAT_SETTINGS, "sections"))
    fetched = fetch.min_height_px, fetch.codec, *changed, *_subtitles(fetch)
    download = settings_fingerprint("download", VERSIONS["download"], *fetched)
    looks = recipe.split.model_dump(exclude={"given"})
    code = shots.code_of(here.split.detector, looks)
    split = settings_fingerprint("split", VERSIONS["split"], download, looks, *code)
    cut = settings_fingerprint("cut", VERSIONS["cut"], split, recipe.cut.model_dump())
    fingerprints = {
        "download": download,
        "split": split,
        "pool": settings_fingerprint("pool", VERSIONS["pool"], split, recipe.duplicates.model_dump()),
        "cut": cut,
    }
    for name, writer in recipe.caption.writers.items():
        with told_of(name):
            shaping = writer.shaping(), CAPTIONER.fingerprint(here.caption.writers[name].captioner, writer)
        fingerprints[stage_of(CAPTION, name)] = settings_fingerprint(CAPTION, VERSIONS[CAPTION], split, *shaping)
    holds = known is not None and known.fingerprints["split"] == split
    before = {**known.fingerprints, **fingerprints} if known is not None and holds else fingerprints
    return with_rules(Plan(recipe, before, (), known.quantiles if known else {}), recipe, observed=observed)


def _changed(section: Settings, names: Sequence[str]) -> list[dict[str, Any]]:
    """Those of the settings that differ from their defaults, as one table; nothing if none does: a setting that is new
    in a version of hdvg names no part anew."""
    fields = type(section).model_fields
    changed = {name: value for name in names if (value := getattr(section, name)) != fields[name].default}
    return [changed] if changed else []


def _subtitles(fetch: Fetch) -> list[dict[str, Any]]:
    """What is asked of subtitles, as one table; nothing if none are: that names no part anew."""
    return [fetch.model_dump(include={"subtitles", "automatic_subtitles"})] if fetch.subtitles else []


def with_rules(plan: Plan, recipe: Recipe, *, observed: Sequence[Observed] = ()) -> Plan:
    """The plan with the recipe's rules, and the measures these need, in the best order by what was observed of them.

    Raises UsageError as `make_plan` does.
    """
    measures = best_order(wanted_measures(recipe), observed)
    fingerprints = dict(plan.fingerprints)
    for name in measures:
        told = measure_fingerprint(name, recipe.measure)
        fingerprints[name] = settings_fingerprint(name, 0, plan.fingerprints["split"], told)
    if match_wanted(recipe):
        for name in recipe.caption.writers:
            both = fingerprints[stage_of(CAPTION, name)], fingerprints[HOMES["embedding"]]
            fingerprints[stage_of(MATCH, name)] = settings_fingerprint(MATCH, VERSIONS[MATCH], *both)
    return Plan(recipe, fingerprints, measures, plan.quantiles)


def wanted_measures(recipe: Recipe) -> tuple[str, ...]:
    """The keyframe measures that the recipe's rules or `measure.also` ask for.

    Raises UsageError for a name in `measure.also` that is none, or a rule on topics where there are none.
    """
    columns = _named_columns(recipe)
    if {"topic", "topic_similarity"} & columns and recipe.measure.topics is None:
        raise UsageError("a rule asks for topics: say which with --set measure.topics=topics.txt, a topic a line")
    there_are = [*KEYFRAME_MEASURES, POOL, MATCH]
    unknown = set(recipe.measure.also) - set(there_are)
    if unknown:
        raise UsageError(f"measure.also = {min(unknown)!r}: no such measure; there are: {', '.join(there_are)}")
    homes = {HOMES[column] for column in columns} | set(recipe.measure.also)
    if "diverse_draw" in columns or match_wanted(recipe):
        homes.add(HOMES["embedding"])
    if POOL in homes:
        homes |= {HOMES[column] for column in recipe.duplicates.score}
    return tuple(name for name in KEYFRAME_MEASURES if name in homes)


def match_wanted(recipe: Recipe) -> bool:
    """Whether texts are to be matched with pictures: a rule or a writer's `where` asks for it, or the recipe does."""
    asked = {HOMES[column] for column in _named_columns(recipe)} | set(recipe.measure.also)
    return MATCH in asked and bool(recipe.caption.writers)


def _named_columns(recipe: Recipe) -> set[str]:
    """The measures that rules and writers' conditions name."""
    conditions = [writer.condition for writer in recipe.caption.writers.values()]
    return {column for rule in (*recipe.rules, *filter(None, conditions)) for column in rule.columns}


def read_plan(text: str, *, where: str) -> Plan:
    """The plan that dataset.toml holds. Raises UsageError if it is of a later version or broken."""
    try:
        table = tomllib.loads(text)
        version, fingerprints, recipe = table["schema_version"], table["fingerprints"], table["recipe"]
        measures, quantiles = tuple(table.get("measures", ())), table.get("quantiles", {})
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise UsageError(f"{where} is not a dataset's settings: {error}") from error
    if version != SCHEMA_VERSION:
        raise UsageError(
            f"{where}: schema version {version}; this hdvg reads {SCHEMA_VERSION}: use the hdvg that made it"
        )
    return Plan(parse_recipe(recipe, where=where), fingerprints, measures, quantiles)
