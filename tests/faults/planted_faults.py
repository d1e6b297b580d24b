"""Planted bugs: each is put into a copy of the tree, and one named test must fail there, which passes without it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.faults.tally import Asked, Tally

ROOT = Path(__file__).resolve().parents[2]
TREES = ("hdvg", "pipelines", "schemas", "tests")
SLICE_EVERY = 6
TEST_S = 300


@dataclass(frozen=True)
class Bug:
    """A snippet that stands once in a file, what takes its place, and the test that must notice.

    `waits`: the part of the house that brings the snippet, where that is still to come.
    """

    name: str
    file: str
    old: str
    new: str
    test: str
    waits: str = ""

    def fault(self, root: Path) -> str | None:
        """Why it cannot be planted in that tree, or None."""
        path = root / self.file
        count = path.read_text(encoding="utf-8").count(self.old) if path.exists() else 0
        if count != 1:
            return f"its snippet stands {count} times in {self.file}, not once: write it anew, it is no longer planted"
        test = root / self.test.partition("::")[0]
        name = self.test.partition("::")[2].partition("[")[0]
        if not test.exists() or f"def {name}" not in test.read_text(encoding="utf-8"):
            return f"its test {self.test} is not there"
        return None

    def plant(self, root: Path) -> None:
        path = root / self.file
        path.write_text(path.read_text(encoding="utf-8").replace(self.old, self.new), encoding="utf-8")


def bugs() -> list[Bug]:
    """All that are described beside this file."""
    return [
        Bug(**entry)
        for path in sorted((ROOT / "tests/faults/planted").glob("*.toml"))
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["bug"]
    ]


def copied(target: Path) -> Path:
    """A copy of the tree."""
    for name in TREES:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.xz"))
    shutil.copy(ROOT / "pyproject.toml", target)
    return target


def run_tests(root: Path, tests: Sequence[str]) -> tuple[bool, str]:
    """Whether the tests pass in the tree at `root`, and pytest's last words. Nothing of this tree is imported."""
    words = [sys.executable, "-m", "pytest", "-n0", "-x", "-q", "-p", "no:cacheprovider", "-m", "", *tests]
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            words, cwd=root, env=environment, capture_output=True, text=True, timeout=TEST_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False, f"no end in {TEST_S} s"
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0, done.stdout[-2000:]


def run(asked: Asked, tally: Tally) -> None:
    """Plant them, two at a time; a test that fails without its bug proves nothing and is a failure too."""
    chosen = [bug for bug in bugs() if asked.takes(bug.name)][:: SLICE_EVERY if asked.slice else 1]
    tally.add("planted", len(chosen))
    ready = []
    for bug in chosen:
        if told := bug.fault(ROOT):
            tally.fail(f"{bug.name}: {f'waits for {bug.waits}: ' if bug.waits else ''}{told}")
        else:
            ready.append(bug)
    clean = copied(asked.scratch / "clean")
    with ThreadPoolExecutor(2) as pool:
        sound = dict(pool.map(lambda test: (test, run_tests(clean, [test])), sorted({bug.test for bug in ready})))
        caught = pool.map(lambda pair: _is_caught(pair[1], asked.scratch / str(pair[0])), enumerate(ready))
        for bug, noticed in zip(ready, caught, strict=True):
            if not sound[bug.test][0]:
                tally.fail(f"{bug.name}: {bug.test} fails without the bug: {sound[bug.test][1]}")
            elif not noticed:
                tally.fail(f"{bug.name}: not caught by {bug.test}")
            else:
                tally.add("planted_caught")


def _is_caught(bug: Bug, place: Path) -> bool:
    root = copied(place)
    bug.plant(root)
    passed, _ = run_tests(root, [bug.test])
    shutil.rmtree(place)
    return not passed


def waiting() -> Iterator[Bug]:
    """Those whose snippet another part is still to bring."""
    return (bug for bug in bugs() if bug.waits)
