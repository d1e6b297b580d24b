"""A recipe: the settings of a whole run as one frozen, typed value, read from and written to TOML."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import tomli_w
from pydantic import Field, ValidationError, ValidationInfo, field_validator

from hdvg.config.caption import Caption
from hdvg.config.copies import Duplicates
from hdvg.config.cut import Cut
from hdvg.config.fetch import Fetch
from hdvg.config.rules import Rule, parse_rules
from hdvg.config.sections import Limits, Measure, Run, Shard, Split, Storage
from hdvg.config.settings import Settings
from hdvg.config.writers import MAIN
from hdvg.errors import UsageError, suggestion
from schemas.measures import CLUSTERED, HOMES, POOL

Kind = TypeVar("Kind", bound=Settings)
EXAMPLES = {"Recipe": "split.max_clip_s=20", "TrainRecipe": "run.minutes=2"}


class Recipe(Settings):
    """The settings of a whole run."""

    name: str = Field("custom", description="what the recipe is called, in reports and cards")
    about: str = Field("", description="what it is for, in a sentence")
    fetch: Fetch = Field(default_factory=Fetch)  # looks at the environment
    split: Split = Split()
    measure: Measure = Measure()
    duplicates: Duplicates = Duplicates()
    keep: dict[str, str] = Field(
        default_factory=dict, description="rules: a clip that breaks one is dropped, for its name"
    )
    cut: Cut = Cut()
    caption: Caption = Caption()
    shard: Shard = Shard()
    storage: Storage = Storage()
    limits: Limits = Limits()
    run: Run = Run()

    @field_validator("keep")
    @classmethod
    def _are_rules(cls, keep: dict[str, str], found: ValidationInfo) -> dict[str, str]:
        if "measure" in found.data:  # else that section is wrong, and said to be
            parse_rules(keep, found.data["measure"].columns)
        return keep

    @field_validator("caption")
    @classmethod
    def _has_previews(cls, caption: Caption, found: ValidationInfo) -> Caption:
        asking = [name for name, writer in caption.writers.items() if writer.frames]
        if asking and "measure" in found.data and not found.data["measure"].preview:
            of = "" if asking[0] == MAIN else f".also.{asking[0]}"
            raise ValueError(
                f"caption{of}.frames: frames are those of the previews, which are not kept: set measure.preview = true"
            )
        return caption

    @property
    def rules(self) -> tuple[Rule, ...]:
        """`keep`, read."""
        return parse_rules(self.keep, self.measure.columns)

    @property
    def named_columns(self) -> set[str]:
        """The measures that rules and writers' conditions name."""
        conditions = [writer.condition for writer in self.caption.writers.values()]
        return {column for rule in (*self.rules, *filter(None, conditions)) for column in rule.columns}

    @property
    def homes(self) -> set[str]:
        """The stages that fill these measures, and those that `measure.also` asks for."""
        return {self.measure.columns.homes[column] for column in self.named_columns} | set(self.measure.also)

    @property
    def wants_clusters(self) -> bool:
        """Whether a rule names what follows from clusters of embeddings, or `measure.also` asks for it: for the pool with embeddings."""
        clustered = {field.name for field in CLUSTERED}
        return bool(clustered & self.named_columns) or {POOL, HOMES["embedding"]} <= set(self.measure.also)

    def to_toml(self) -> str:
        """Every setting, defaults included; absent rules are left out (TOML has no null)."""
        return as_toml(self)


def as_toml(settings: Settings) -> str:
    """Every setting, defaults included; what is None is left out (TOML has no null)."""
    return tomli_w.dumps(settings.model_dump(exclude_none=True))


def load_recipe(path: Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe from a TOML file, then apply `section.key=value` overrides.

    Raises UsageError on unreadable TOML, an unknown key or a value out of range.
    """
    return parse(Recipe, read_toml(path), overrides, where=str(path))


def parse_recipe(table: Mapping[str, Any], overrides: Iterable[str] = (), *, where: str = "recipe") -> Recipe:
    """Validate a table of settings; see `load_recipe`."""
    return parse(Recipe, table, overrides, where=where)


def read_toml(path: Path) -> dict[str, Any]:
    """The table of a TOML file. Raises UsageError if it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"recipe {path}: {error}") from error


def parse(kind: type[Kind], table: Mapping[str, Any], overrides: Iterable[str] = (), *, where: str) -> Kind:
    """The settings of that kind in a table, with `section.key=value` overrides. Raises UsageError; see `load_recipe`."""
    merged: dict[str, Any] = copy.deepcopy(dict(table))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise UsageError(f"--set {override}: write section.key=value, such as --set {EXAMPLES[kind.__name__]}")
        *path, last = [part.strip('"') for part in re.findall(r'"[^"]*"|[^."]+', key.strip())] or [""]
        target = merged
        for part in path:
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                raise UsageError(
                    f"--set {override}: `{part}` is no section; see `hdvg recipe show {merged.get('name', '')}`".rstrip()
                )
        value = _toml_value(text.strip())
        if value is None:
            target.pop(last, None)
        else:
            target[last] = value
    try:
        return kind.model_validate(merged)
    except ValidationError as error:
        raise UsageError(f"{where}: " + "; ".join(_say(kind(), problem) for problem in error.errors())) from error


def _toml_value(text: str) -> Any:
    """`3`, `true`, `"x"` as TOML reads them; `null` is None; anything else is a string."""
    if text == "null":
        return None
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text


def _say(section: Any, problem: Any) -> str:
    """One validation problem, of what such settings are by default, in words a user can act on."""
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    if problem["type"] != "extra_forbidden":
        return f"`{path}` = {problem['input']!r}: {problem['msg'].lower()}"
    kind, entry = type(section), None
    for part in problem["loc"][:-1]:
        if entry is not None:  # the name of one of a table's
            kind, entry = entry, None
            continue
        kind = kind.model_fields[str(part)].annotation
        if get_origin(kind) is dict:
            entry = get_args(kind)[1]
    known = list(kind.model_fields)
    return f"`{path}` is no setting; {suggestion(str(problem['loc'][-1]), known, 'known: ' + ', '.join(known))}"
