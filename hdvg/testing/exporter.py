"""What every export format keeps: files that are whole and told, done once, and the same for the same clips."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from hdvg.dataset.dataset import Dataset
from hdvg.exporting import Wanted, export
from hdvg.exporting.target import MARK


def check_exporter(name: str, dataset: str | Path) -> None:
    """Check the format of that name by exporting a small finished dataset, such as `hdvg run demo` makes, some times."""
    opened = Dataset.open(Path(dataset))
    with tempfile.TemporaryDirectory() as folder:
        out, other = Path(folder) / "out", Path(folder) / "other"
        first = _export(opened, name, out)
        held = _held(out)
        assert first["files"] == len(held), f"{first['files']} pieces, but the folder holds {sorted(held)}"
        assert first["clips"] > 0, f"{dataset} has no clip to export: take another"
        assert _export(opened, name, out)["files_written"] == 0, "an unchanged export writes its files again"
        _export(opened, name, other)
        assert _held(other) == held, "the same clips give other bytes the second time"
        missing = sorted(held)[0]
        (out / missing).unlink()
        assert _export(opened, name, out)["files_written"] == 1, f"only {missing} was missing"
        assert _held(out) == held, f"{missing} written again holds other bytes"


def _export(dataset: Dataset, name: str, out: Path) -> dict[str, Any]:
    return export(dataset, Wanted(name, out), Console(quiet=True))


def _held(out: Path) -> dict[str, str]:
    """The files of an export, but for its mark, with their hashes."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != MARK
    }
