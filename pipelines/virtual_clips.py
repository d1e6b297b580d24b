"""Virtual clips: spans that become files only while their shard is written, and are not kept."""

from __future__ import annotations

import functools
import os
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq

from hdvg.config.cut import Cut
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.stages import CUT, part_schema
from hdvg.errors import UncutClipsError
from pipelines.children import sandbox, side_by_side
from pipelines.items import CutItem
from pipelines.perform import Job, commit, make_gate
from pipelines.stages import cut_files
from pipelines.work import Row, Work
from schemas.clips import CUT as CUT_COLUMNS

Made = dict[str, tuple[Row, bytes]]
"""By clip_id, the row with its cut's columns, and the file's bytes."""
Places = dict[str, tuple[Path, int]]
"""By clip_id, the held shard that has the clip's file, and the row group in it."""


class VirtualClips:
    """Gives shards their virtual clips: out of shards that go, else cut; sources that were dropped are fetched again.

    Shards that are held are linked into `folder`, on the dataset's disk; `places` are those that another has held.
    """

    def __init__(self, dataset: Dataset, folder: Path, places: Places | None = None) -> None:
        recipe = dataset.plan.recipe
        detector = dataset.recipe.split.detector
        spread = functools.partial(side_by_side, detector)
        self._work: Work[CutItem] = Work(
            dataset, [], make_gate(recipe), sandbox(detector, recipe.limits.sandbox), part_schema(CUT), spread
        )
        self._folder = folder
        self._cut_as = _cut_settings(recipe.to_toml())
        self.places: Places = places or {}

    def hold(self, shards: Sequence[Path]) -> None:
        """Keep the clips of shards that are about to go, if they were cut as they would be now."""
        for shard in shards if self._work.dataset.plan.recipe.cut.mode == "virtual" else []:
            link = self._folder / f"{len(os.listdir(self._folder))}-{shard.name}"
            os.link(shard, link)
            with pq.ParquetFile(link) as file:
                made_by = (file.schema_arrow.metadata or {}).get(b"hdvg_recipe", b"")
                is_as_now = _cut_settings(made_by.decode()) == self._cut_as
                for group in range(file.num_row_groups) if is_as_now else ():
                    for name in file.read_row_group(group, columns=["clip_id"])["clip_id"].to_pylist():
                        self.places[name] = link, group

    def __call__(self, rows: list[Row]) -> Made:
        """The clips of these rows. Raises UncutClipsError if any cannot be cut."""
        held = [row for row in rows if row["clip_id"] in self.places]
        return self._held(held) | self._newly_cut([row for row in rows if row["clip_id"] not in self.places])

    def _held(self, rows: list[Row]) -> Made:
        wanted: defaultdict[tuple[Path, int], dict[str, Row]] = defaultdict(dict)
        for row in rows:
            wanted[self.places[row["clip_id"]]][row["clip_id"]] = row
        made: Made = {}
        for (path, group), mine in wanted.items():
            with pq.ParquetFile(path) as file:
                names = [field.name for field in CUT_COLUMNS if field.name in file.schema_arrow.names]
                clips = file.read_row_group(group, columns=[*names, "video"]).to_pylist()
            for clip in clips:
                if clip["clip_id"] in mine:
                    made[clip["clip_id"]] = mine[clip["clip_id"]] | {name: clip[name] for name in names}, clip["video"]
        return made

    def _newly_cut(self, rows: list[Row]) -> Made:
        videos: defaultdict[str, list[Row]] = defaultdict(list)
        for row in rows:
            videos[row["video_id"]].append(row)
        made: Made = {}
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


def _cut_settings(toml: str) -> Any:
    """What of a recipe shapes clips: of its cuts, and of its measures if they say what is cropped."""
    table = tomllib.loads(toml)
    cut = Cut.model_validate(table.get("cut", {}))
    return cut.shaping(), table.get("measure") if cut.crop == "clean" else None


def note_failures(dataset: Dataset, rows: list[Row]) -> None:
    """Write the cut stage's word on clips that turned out not to be cuttable."""
    with dataset.manifest() as manifest:
        found = manifest.rows("select video_id, unit from inputs where status = 'new'")
    units = {row["video_id"]: row["unit"] for row in found}
    for unit in {units[row["video_id"]] for row in rows}:
        mine = [row for row in rows if units[row["video_id"]] == unit]
        items = [{"key": row["clip_id"], "attempt": 0} for row in mine]
        commit(dataset, Job(dataset.root, dataset.store.run, CUT, unit), items, mine)
