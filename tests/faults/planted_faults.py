"""Planted bugs: each is put into a copy of the tree, and one named test must fail there, which passes without it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.tally import Asked, Tally

ROOT = Path(__file__).resolve().parents[2]
TREES = ("hdvg", "pipelines", "schemas", "tests")
SLICE_EVERY = 6
TEST_S = 300.0
SLOWER, LEAST_S = 8, 40.0
"""With its bug, a test that takes so many times as long as without, and so many seconds, hangs: that is caught too."""
FILE_BYTES = 2**30


@dataclass(frozen=True)
class Place:
    """A snippet that stands once in a file, and what takes its place."""

    file: str
    old: str
    new: str

    def count(self, root: Path) -> int:
        """How often it stands there."""
        path = root / self.file
        return path.read_text(encoding="utf-8").count(self.old) if path.exists() else 0


@dataclass(frozen=True)
class Bug:
    """What is done wrong, at the one of its places that this tree has, and the test that must notice."""

    name: str
    test: str
    places: tuple[Place, ...]

    @classmethod
    def of(cls, entry: dict[str, Any]) -> Bug:
        """As the files tell it: `or` lists further places."""
        first = {name: entry[name] for name in ("file", "old", "new")}
        places = tuple(Place(**one) for one in (first, *entry.get("or", ())))
        return cls(entry["name"], entry["test"], places)

    def place(self, root: Path) -> Place | None:
        """Where it can be planted in that tree; None if that is nowhere, or not plain."""
        found = [place for place in self.places if place.count(root) > 0]
        return found[0] if len(found) == 1 and found[0].count(root) == 1 else None

    def fault(self, root: Path) -> str | None:
        """Why it cannot be planted in that tree, or None."""
        if self.place(root) is None:
            files = ", ".join(f"{place.count(root)} times in {place.file}" for place in self.places)
            return f"its snippet stands {files}, not once: write it anew, it is no longer planted"
        test = root / self.test.partition("::")[0]
        name = self.test.partition("::")[2].partition("[")[0]
        if not test.exists() or f"def {name}(" not in test.read_text(encoding="utf-8"):
            return f"its test {self.test} is not there"
        return None

    def plant(self, root: Path) -> None:
        place = self.place(root)
        assert place is not None
        path = root / place.file
        path.write_text(path.read_text(encoding="utf-8").replace(place.old, place.new), encoding="utf-8")


def bugs() -> list[Bug]:
    """All that are described beside this file."""
    return [
        Bug.of(entry)
        for path in sorted((ROOT / "tests/faults/planted").glob("*.toml"))
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["bug"]
    ]


def copied(target: Path) -> Path:
    """A copy of the tree."""
    for name in TREES:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.xz"))
    shutil.copy(ROOT / "pyproject.toml", target)
    return target


def run_tests(root: Path, tests: Sequence[str], limit_s: float = TEST_S) -> tuple[bool, str]:
    """Whether the tests pass in the tree at `root`, and pytest's last words. Nothing of this tree is imported."""
    words = [sys.executable, "-m", "pytest", "-n0", "-x", "-q", "-p", "no:cacheprovider", "-m", "", *tests]
    words = ["prlimit", f"--fsize={FILE_BYTES}", *words]  # a planted bug may be one that fills the disk
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            words, cwd=root, env=environment, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        return False, f"no end in {limit_s:.0f} s"
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0, done.stdout[-2000:]


def run(asked: Asked, tally: Tally) -> None:
    """Plant them; a test that fails without its bug proves nothing and is a failure too."""
    chosen = [bug for bug in bugs() if asked.takes(bug.name)][:: SLICE_EVERY if asked.slice else 1]
    tally.add("planted", len(chosen))
    ready = []
    for bug in chosen:
        if told := bug.fault(ROOT):
            tally.fail(f"{bug.name}: {told}")
        else:
            ready.append(bug)
    clean = copied(asked.scratch / "clean")
    with ThreadPoolExecutor(1) as pool:
        sound = dict(pool.map(lambda test: (test, _timed(clean, test)), sorted({bug.test for bug in ready})))
        caught = pool.map(
            lambda pair: _is_caught(pair[1], asked.scratch / str(pair[0]), sound[pair[1].test][2]), enumerate(ready)
        )
        for bug, noticed in zip(ready, caught, strict=True):
            if not sound[bug.test][0]:
                tally.fail(f"{bug.name}: {bug.test} fails without the bug: {sound[bug.test][1]}")
            elif not noticed:
                tally.fail(f"{bug.name}: not caught by {bug.test}")
            else:
                tally.add("planted_caught")
            print(f"  {bug.name}: {'caught' if noticed else 'NOT CAUGHT'} by {bug.test}", file=sys.stderr, flush=True)


def _timed(root: Path, test: str) -> tuple[bool, str, float]:
    start = time.monotonic()
    return *run_tests(root, [test]), time.monotonic() - start


def _is_caught(bug: Bug, place: Path, sound_s: float) -> bool:
    root = copied(place)
    bug.plant(root)
    passed, _ = run_tests(root, [bug.test], max(SLOWER * sound_s, LEAST_S))
    shutil.rmtree(place)
    return not passed
