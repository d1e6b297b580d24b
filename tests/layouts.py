"""The datasets that released versions left, kept in tests/data, and commands as a user types them."""

from __future__ import annotations

import hashlib
import json
import tarfile
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
        tar.extractall(folder, filter="data")


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
