"""Rules that are only tried: what they would keep, two of them beside each other, and the recipe that they are saved as."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from hdvg.config.recipe import load_recipe, parse_recipe, read_toml
from hdvg.config.rules import Rule
from hdvg.errors import UsageError
from hdvg.explore.counting import choose, each_piece, total
from hdvg.explore.grid import FIRST, described
from hdvg.explore.groups import grouping
from hdvg.explore.masks import Asking, Mask
from hdvg.explore.selection import Selection, read_rules
from hdvg.explore.state import State
from hdvg.filtering.whatif import what_if

NAME = re.compile(r"[a-z0-9_-]{1,60}")


class TakenError(UsageError):
    """A file of that name is there already."""

    status = 409


class UnknownError(UsageError):
    """There is nothing of that name."""

    status = 404


def suppose(state: State, given: Any, asking: Asking) -> dict[str, Any]:
    """What `hdvg filter --what-if` reports of these rules, without clips; what is left after each, and the command to copy."""
    rules = read_rules(given, state.dataset.plan)
    keep = {rule.name: rule.text for rule in rules}
    with state.connection.cursor() as cursor:
        try:
            by_masks, quantiles = grouping(state, asking), state.resolved(rules)
            made = what_if(cursor, state.dataset.plan, keep, quantiles=quantiles, grouped=by_masks, nearest=False)
            found = asdict(made)
        except duckdb.Error as error:
            raise UsageError(str(error).splitlines()[0]) from None
    del found["nearest"]
    found["funnel"] = _funnel(state, rules, asking)
    sets = [part for one in found["sets"] for part in ("--set", one)]
    found["command"] = shlex.join(["hdvg", "filter", str(state.dataset.root), *sets]) if sets else None
    return found


def compare(state: State, body: Mapping[str, Any], selection: Selection, asking: Asking) -> dict[str, Any]:
    """What two drafts keep: both, neither, and each alone, with the first clips of these."""
    a, b = (read_rules(body.get(side), state.dataset.plan) for side in ("a", "b"))
    inside = choose(state, selection, {}, asking).mask
    keeps_a, keeps_b = _kept(state, a, asking), _kept(state, b, asking)
    sets = {"both": keeps_a & keeps_b, "neither": ~keeps_a & ~keeps_b, "only_a": keeps_a & ~keeps_b, "only_b": keeps_b & ~keeps_a}  # fmt: skip
    found: dict[str, Any] = {}
    for name, mask in sets.items():
        clips, hours = total(state.sidecar, mask & inside)
        found[name] = {"clips": clips, "hours": hours}
    for side, other in (("a", b), ("b", a)):
        first = np.flatnonzero(sets[f"only_{side}"] & inside)[:FIRST].tolist()
        found[f"rows_only_{side}"] = described(state, first, rules=other)
    of_a, of_b = ({rule.name: rule.text for rule in rules} for rules in (a, b))
    names = [name for name in dict.fromkeys([*of_a, *of_b]) if of_a.get(name) != of_b.get(name)]
    return found | {"changed": [{"rule": name, "a": of_a.get(name), "b": of_b.get(name)} for name in names]}


def save(state: State, folder: Path, body: Mapping[str, Any]) -> dict[str, Any]:
    """Write the dataset's recipe with these rules into the folder, as a new file. Raises TakenError if there is one."""
    name = body.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UsageError(f"name = {str(name)[:80]!r}: small letters, digits, _ and -, at most 60")
    rules = read_rules(body.get("rules"), state.dataset.plan)
    table = state.dataset.plan.recipe.model_dump(exclude_none=True)
    table |= {"name": name, "keep": {rule.name: rule.text for rule in rules}}
    text, path = parse_recipe(table).to_toml(), folder / f"{name}.toml"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise TakenError(f"{path.name} is there already: choose another name") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; start `hdvg explore` in a folder that takes files") from None
    command = shlex.join(["hdvg", "filter", str(state.dataset.root), "--recipe", str(path)])
    return {"file": str(path), "toml": text, "command": command}


def recipes(folder: Path) -> list[dict[str, str]]:
    """Those of the folder, by name."""
    return [
        {"name": path.stem} for path in sorted(folder.glob("*.toml")) if NAME.fullmatch(path.stem) and _is_recipe(path)
    ]


def rules_of(folder: Path, name: str) -> dict[str, Any]:
    """The rules of a recipe of the folder. Raises UnknownError if there is none of that name."""
    if not NAME.fullmatch(name) or not (folder / f"{name}.toml").is_file():
        raise UnknownError(f"no recipe {name[:80]!r} in {folder}")
    return {"name": name, "rules": load_recipe(folder / f"{name}.toml").keep}


def _is_recipe(path: Path) -> bool:
    try:
        return isinstance(read_toml(path).get("keep"), dict)
    except UsageError:
        return False


def _funnel(state: State, rules: tuple[Rule, ...], asking: Asking) -> list[dict[str, Any]]:
    """Clips that are left after each rule, in turn."""
    quantiles, lengths = state.quantiles(rules), state.sidecar.lengths_s
    first = np.full(len(lengths), len(rules), np.uint8)  # the rule that a clip breaks first, counted from 0
    for place in reversed(range(len(rules))):
        passes = state.masks.rule(rules[place], quantiles, asking)
        first = np.where(passes, first, np.uint8(place))
    clips, seconds = np.zeros(len(rules) + 1, np.int64), np.zeros(len(rules) + 1)
    for some, of_some in each_piece(functools.partial(_fallen, first, lengths), len(first), asking):
        clips[: len(some)] += some
        seconds[: len(of_some)] += of_some
    left, left_s = clips.sum() - np.cumsum(clips), seconds.sum() - np.cumsum(seconds)
    return [
        {"rule": rule.name, "clips": int(left[place]), "hours": float(left_s[place]) / 3600}
        for place, rule in enumerate(rules)
    ]


def _fallen(first: NDArray[np.uint8], lengths: NDArray[np.float64], piece: slice) -> tuple[Any, Any]:
    return np.bincount(first[piece]), np.bincount(first[piece], lengths[piece])


def _kept(state: State, rules: tuple[Rule, ...], asking: Asking) -> Mask:
    kept, quantiles = np.ones(len(state.sidecar.lengths_s), bool), state.quantiles(rules)
    for rule in rules:
        kept &= state.masks.rule(rule, quantiles, asking)
    return kept
