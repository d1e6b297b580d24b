"""A column added to the schemas makes no dataset unreadable: it is null of what is there, and has its values of what is new."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from schemas.columns import later_names
from schemas.shards import SHARDS
from tests.layouts import DATASETS, VERSIONS, asked, call, call_in, files, grown_tree, unpack
from tests.videos import draw_scenes

COLUMNS = "d.odd_span, d.odd_measure, v.odd_fetched"
VALUES = {"odd_span": 7, "odd_measure": 0.5, "odd_fetched": "new"}
NULLS = dict.fromkeys(VALUES)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grown_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the datasets that the first release left."""
    folder = tmp_path_factory.mktemp("old")
    unpack(VERSIONS[0], folder)
    return folder


@pytest.fixture(scope="module")
def grown(tree: Path, old: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of them, to which the code with more columns has added a video."""
    folder = tmp_path_factory.mktemp("grown")
    (folder / "videos").mkdir()
    draw_scenes(folder / "videos" / "a new one.mp4", scene_frames=(30, 30), seed=9)
    root = Path(shutil.copytree(old / "linked", folder / "linked"))
    call_in(tree, "run", root, "--links", folder / "videos")
    return root


def told(tree: Path, root: Path, sql: str) -> list[dict]:
    return json.loads(call_in(tree, "query", root, sql, "--json"))


@pytest.mark.parametrize("name", DATASETS)
def test_nothing_is_done_again_and_new_columns_are_null(tree, old, tmp_path, name):
    root = Path(shutil.copytree(old / name, tmp_path / name))
    before = files(root)
    rows = told(tree, root, f"select {COLUMNS} from dataset d join videos v using (video_id)")
    assert rows == [NULLS] * len(rows) != []
    call_in(tree, "run", root)
    assert files(root) == before
    assert "whole" in call_in(tree, "verify", root)
    assert call_in(tree, "status", root)


def test_new_videos_have_values_beside_the_nulls_of_the_old_ones(tree, old, grown):
    rows = told(
        tree, grown, f"select v.link like '%a new one%' as new, {COLUMNS} from dataset d join videos v using (video_id)"
    )
    assert {row["new"] for row in rows} == {True, False}
    for row in rows:
        assert {name: row[name] for name in VALUES} == (VALUES if row["new"] else NULLS)
    assert "whole" in call_in(tree, "verify", grown)
    before, after = files(old / "linked"), files(grown)
    changed = {name for name, content in before.items() if after.get(name) != content}
    assert {name.rpartition("/")[0] for name in changed} == {"parts/pool"}  # told of all clips together, each time anew


def test_rule_on_the_column_drops_what_lacks_it_as_not_measured(tree, grown, tmp_path):
    root = Path(shutil.copytree(grown, tmp_path / "d"))
    call_in(tree, "filter", root, "--set", "keep.odd=odd_measure >= 0.5")
    rows = told(tree, root, "select odd_measure, reasons from dataset")
    for row in rows:
        assert ("unmeasured:odd" in row["reasons"]) == (row["odd_measure"] is None)


def test_shards_of_two_layouts_are_exported_as_one_table(tree, grown, tmp_path):
    names = [pq.read_schema(path).names for path in sorted(grown.glob("shards/*.parquet"))]
    assert [("odd_span" in some) for some in names] == [False, True]
    call_in(tree, "export", grown, "--to", "datasets", "--out", tmp_path / "out")
    schemas = [pq.read_schema(path).names for path in sorted((tmp_path / "out").rglob("*.parquet"))]
    assert len(schemas) == 2
    assert schemas[0] == schemas[1]
    assert "odd_span" in schemas[0]


def test_dataset_of_a_newer_version_is_read_without_what_this_one_does_not_know(grown, old):
    assert "odd_span" not in asked(grown, "select * from clips")[0]
    both = "select clip_id from clips order by 1"
    assert {row["clip_id"] for row in asked(grown, both)} > {row["clip_id"] for row in asked(old / "linked", both)}
    assert "whole" in call("verify", grown)
    assert call("status", grown)


def test_every_column_that_the_first_release_had_not_is_marked_as_later(old):
    first = pq.read_schema(next(old.glob("linked/shards/*.parquet"))).names
    assert set(SHARDS.names) - set(first) == later_names(SHARDS)


def test_dropped_column_is_missed(old):
    """A column that a release had is never taken out: rows would lose what was measured."""
    first = pq.read_schema(next(old.glob("linked/shards/*.parquet"))).names
    assert set(first) <= set(SHARDS.names)
