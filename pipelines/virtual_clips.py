"""Virtual clips: spans that become files only while their shard is written, and are not kept."""

from __future__ import annotations

import functools
from typing import cast

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.stages import CUT, part_schema
from hdvg.errors import UncutClipsError
from pipelines.items import CutItem
from pipelines.perform import Job, commit, make_gate, sandbox, side_by_side
from pipelines.stages import cut_files
from pipelines.work import Row, Work


class VirtualClips:
    """Cuts the clips of shard rows; sources that were dropped are fetched again."""

    def __init__(self, dataset: Dataset) -> None:
        recipe = dataset.plan.recipe
        detector = dataset.recipe.split.detector
        spread = functools.partial(side_by_side, detector)
        self._work: Work[CutItem] = Work(
            dataset, [], make_gate(recipe), sandbox(detector, recipe.limits.sandbox), part_schema(CUT), spread
        )

    def __call__(self, rows: list[Row]) -> dict[str, tuple[Row, bytes]]:
        """By clip_id, the row with its cut's columns, and the file's bytes. Raises UncutClipsError if any fails."""
        videos: dict[str, list[Row]] = {}
        for row in rows:
            videos.setdefault(row["video_id"], []).append(row)
        made: dict[str, tuple[Row, bytes]] = {}
        failed: list[Row] = []
        for wanted in videos.values():
            items = [
                cast("CutItem", row | {"sha256": row["video_sha256"], "key": row["clip_id"], "attempt": 0})
                for row in wanted
            ]
            files: dict[str, bytes] = {}
            cut = {row["clip_id"]: row for row in self._work.guarded_batch(lambda some: self._cut(some, files), items)}  # noqa: B023  # called at once
            failed += [row for row in cut.values() if row["status"] != "ok"]
            for row in wanted:
                if row["clip_id"] in files:
                    columns = {name: value for name, value in cut[row["clip_id"]].items() if name in row}
                    made[row["clip_id"]] = row | columns, files[row["clip_id"]]
        if failed:
            raise UncutClipsError(failed)
        return made

    def _cut(self, items: list[CutItem], files: dict[str, bytes]) -> list[Row]:
        """Rows of the cut stage; the files' bytes go to `files`."""
        with self._work.dataset.store.scratch() as scratch:
            cut = list(cut_files(self._work, items, scratch))
            files |= {row["clip_id"]: path.read_bytes() for row, path in cut if path is not None}
            return [row for row, _ in cut]


def note_failures(dataset: Dataset, rows: list[Row]) -> None:
    """Write the cut stage's word on clips that turned out not to be cuttable."""
    with dataset.manifest() as manifest:
        found = manifest.rows("select video_id, unit from inputs where status = 'new'")
    units = {row["video_id"]: row["unit"] for row in found}
    for unit in {units[row["video_id"]] for row in rows}:
        mine = [row for row in rows if units[row["video_id"]] == unit]
        items = [{"key": row["clip_id"], "attempt": 0} for row in mine]
        commit(dataset, Job(dataset.root, dataset.store.run, CUT, unit), items, mine)
