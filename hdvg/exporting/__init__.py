"""One file a format: the kept clips as other tools read them; this file says what a format is, and runs one.

Nothing heavy is imported here: pyarrow, DuckDB and the libraries of the formats load when an export begins.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from hdvg.errors import UsageError
from hdvg.exporting.wanted import Wanted
from hdvg.registry import Find, find_class

if TYPE_CHECKING:
    from rich.console import Console

    from hdvg.dataset.dataset import Dataset
    from hdvg.dataset.store import FileOps
    from hdvg.exporting.job import Job

__all__ = ["FORMATS", "Format", "Piece", "Wanted", "export"]

# name -> "module:Class" of a `Format`. The module imports nothing at its top that not every installation has.
FORMATS: dict[str, str] = {
    "hd-vg": "hdvg.exporting.hd_vg:HdVg",
    "webdataset": "hdvg.exporting.webdataset:Tars",
    "lance": "hdvg.exporting.lance:Fragments",
    "datasets": "hdvg.exporting.huggingface:HuggingFace",
    "croissant": "hdvg.exporting.huggingface:Described",
}


@dataclass(frozen=True)
class Piece:
    """A file of an export: `write` makes it at the path it is given.

    `identity` changes with what it will hold. `clips` is how many of them count as done once it is there.
    """

    name: str
    identity: str
    clips: int
    write: Callable[[Path], object]


class Format(Protocol):
    """A way to lay clips out; made of a `Job`."""

    needs: ClassVar[Mapping[str, str]]
    """Modules that it cannot work without -> what people call them."""

    def __init__(self, job: Job) -> None: ...

    def pieces(self) -> list[Piece]:
        """Its files, in the order in which they are to be written: a later one may read those before it."""


def export(
    dataset: Dataset,
    wanted: Wanted,
    console: Console,
    *,
    find: Find = importlib.util.find_spec,
    ops: FileOps | None = None,
) -> dict[str, Any]:
    """Make the folder `wanted.out` hold exactly what is wanted; what is there already stays. The report, ready for JSON.

    Raises UsageError on an unknown format, a missing package, a folder that holds something else, or nothing to export.
    """
    if wanted.format not in FORMATS:
        raise UsageError(f"--to {wanted.format}: no such format; there are: {', '.join(FORMATS)}")
    kind = find_class(FORMATS, wanted.format, called="format", extra="export", find=find)
    if wanted.all_given and wanted.format != "hd-vg":
        raise UsageError(f"--all-given exports metadata without clips, which is for --to hd-vg, not {wanted.format}")
    from hdvg.exporting.job import Job
    from hdvg.exporting.progress import Progress
    from hdvg.exporting.target import opened

    start = time.monotonic()
    with (
        opened(wanted.out, dataset=dataset.root.name, form=wanted.format, ops=ops) as target,
        Job.begin(dataset, wanted) as job,
    ):
        pieces = kind(job).pieces()
        target.expect(pieces, {"where": wanted.where, "all_given": wanted.all_given})
        with Progress(console, sum(piece.clips for piece in pieces)) as progress:
            written = [piece.name for piece in pieces if progress.told(piece, target.write(piece))]
        return {
            "dataset": dataset.root.name,
            "format": wanted.format,
            "out": str(wanted.out),
            **job.counts(),
            "files": len(pieces),
            "bytes": target.bytes(),
            "files_written": len(written),
            "seconds": round(time.monotonic() - start, 3),
        }
