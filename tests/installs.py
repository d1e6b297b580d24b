"""Pythons that hold hdvg and its base dependencies and nothing else: no torch, no repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PACKAGES = ("hdvg", "pipelines", "schemas")


def project() -> dict[str, Any]:
    """The table `project` of today's pyproject.toml."""
    table: dict[str, Any] = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def linked(folder: Path) -> Path:
    """The Python of a new environment that sees this tree and, of this Python's packages, those of the base install only.

    Nothing is downloaded. Takes a second.
    """
    venv.create(folder / "venv", symlinks=True)
    (site,) = folder.glob("venv/lib/python*/site-packages")
    for entry in {path for one in _closure(project()["dependencies"]) for path in _entries(one)}:
        (site / entry.name).symlink_to(entry)
    for package in PACKAGES:
        (site / package).symlink_to(ROOT / package)
    (site / "hdvg-0.dist-info").mkdir()
    (site / "hdvg-0.dist-info/METADATA").write_text(_metadata(), encoding="utf-8")
    return folder / "venv/bin/python"


def build_wheel(folder: Path) -> Path:
    """A wheel of this tree, in the folder."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    tree = folder / "tree"
    tree.mkdir()
    for name in (*PACKAGES, "pyproject.toml", "README.md", "LICENSE"):
        subprocess.run(["cp", "-r", ROOT / name, tree], check=True)
    subprocess.run([*pip, "wheel", "--no-deps", "-w", folder, tree], check=True)
    (wheel,) = folder.glob("hdvg-*.whl")
    return wheel


def installed(folder: Path) -> Path:
    """The Python of a new environment into which a wheel of this tree was installed; takes minutes and the package index."""
    wheel = build_wheel(folder)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv/bin/python"
    subprocess.run(
        [python, "-m", "pip", "-q", "install", "-c", ROOT / "constraints.txt", wheel], check=True, cwd=folder
    )
    return python


def call_outside(python: Path, folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """`hdvg` of that Python, as typed in a folder outside of the repository."""
    program = "import sys; sys.argv[0] = 'hdvg'; from hdvg.cli import main; main()"
    dropped = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return subprocess.run(
        [python, "-I", "-c", program, *map(str, words)], cwd=folder, capture_output=True, text=True, timeout=600,
        env={name: value for name, value in os.environ.items() if name not in dropped},
    )  # fmt: skip


def _metadata() -> str:
    """What a wheel of this tree says of its packages."""
    lines = ["Metadata-Version: 2.4", "Name: hdvg", "Version: 0"]
    lines += [f"Requires-Dist: {one}" for one in project()["dependencies"]]
    for extra, listed in project()["optional-dependencies"].items():
        lines += [f"Provides-Extra: {extra}", *(f'Requires-Dist: {one} ; extra == "{extra}"' for one in listed)]
    return "\n".join(lines) + "\n"


def _closure(requirements: Sequence[str]) -> list[Distribution]:
    """The distributions that these requirements bring, and theirs in turn, as far as they are here."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        one = waiting.pop()
        wants_it = one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", *one.extras))
        if not wants_it or one.name.lower() in found:
            continue
        try:
            found[one.name.lower()] = distribution(one.name)
        except PackageNotFoundError:
            raise AssertionError(f"{one} is not installed: make test brings it") from None
        for text in found[one.name.lower()].requires or ():
            inner = Requirement(text)
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in ("", *one.extras)):
                waiting.append(inner)
    return list(found.values())


def _entries(one: Distribution) -> Iterator[Path]:
    """What the distribution put at the top of site-packages."""
    for name in {path.parts[0] for path in one.files or () if path.parts[0] not in ("..", "__pycache__")}:
        if not re.fullmatch(r"__editable__.*", name):
            yield Path(str(one.locate_file(name)))
