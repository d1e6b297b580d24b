"""What a stage reads for its items, and how often."""

from __future__ import annotations

from typing import Any, NotRequired, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hdvg.captioners import Written
from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.stages import part_schema
from hdvg.planning import make_plan
from pipelines import keyframes
from pipelines.caption_stages import caption
from pipelines.graph import GRAPH
from pipelines.work import Work
from schemas.keyframes import KEYFRAMES


class Reader:
    """A captioner that writes down what it was shown."""

    name = model = "reader"
    batch = 2

    def prepare(self, shot):
        return f"{shot.clip_id} {shot.keyframes['middle'].decode()}"

    def write(self, prepared):
        return [Written({"short": text}) for text in prepared]


def test_keyframe_pack_is_read_once_a_video(tmp_path, monkeypatch):
    dataset = Dataset(tmp_path, make_plan(parse_recipe({})))
    dataset.store.begin()
    packs = {}
    for video in "ab":
        rows = [
            {"clip_id": f"{video}{number}", "position": "middle", "pts": number, "jpeg": b"%d" % number}
            for number in range(5)
        ]
        with dataset.store.scratch() as scratch:
            pq.write_table(pa.Table.from_pylist(rows, schema=KEYFRAMES), scratch / "pack")
            packs[video] = dataset.store.put_media(scratch / "pack", "parquet")
    items = [
        {"video_id": video, "clip_id": f"{video}{number}", "key": f"{video}{number}", "attempt": 0}
        | {"keyframes": pack, "written": None}
        for video, pack in packs.items()
        for number in range(5)
    ]
    read: list[str] = []
    section = keyframes.read_section
    monkeypatch.setattr(
        keyframes, "read_section", lambda path, *of, **how: read.append(path.stem) or section(path, *of, **how)
    )
    texts = [
        row["text"]
        for row in caption(Work(dataset, items, None, None, part_schema("caption"), list, Reader(), "caption"))
    ]
    assert texts == [f"{video}{number} {number}" for video in "ab" for number in range(5)]
    assert read == list(packs.values())


@pytest.mark.parametrize("stage", GRAPH, ids=lambda stage: stage.name)
def test_item_of_a_stage_has_the_columns_that_the_stage_needs(stage):
    (item,) = get_args(get_type_hints(stage.run)["work"])
    if item is Any:  # a captioner may say any of a clip's columns
        assert stage.name == "caption"
        return
    columns = get_type_hints(item, include_extras=True)
    given = {"key", "video_id", "attempt", *stage.needs}
    assert given <= set(columns)
    assert {name for name, kind in columns.items() if get_origin(kind) is not NotRequired} <= given
