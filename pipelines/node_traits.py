"""What must be the same on every node of a cluster: Python, hdvg's code, packages, models, and the dataset's folder."""

from __future__ import annotations

import hashlib
import importlib.util
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.following import root_here
from hdvg.environment import VERSION
from hdvg.errors import HdvgError, UsageError, first_line
from hdvg.planning import make_plan
from hdvg.reports.doctor import BASE, EXTRAS

OURS = ("schemas", "hdvg", "pipelines")
CODE = {".py", ".sql"}
MISSING = "missing"
OPTIONAL = tuple(dict.fromkeys(name for extra in ("caption", "shots", "measure") for name in EXTRAS[extra]))
"""Packages of extras: where one is missing that the recipe needs, the models say so."""


@cache
def code() -> str:
    """The version of hdvg and 12 hex digits of its code as it lies on this machine."""
    whole = hashlib.sha256()
    for package in OURS:
        for folder in map(Path, _folders(package)):
            for path in sorted(path for path in folder.rglob("*") if path.suffix in CODE):
                whole.update(f"{package}/{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return f"{VERSION}, code {whole.hexdigest()[:12]}"


def refuse_other_code(wanted: str) -> None:
    """Raise UsageError if this process runs other code than the driver, `wanted`; "" is any."""
    if wanted and code() != wanted:
        raise UsageError(f"node {platform.node()}: hdvg: {code()} there, {wanted} here; {REMEDY}")


REMEDY = (
    "install the same on all nodes (one image, or one environment on a shared folder), then run the same command again"
)


def traits(root: str, run: str, recipe: Mapping[str, Any]) -> dict[str, str]:
    """What this machine has for the run of that name over the dataset at `root`: name -> text to be compared and shown."""
    found = {"Python": platform.python_version().rpartition(".")[0], "hdvg": code()}
    found |= {name: _version(name) for name in (*BASE, *OPTIONAL)}
    folder = Path(root)
    is_same = (folder / "tmp" / run).is_dir()
    found["the dataset's folder"] = "seen" if is_same else "another one of that path" if folder.exists() else "missing"
    return found | _models(folder, recipe)


def traits_over(root: str, run: str, recipe: Mapping[str, Any], link: str | None) -> dict[str, str]:
    """As `traits`; of a dataset in a bucket over this node's mirror, which is made. What keeps it from that is all that is said."""
    try:
        return traits(root if link is None else str(root_here(link, run, fresh=True)), run, recipe)
    except HdvgError as error:
        return {"hdvg": str(error)}


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """What a node has otherwise than this machine, each in some words."""
    found = []
    for name, mine in here.items():
        other = there.get(name, MISSING)
        if other != mine and not (name in OPTIONAL and MISSING in (other, mine)):
            found.append(f"{name}: {other} there, {mine} here")
    return found


def _models(folder: Path, recipe: Mapping[str, Any]) -> dict[str, str]:
    """Of each stage what names its parts, which changes with its model; one line if a model, or what it needs, is missing."""
    try:
        plan = make_plan(parse_recipe(recipe), root=folder)
    except HdvgError as error:
        return {"what the recipe needs": first_line(error)}
    return {"what the recipe needs": "complete"} | {
        f"the model of {name}": one for name, one in plan.fingerprints.items()
    }


def _version(name: str) -> str:
    try:
        return version(name).partition("+")[0]  # 2.13.0+cpu is 2.13.0
    except PackageNotFoundError:
        return MISSING


def _folders(package: str) -> list[str]:
    found = importlib.util.find_spec(package)
    return list(found.submodule_search_locations or ()) if found else []
