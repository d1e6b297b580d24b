"""`hdvg gc` takes away what nothing needs, and nothing else."""

from __future__ import annotations

import io
import json
import os
import time
from pathlib import Path

import pytest
from rich.console import Console

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.litter import YOUNG_S
from hdvg.reports.verify import verify
from pipelines.run import Task, run
from pipelines.where import Where
from tests.digest import contents
from tests.layouts import call
from tests.videos import draw_scenes

RECIPE = {"caption": {"captioner": "title"}, "keep": {"too_short": "duration_s >= 0.7"}}
QUIET = Console(file=io.StringIO())


def go(root: Path, links: list[str], *changes: str) -> None:
    assert run(root, parse_recipe(RECIPE, changes), Task(links=links, where=Where(runner="serial")), QUIET)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset cut by one setting, then by another, with what a killed run left."""
    (tmp_path / "videos").mkdir()
    draw_scenes(tmp_path / "videos/two dogs run.mp4", scene_frames=(25, 30))
    root = tmp_path / "d"
    go(root, [str(tmp_path / "videos")])
    go(root, [], "cut.crf=25")
    orphan = root / "media/ab" / ("ab" * 32 + ".mp4")
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"of no row")
    (root / "tmp/killed").mkdir(parents=True)
    (root / "tmp/killed/half").write_bytes(b"half")
    for path in (orphan, root / "tmp/killed", root / "tmp/killed/half"):
        os.utime(path, (time.time() - 2 * YOUNG_S,) * 2)
    (root / "tmp/young").mkdir()
    return root


def test_it_lists_first_and_removes_only_what_nothing_needs(dataset):
    before, published = names(dataset), contents(dataset)
    listed = json.loads(call("gc", str(dataset), "--json"))
    assert names(dataset) == before
    assert not listed["removed"]
    kinds = {one["kind"]: one["name"] for one in listed["files"]}
    assert set(kinds) == {"temp", "media", "settings"}
    assert kinds["temp"] == "tmp/killed"
    assert kinds["media"].startswith("media/ab/")
    assert {Path(one["name"]).parts[1] for one in listed["files"] if one["kind"] == "settings"} == {"cut"}
    removed = json.loads(call("gc", str(dataset), "--remove", "--json"))
    assert removed == {**listed, "removed": True}
    gone = {one["name"] for one in listed["files"]}
    assert not any((dataset / name).exists() for name in gone)
    assert (dataset / "tmp/young").exists()
    assert verify(Dataset.open(dataset)) == []
    go(dataset, [], "cut.crf=25")
    assert shards_of(contents(dataset)) == shards_of(published) != {}


def test_one_kind_alone_goes(dataset):
    call("gc", str(dataset), "--only", "temp", "--remove", "--json")
    assert not (dataset / "tmp/killed").exists()
    assert any((dataset / "media/ab").iterdir())


def names(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def shards_of(found: dict) -> dict:
    return {name: one for name, one in found.items() if name.endswith(".parquet")}
