"""Formats of trainers: clips as files, their texts, an index, as the table of layouts says; one mechanism for all of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from hdvg.exporting import Piece
from hdvg.exporting.card import readme
from hdvg.exporting.job import Job
from hdvg.exporting.layouts import LAYOUTS
from hdvg.ids import digest

VERSION = 1
"""Raise it when the same clips come to be laid out otherwise."""

UNFIT = "unfit.csv"
UNFIT_COLUMNS = pa.schema(
    [("clip_id", pa.string()), ("frames", pa.int64()), ("used", pa.int64()), ("why", pa.string())]
)

_ROWS = "select * replace (coalesce(caption, '') as caption), {name} as name, {path} as path, {frames} as frames from exported"

_PLACES = "select clip_id, shard, row, split, clip_sha256, caption from exported order by shard, row"

_UNFIT = (
    "select clip_id, frames, used, case when used = 0 then 'left out: shorter than {least} frames' "
    "else 'the trainer takes ' || used || ' of its frames' end as why "
    "from held semi join kept using (clip_id) where used < frames order by used > 0, clip_id"
)


class Folders:
    """`<split>/…`: files as the format's layout names them, and `unfit.csv`: the clips of which it does not take every frame."""

    needs: ClassVar[dict[str, str]] = {}

    def __init__(self, job: Job) -> None:
        self._job, self._layout = job, LAYOUTS[job.wanted.format]

    def pieces(self) -> list[Piece]:
        """Clip by clip its files, then the index of each split, then what concerns all."""
        clips = self._clips()
        made = {split: [*pieces, *self._index(split, pieces)] for split, pieces in clips.items()}
        whole = [piece for pieces in made.values() for piece in pieces]
        if self._job.wanted.format == "videofolder":
            whole.append(readme(self._job, made, pattern="{split}/**"))
        return [*whole, *self._unfit()]

    def _clips(self) -> dict[str, list[Piece]]:
        """Split -> the files of its clips."""
        made: dict[str, list[Piece]] = {}
        for row in _rows(self._job.chosen.reader(_PLACES)):
            pieces = made.setdefault(row["split"], [])
            pieces.append(self._piece(row, self._layout.clip, row["clip_sha256"], "video"))
            if self._layout.text and row["caption"] is not None:
                pieces.append(self._piece(row, self._layout.text, row["caption"], "caption"))
        return made

    def _piece(self, row: dict[str, Any], name: str, content: str, column: str) -> Piece:
        named = f"{row['split']}/{name.format(clip_id=row['clip_id'], two=row['clip_id'][:2])}"
        write = partial(self._write, row["shard"], row["row"], column)
        return Piece(named, digest("file", VERSION, content), int(column == "video"), write)

    def _write(self, shard: str, row: int, column: str, path: Path) -> None:
        value = self._job.chosen.cell(shard, row, column)
        path.write_bytes(value.encode() if isinstance(value, str) else value)

    def _index(self, split: str, pieces: list[Piece]) -> Iterator[Piece]:
        """Its files in the folder of a split."""
        quoted = f"'{self._layout.clip}'".replace("{clip_id}", "' || clip_id || '")
        path = quoted.replace("{two}", "' || clip_id[:2] || '")
        rows = _ROWS.format(path=path, name="clip_id || '.mp4'", frames=self._job.frames.frames_sql)
        held = [[piece.name, piece.identity] for piece in pieces]
        contents = [[part.shard, part.content] for part in self._job.chosen.slices() if part.split == split]
        for name, select in self._layout.index.items():
            sql = f"select {select} from ({rows}) where split = '{split}' order by shard, row"
            kind = WRITERS[name.rpartition(".")[2]]
            named = digest("index", VERSION, select, self._job.frames.frames_sql, held, contents)
            yield Piece(f"{split}/{name}", named, 0, partial(self._write_index, sql, kind))

    def _write_index(self, sql: str, kind: Writer, path: Path) -> None:
        kind(self._job.chosen.reader(sql), path)

    def _unfit(self) -> list[Piece]:
        rule = self._job.frames
        if not rule.checks:
            return []
        rows = self._job.manifest.rows(_UNFIT.format(least=rule.least))
        short = sum(row["used"] == 0 for row in rows)
        held = {"rule": str(rule), "counts": rule.counts, "left_out": short, "longer": len(rows) - short}
        self._job.count(frames=held | ({"named_in": UNFIT} if rows else {}))
        table = pa.Table.from_pylist(rows, schema=UNFIT_COLUMNS)
        return [Piece(UNFIT, digest("unfit", VERSION, rows), 0, lambda path: _csv(table.to_reader(), path))]


Writer = Callable[[pa.RecordBatchReader, Path], None]


def _rows(reader: pa.RecordBatchReader) -> Iterator[dict[str, Any]]:
    for batch in reader:
        yield from batch.to_pylist()


def _csv(reader: pa.RecordBatchReader, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, reader.schema.names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_rows(reader))


def _lines(lines: Iterable[str], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def _jsonl(reader: pa.RecordBatchReader, path: Path) -> None:
    _lines((json.dumps(row, ensure_ascii=False) for row in _rows(reader)), path)


def _json(reader: pa.RecordBatchReader, path: Path) -> None:
    path.write_text(json.dumps(list(_rows(reader)), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _txt(reader: pa.RecordBatchReader, path: Path) -> None:
    """One column; a person's text may have several lines, of which it must be one here."""
    _lines((" ".join(str(value).split()) for row in _rows(reader) for value in row.values()), path)


def _parquet(reader: pa.RecordBatchReader, path: Path) -> None:
    with pq.ParquetWriter(path, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)


WRITERS: dict[str, Writer] = {"csv": _csv, "jsonl": _jsonl, "json": _json, "txt": _txt, "parquet": _parquet}
"""Ending of a file's name -> how it is written."""
