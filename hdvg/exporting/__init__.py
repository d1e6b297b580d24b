"""One file a format: the kept clips as other tools read them; this file says what a format is, and runs one.

Nothing heavy is imported here: pyarrow, DuckDB and the libraries of the formats load when an export begins.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from hdvg.errors import UsageError
from hdvg.exporting.layouts import LAYOUTS
from hdvg.exporting.piece import Piece as Piece
from hdvg.exporting.wanted import Wanted
from hdvg.ids import digest
from hdvg.registry import Find, Registry

if TYPE_CHECKING:
    from rich.console import Console

    from hdvg.dataset.dataset import Dataset
    from hdvg.dataset.far import Far
    from hdvg.dataset.store import FileOps
    from hdvg.exporting.job import Job

__all__ = ["FORMATS", "Format", "Piece", "Wanted", "export", "form_of"]

# name -> "module:Class" of a `Format`. The module imports nothing at its top that not every installation has.
FORMATS: dict[str, str] = {
    "hd-vg": "hdvg.exporting.hd_vg:HdVg",
    "webdataset": "hdvg.exporting.webdataset:Tars",
    "lance": "hdvg.exporting.lance:Fragments",
    "datasets": "hdvg.exporting.huggingface:HuggingFace",
    "croissant": "hdvg.exporting.huggingface:Described",
    **dict.fromkeys(LAYOUTS, "hdvg.exporting.folders:Folders"),
}

EXPORTER = Registry(
    called="format", group="hdvg.exporters", setting="--to", classes=FORMATS, extra="export", methods=("pieces",)
)
"""Where formats are found; a plug-in's class may do without `needs`."""


class Format(Protocol):
    """A way to lay clips out; made of a `Job`."""

    needs: ClassVar[Mapping[str, str]]
    """Modules that it cannot work without -> what people call them."""

    def __init__(self, job: Job) -> None: ...

    def pieces(self) -> list[Piece]:
        """Its files, in the order in which they are to be written: a later one may say of those before it what `job.look` knows."""


def export(
    dataset: Dataset,
    wanted: Wanted,
    console: Console,
    *,
    find: Find = importlib.util.find_spec,
    ops: FileOps | None = None,
    far: Far | None = None,
) -> dict[str, Any]:
    """Make the folder `wanted.out` hold exactly what is wanted; what is there already stays. The report, ready for JSON.

    With `far` it is that folder of a bucket which holds it, and `wanted.out` is only worked in.

    Raises UsageError on an unknown format, a missing package, a folder that holds something else, or nothing to export.
    """
    kind, form = EXPORTER.find(wanted.format, find=find), form_of(wanted, find=find)
    if wanted.all_given and wanted.format != "hd-vg":
        raise UsageError(f"--all-given exports metadata without clips, which is for --to hd-vg, not {wanted.format}")
    from hdvg.exporting.job import Job
    from hdvg.exporting.progress import Progress
    from hdvg.exporting.target import opened

    start = time.monotonic()
    with (
        opened(wanted.out, dataset=dataset.name, form=form, ops=ops, far=far) as target,
        Job.begin(dataset, wanted, target.look) as job,
    ):
        pieces = _by_code(kind(job).pieces(), EXPORTER.code(wanted.format))
        target.expect(pieces, {"where": wanted.where, "all_given": wanted.all_given})
        with Progress(console, sum(piece.clips for piece in pieces)) as progress:
            written = [piece.name for piece in pieces if progress.advance(piece, target.write(piece))]
        return {
            "dataset": dataset.name,
            "format": form,
            "out": str(wanted.out),
            **job.counts(),
            "files": len(pieces),
            "bytes": target.bytes(),
            "files_written": len(written),
            "seconds": round(time.monotonic() - start, 3),
        }


def form_of(wanted: Wanted, *, find: Find = importlib.util.find_spec) -> str:
    """The format as an export's mark has it. Raises UsageError on an unknown format or a missing package."""
    kind = EXPORTER.find(wanted.format, find=find)
    return kind.__name__ if EXPORTER.is_plugin(wanted.format) else wanted.format


def _by_code(pieces: list[Piece], code: str) -> list[Piece]:
    """The pieces, whose identities also change with a plug-in's code."""
    return [replace(piece, identity=digest(piece.identity, code)) for piece in pieces] if code else pieces
