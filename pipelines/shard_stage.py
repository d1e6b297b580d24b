"""The last stage: shards are planned in one place, and written there or by whoever `spread` says."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.shards import WriteAll, in_turn, write_shards
from hdvg.errors import UncutClipsError
from pipelines.virtual_clips import VirtualClips, note_failures

Spread = Callable[[Dataset, VirtualClips], WriteAll]
"""What writes the shards of a dataset, given what makes its virtual clips."""


def fill_shards(
    dataset: Dataset, console: Console, clips: VirtualClips | None = None, *, spread: Spread = in_turn
) -> bool:
    """Write, or complete, the shards; True unless a virtual clip ended in an unknown error. `clips` gives virtual clips."""
    fine = True
    with dataset.store.scratch() as folder:
        clips = clips or VirtualClips(dataset, folder)
        while True:
            try:
                count = write_shards(dataset, spread(dataset, clips), clips.hold)
            except UncutClipsError as failed:
                console.print(str(failed), highlight=False, markup=False)
                note_failures(dataset, failed.rows)
                fine &= all(row["reason"] != "error" for row in failed.rows)
            else:
                console.print(f"shards/: {count} clips", highlight=False)
                return fine
