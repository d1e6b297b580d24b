"""The plan of a dataset: its resolved recipe, the fingerprints that name its parts, and the stages that follow from them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import tomli_w

from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.config.rules import Verdicts
from hdvg.dataset.layout import LAYOUT, check_layout
from hdvg.dataset.migrations import migrate
from hdvg.dataset.stages import LEARNED, MATCH, POOL, REMEASURE, comes_before, entry_of, stage_names
from hdvg.errors import UsageError
from schemas import SCHEMA_VERSION
from schemas.measures import CAPTION_STAGES, HOMES


@dataclass(frozen=True)
class Plan:
    """What a dataset is made by: the recipe, and per stage the hash of all that shapes its results."""

    recipe: Recipe
    fingerprints: Mapping[str, str]
    measures: tuple[str, ...] = ()
    """The keyframe measures to take, in the order they are taken."""
    quantiles: Mapping[str, float] = field(default_factory=dict)
    """The values of the rules' quantiles over the dataset, as far as they are known."""
    has_ledger: bool = field(default=True, compare=False)
    """Whether the dataset keeps a ledger: every run begins or brings one, but for those of the first versions."""

    @property
    def known_stages(self) -> tuple[str, ...]:
        """All that write parts, in order, the pool's among them; one that this hdvg knows and the dataset not yet is left out."""
        return tuple(name for name in stage_names(self.recipe, self.measures) if name in self.fingerprints)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that the graph runs, unit by unit, in order."""
        return tuple(name for name in self.known_stages if entry_of(name).parts == "unit")

    @property
    def after(self) -> tuple[str, ...]:
        """The stages behind the pool, in order."""
        return tuple(name for name in self.stages if comes_before(POOL, name))

    @property
    def writing(self) -> tuple[str, ...]:
        """The stages that write captions, each followed by the one that matches them with pictures, if that is wanted."""
        return tuple(name for name in self.stages if entry_of(name).per == "writer")

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
        """Whether a rule, a writer's condition, or the recipe asks for what is known of a clip only beside all others."""
        return POOL in self.recipe.homes

    @property
    def verdicts(self) -> Verdicts:
        """The SQL of the verdicts."""
        new = [one for one in self.recipe.measure.taken if one.is_new]
        alone = tuple(one.name for stage in (REMEASURE, LEARNED) for one in new if one.stage == stage)
        late = frozenset({*CAPTION_STAGES, *(one.name for one in new if one.is_late)})
        return Verdicts(self.recipe.rules, self.measures, self.quantiles, alone, late)

    @property
    def captions_wanted(self) -> bool:
        """Whether the recipe asks for captions at all."""
        return bool(self.recipe.caption.writers)

    def to_toml(self) -> str:
        """The text of dataset.toml."""
        table: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            **({"layout": LAYOUT} if LAYOUT > 1 else {}),
            "ledger": True,
            "fingerprints": dict(self.fingerprints),
            "measures": list(self.measures),
            "quantiles": dict(self.quantiles),
            "recipe": self.recipe.model_dump(exclude_none=True),
        }
        return tomli_w.dumps(table)


def match_wanted(recipe: Recipe) -> bool:
    """Whether texts are to be matched with pictures: a rule or a writer's `where` asks for it, or the recipe does."""
    return entry_of(MATCH).is_wanted(recipe)


def read_plan(text: str, *, where: str) -> Plan:
    """The plan that dataset.toml holds, whichever version wrote it. Raises UsageError if it is of a later one or broken."""
    try:
        table = tomllib.loads(text)
        version, layout = table["schema_version"], table.get("layout", 1)
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise UsageError(f"{where} is not a dataset's settings: {error}") from error
    if version != SCHEMA_VERSION:
        raise UsageError(
            f"{where}: schema version {version}; this hdvg reads {SCHEMA_VERSION}: use the hdvg that made it"
        )
    check_layout(layout, where=where)
    table = migrate(table, layout)
    try:
        recipe, fingerprints = table["recipe"], table["fingerprints"]
    except KeyError as error:
        raise UsageError(f"{where} is not a dataset's settings: {error}") from error
    measures, quantiles = tuple(table.get("measures", ())), table.get("quantiles", {})
    has_ledger = table.get("ledger") is True
    return Plan(parse_recipe(recipe, where=where), fingerprints, measures, quantiles, has_ledger)
