"""One file a format: the kept clips as other tools read them; this file says what a format is, and runs one.

Nothing heavy is imported here: pyarrow, DuckDB and the libraries of the formats load when an export begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from hdvg.errors import UsageError
from hdvg.exporting.layouts import LAYOUTS
from hdvg.exporting.piece import Piece as Piece
from hdvg.exporting.wanted import Wanted
from hdvg.ids import digest
from hdvg.registry import Registry

if TYPE_CHECKING:
    from rich.console import Console

    from hdvg.dataset.dataset import Dataset
    from hdvg.dataset.far import Far
    from hdvg.dataset.store import FileOps
    from hdvg.exporting.job import Job
    from hdvg.exporting.target import Target

__all__ = ["FORMATS", "Format", "Piece", "Wanted", "WriteAll", "export", "form_of", "in_turn"]

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


WriteAll = Callable[["Target", Sequence[Piece]], Iterator[tuple[Piece, bool]]]
"""Writes the files of an export, and gives each as it is there, with whether it is new."""


class Format(Protocol):
    """A way to lay clips out; made of a `Job`."""

    needs: ClassVar[Mapping[str, str]]
    """Modules that it cannot work without -> what people call them."""

    def __init__(self, job: Job) -> None: ...

    def pieces(self) -> list[Piece]:
        """Its files, in the order in which they are to be written, but for those `anywhere`, which may come first: a later one may say
        of those before it what `job.look` knows."""


def export(
    dataset: Dataset,
    wanted: Wanted,
    console: Console,
    *,
    write_all: WriteAll | None = None,
    ops: FileOps | None = None,
    far: Far | None = None,
) -> dict[str, Any]:
    """Make the folder `wanted.out` hold exactly what is wanted; what is there already stays. The report, ready for JSON.

    With `far` it is that folder of a bucket which holds it, and `wanted.out` is only worked in.
    `write_all` writes the files, in this process by default.

    Raises UsageError on an unknown format, a missing package, a folder that holds something else, or nothing to export.
    """
    kind, form = EXPORTER.find(wanted.format), form_of(wanted)
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
        pieces = _of_plugin(kind(job).pieces(), EXPORTER.code(wanted.format))
        target.expect(pieces, {"where": wanted.where, "all_given": wanted.all_given})
        with Progress(console, sum(piece.clips for piece in pieces)) as progress:
            all_of_them = (write_all or in_turn)(target, pieces)
            written = [piece.name for piece, is_new in all_of_them if progress.advance(piece, is_new)]
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


def form_of(wanted: Wanted) -> str:
    """The format as an export's mark has it: of a plug-in the name of its class. Raises UsageError on an unknown format."""
    name = wanted.format
    return EXPORTER.reference(name).attribute if EXPORTER.is_plugin(name) else name


def in_turn(target: Target, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, bool]]:
    """One after the other, in this process."""
    return ((piece, target.write(piece)) for piece in pieces)


def _of_plugin(pieces: list[Piece], code: str) -> list[Piece]:
    """The pieces; those of a plug-in, which has `code`, change with it, and are written in this process alone."""
    return [replace(one, identity=digest(one.identity, code), anywhere=False) for one in pieces] if code else pieces
