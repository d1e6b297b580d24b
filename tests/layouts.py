"""The datasets that released versions left, kept in tests/data, and commands as a user types them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from hdvg.cli import app

PACKED = sorted(Path(__file__).parent.glob("data/*.tar.xz"))
VERSIONS = [path.name.removesuffix(".tar.xz") for path in PACKED]
DATASETS = ("linked", "imported")


def unpack(version: str, folder: Path) -> None:
    """Put that version's `DATASETS` into the folder."""
    with tarfile.open(PACKED[VERSIONS.index(version)]) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.4 and later
        tar.extractall(folder)


def call(*words: object) -> str:
    """What a command prints. It must end with exit code 0."""
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == 0, (words, result.output)
    return result.stdout


def asked(root: Path, sql: str) -> list[dict[str, Any]]:
    """The rows that `hdvg query` gives."""
    rows: list[dict[str, Any]] = json.loads(call("query", root, sql, "--json"))
    return rows


def files(root: Path) -> dict[str, str]:
    """Hash of every file that a run may write for work that is done: all but settings, views and reports."""
    folders = ("inputs", "given", "rejected", "parts", "media", "shards", "tombstones")
    paths = [path for folder in folders for path in sorted((root / folder).rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


ROOT = Path(__file__).parent.parent

GROWN = (
    ("schemas/videos.py", '    column("fetched_at",', '    column("odd_fetched", STR, "x", later=True),\n'),
    ("schemas/clips.py", '    column("keyframes",', '    column("odd_span", INT, "x", later=True),\n'),
    ("schemas/pass_measures.py", '    column("duration_s",', '    column("odd_measure", REAL, "x", later=True),\n'),
)
"""File of the tree, how a line of it begins, and the line to put before it: a column for each of three tables."""

ADDED = (
    ("pipelines/graph.py", "webpage_url info_duration_s", "odd_fetched webpage_url info_duration_s"),
    ("pipelines/graph.py", "closes_with closes_frames", "odd_span closes_with closes_frames"),
    ("pipelines/stages.py", '"bytes": size, ', '"bytes": size, "odd_fetched": "new", '),
    (
        "pipelines/stages.py",
        'same = {"keyframes": keyframes, ',
        'same = {"odd_span": 7, "odd_measure": 0.5, "keyframes": keyframes, ',
    ),
)
"""File of the tree, a text of it, and what takes its place: the stages fill the columns."""


def grown_tree(folder: Path) -> Path:
    """A copy of the code with three columns more, and their values."""
    return changed_tree(folder, [(name, start, line + start) for name, start, line in GROWN] + list(ADDED))


def changed_tree(folder: Path, changes: Iterable[tuple[str, str, str]]) -> Path:
    """A copy of the code in which texts of files, each of which stands there once, are others."""
    for package in ("schemas", "hdvg", "pipelines"):
        shutil.copytree(ROOT / package, folder / package)  # with what is compiled: times are copied too
    for name, before, after in changes:
        text = (folder / name).read_text(encoding="utf-8")
        assert text.count(before) == 1, (name, before)
        (folder / name).write_text(text.replace(before, after), encoding="utf-8")
    return folder


COMMANDS = """
import functools, json, os, resource, sys
import typer.testing
from typer.testing import CliRunner
from hdvg.cli import app
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what is printed outside of a command is no answer
held = resource.getrlimit(resource.RLIMIT_AS)
typer.testing._get_command = functools.cache(typer.testing._get_command)
for line in sys.stdin:
    result = CliRunner().invoke(app, json.loads(line))
    print(json.dumps([result.exit_code, result.stdout, f"{result.output} {result.exception!r}"]), file=answers, flush=True)
    resource.setrlimit(resource.RLIMIT_AS, held)  # `hdvg query` bounds its process for good
"""
"""Runs commands one after the other: to start a process and its limited children takes longer than most commands."""


class _Process:
    """The code of a tree at work, until its input is closed."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self._popen = subprocess.Popen(
            [sys.executable, "-c", COMMANDS],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def call(self, words: list[str]) -> tuple[int, str, str]:
        """Exit code, what was printed, and that with errors."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.write(json.dumps(words) + "\n")
        self._popen.stdin.flush()
        line = self._popen.stdout.readline()
        assert line, f"the code in {self.tree} ended with {self._popen.wait()}"
        code, printed, told = json.loads(line)
        return code, printed, told

    def close(self) -> None:
        """Let it end."""
        self._popen.communicate()


_latest: list[_Process] = []
"""At most one: trees are used one after the other."""


def call_in(tree: Path, *words: object) -> str:
    """What a command of the code in `tree` prints; the code is read at the first one. It must end with exit code 0."""
    if _latest and _latest[0].tree != tree:
        _latest.pop().close()
    if not _latest:
        _latest.append(_Process(tree))
    code, printed, told = _latest[0].call([*map(str, words)])
    assert code == 0, (words, told)
    return printed
