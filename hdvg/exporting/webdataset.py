"""`webdataset`: tar files with `<clip_id>.mp4`, `.txt` (the caption) and `.json` (all other columns) for each clip."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from hdvg.exporting import Piece
from hdvg.exporting.croissant import beside
from hdvg.exporting.job import Job
from hdvg.exporting.selection import Bundle, clips, identity

VERSION = 1
"""Raise it when the same clips come to be laid out otherwise."""


class Tars:
    """The same clips give the same bytes: no times, no names of users. A clip without a caption has no `.txt`."""

    needs: ClassVar[dict[str, str]] = {"webdataset": "webdataset"}

    def __init__(self, job: Job) -> None:
        self._job = job

    def pieces(self) -> list[Piece]:
        """The tars, numbered per split, then their description."""
        wanted, numbers, made = self._job.wanted, dict[str, int](), list[Piece]()
        for split, bundle in self._job.chosen.bundles(wanted.max_mb or self._job.dataset.plan.recipe.shard.max_mb):
            numbers[split] = number = numbers.get(split, -1) + 1
            made.append(
                Piece(
                    f"{split}-{number:05d}.tar",
                    identity(bundle, "webdataset", VERSION),
                    clips(bundle),
                    partial(self._write, bundle),
                    anywhere=True,
                )
            )
        return [*made, beside(self._job, made, layout="webdataset")]

    def _write(self, bundle: Bundle, path: Path) -> None:
        from webdataset import TarWriter

        with path.open("wb") as file, TarWriter(file, user="", group="", encoder=False, mtime=0) as tar:
            for table in self._job.chosen.tables(bundle):
                videos = table.column("video")
                for place, row in enumerate(table.drop_columns("video").to_pylist()):
                    tar.write(sample(row, videos[place].as_py()))


def sample(row: dict[str, Any], video: bytes) -> dict[str, Any]:
    """What a clip is in a tar: key, mp4, txt, json."""
    caption = row.pop("caption")
    fields = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()
    }
    made = {"__key__": row["clip_id"], "mp4": video, "json": json.dumps(fields, ensure_ascii=False).encode()}
    return made if caption is None else made | {"txt": caption.encode()}
