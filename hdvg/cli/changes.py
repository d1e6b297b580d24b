"""What a command says at its end: what changed in the dataset, and where the rest stands."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from hdvg.cli.tables import plain
from hdvg.dataset.location import from_here
from hdvg.environment import VERSION


@contextmanager
def changes_of(root: Path, command: str) -> Iterator[None]:
    """Around a command that changes the dataset at `root`, made if it is not there: it is logged, and then said what changed."""
    import duckdb

    from hdvg.config.deadline import OverError
    from hdvg.dataset.dataset import Dataset
    from hdvg.dataset.run_log import FILE, LOGGER, RunLog
    from hdvg.reports.changes import Figures, changed_lines

    before: Figures | None = Figures()
    if (root / "dataset.toml").exists():
        try:
            before = Figures.of(Dataset.open(root))
        except (duckdb.Error, OverError):  # a rule that cannot be computed: the command may be what mends it
            before = None
    with RunLog(root):
        LOGGER.info("hdvg %s: %s", VERSION, command)
        yield
        LOGGER.info("done")
    after = Figures.of(Dataset.open(root))
    *lines, last = changed_lines(before, after, name=shlex.quote(from_here(root)))
    for line in [*lines, f"{last}; log: {from_here(root / FILE)}"]:
        typer.echo(plain(line))
