"""The plan of a dataset: its resolved recipe and the fingerprints that name its parts."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tomli_w

from hdvg import shots
from hdvg.captioners import fingerprint as captioner_fingerprint
from hdvg.config import Recipe, parse_recipe
from hdvg.errors import UsageError
from hdvg.ids import settings_fingerprint
from schemas import SCHEMA_VERSION

STAGES = ("download", "split", "cut", "caption")
"""The stages that write parts, in order."""

VERSIONS = {"download": 1, "split": 2, "cut": 2, "caption": 1}
"""Raise a stage's number when its code changes what it writes: its parts then become new work."""


@dataclass(frozen=True)
class Plan:
    """What a dataset is made by: the recipe, and per stage the hash of all that shapes its results."""

    recipe: Recipe
    fingerprints: Mapping[str, str]

    @property
    def captions_wanted(self) -> bool:
        """Whether the recipe asks for captions at all."""
        return self.recipe.caption.captioner != "none"

    def to_toml(self) -> str:
        """The text of dataset.toml."""
        table: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "fingerprints": dict(self.fingerprints),
            "recipe": self.recipe.model_dump(exclude_none=True),
        }
        return tomli_w.dumps(table)


def make_plan(recipe: Recipe) -> Plan:
    """Fingerprint the stages. Raises UsageError if the captioner's model or the detector's package is not there.

    Only what shapes results counts. Limits (sizes, times, hosts) and resources do not: raising one is followed by
    `hdvg retry`, not by doing everything again. Filter thresholds shape no stage: they are part of a query.
    """
    shots.preload(recipe.split.detector)  # asked now, not when the first child starts
    download = settings_fingerprint("download", VERSIONS["download"], recipe.fetch.min_height_px, recipe.fetch.codec)
    split = settings_fingerprint("split", VERSIONS["split"], download, recipe.split.model_dump())
    cut = settings_fingerprint("cut", VERSIONS["cut"], split, recipe.cut.model_dump())
    caption = recipe.caption
    model = captioner_fingerprint(caption) if caption.captioner != "none" else ""
    shaping = caption.model_dump(exclude={"batch"})
    return Plan(
        recipe,
        {
            "download": download,
            "split": split,
            "cut": cut,
            "caption": settings_fingerprint("caption", VERSIONS["caption"], split, shaping, model),
        },
    )


def read_plan(text: str, *, where: str) -> Plan:
    """The plan that dataset.toml holds. Raises UsageError if it is of a later version or broken."""
    try:
        table = tomllib.loads(text)
        version, fingerprints, recipe = table["schema_version"], table["fingerprints"], table["recipe"]
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise UsageError(f"{where} is not a dataset's settings: {error}") from error
    if version != SCHEMA_VERSION:
        raise UsageError(
            f"{where}: schema version {version}; this hdvg reads {SCHEMA_VERSION}: use the hdvg that made it"
        )
    return Plan(parse_recipe(recipe, where=where), fingerprints)
