"""What one export works with: the dataset's views, and which clips of which shards are chosen."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from hdvg.config.conditions import check_expression
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.manifest import Manifest, literal
from hdvg.errors import UsageError
from hdvg.exporting.frames import FrameRule
from hdvg.exporting.selection import Chosen
from hdvg.exporting.summary import Summary
from hdvg.exporting.wanted import Wanted

MEMORY = "800MB"
"""DuckDB's share where all imported scenes are sorted; what does not fit it sorts on disk."""


Look = Callable[[str], tuple[int, str]]
"""Bytes and SHA-256 of a file of the export that is written."""


class Job:
    """One export, while it runs. `scratch` is a folder for files that nobody needs afterwards.

    Pickled, it is what a piece is written with anywhere: `dataset`, `wanted`, `out`, and of `chosen` the tables and the schema.
    """

    def __init__(self, dataset: Dataset, wanted: Wanted, manifest: Manifest, scratch: Path, look: Look) -> None:
        self.dataset, self.wanted, self.manifest, self.scratch, self.look = dataset, wanted, manifest, scratch, look
        self.out, self.frames = wanted.out.resolve(), FrameRule.of(wanted)
        self._counts: dict[str, Any] = {}

    @classmethod
    @contextmanager
    def begin(cls, dataset: Dataset, wanted: Wanted, look: Look) -> Iterator[Job]:
        """A job whose queries read nothing but the dataset, and spill beside the export."""
        with (
            dataset.manifest() as manifest,
            tempfile.TemporaryDirectory(dir=wanted.out / "tmp", prefix="scratch-") as scratch,
        ):
            folders = ", ".join(literal(str(path)) for path in (dataset.root, Path(scratch).resolve()))
            manifest.connection.execute(f"set temp_directory = {literal(str(Path(scratch).resolve() / 'spill'))}")
            if wanted.all_given:
                manifest.connection.execute(f"set memory_limit = {literal(MEMORY)}")
            manifest.connection.execute(f"set allowed_directories = [{folders}]")
            manifest.connection.execute("set enable_external_access = false; set lock_configuration = true")
            yield cls(dataset, wanted, manifest, Path(scratch).resolve(), look)

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another node: no query can be asked there."""
        return {name: getattr(self, name) for name in ("dataset", "wanted", "out", "chosen")}

    @cached_property
    def chosen(self) -> Chosen:
        """The clips that are kept, meet the condition and are in the shards. Raises UsageError if there are none."""
        with self.condition():
            chosen = Chosen(self.dataset, self.manifest, self.wanted.where, self.frames)
        self._counts |= chosen.counts
        if not chosen.counts["clips"]:
            why = "; ".join(f"{row['clips']} clips: {row['reason']}" for row in chosen.counts["left_out"])
            raise UsageError(
                f"{self.dataset.root}: no clip to export{f' ({why})' if why else ''}; `hdvg status` says what there is"
            )
        return chosen

    @cached_property
    def summary(self) -> Summary:
        """Counts of the chosen clips."""
        return Summary.of(self.chosen)

    @contextmanager
    def condition(self) -> Iterator[None]:
        """Wrap the query that has the condition. Raises UsageError, with DuckDB's words, if that is none."""
        where = self.wanted.where
        example = "one condition over the columns of a clip, such as 'duration_s > 3'"
        try:
            check_expression(where or "true", example=example)
        except ValueError as error:
            raise UsageError(f"--where {where}: {error}") from error
        try:
            yield
        except duckdb.Error as error:
            if where is None:
                raise
            raise UsageError(f"--where {where}: {error}\n{example}") from error

    def said(self) -> list[str | None]:
        """What a card or description says that no clip does."""
        about = [self.dataset.name, self.dataset.plan.recipe.to_toml(), self.wanted.url, self.wanted.cite]
        return [*about, *self.wanted.audited]

    def count(self, **counts: Any) -> None:
        """Put something into the report."""
        self._counts |= counts

    def counts(self) -> dict[str, Any]:
        """What was chosen, and what was left out and why."""
        return self._counts
