"""A stage is its entry in the table of stages and its place in the graph; all else follows from these two."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import files
from hdvg.dataset.stages import STAGES, Entry, comes_before, in_order, stage_names
from hdvg.dataset.tables import TABLES, Table, write_rows
from hdvg.errors import ItemError, UsageError
from hdvg.reports.status import status
from hdvg.reports.verify import verify
from pipelines import graph
from pipelines.forget import forget
from pipelines.graph import GRAPH, Stage, check_table
from pipelines.run import Task, run
from pipelines.where import Where
from pipelines.work import Row, Work, each
from schemas.columns import REAL, STR, column, table
from schemas.outcomes import OUTCOME
from tests.videos import draw_scenes

RECIPE = parse_recipe({"name": "test", "caption": {"captioner": "none"}})

VIGNETTE = table(
    OUTCOME, [column("clip_id", STR, "the clip"), column("vignette", REAL, "how dark its corners are, 0-1")]
)

ENTRY = Entry(name="vignette", after=("split",), schema=VIGNETTE, key="clip_id")


class Corners:
    """The stage's function: it fails for clips of one length."""

    fails = 30

    def __call__(self, work: Work) -> Iterator[Row]:
        return each(work, self.one)

    def one(self, item: Row) -> list[Row]:
        if item["n_frames"] == self.fails:
            raise ItemError("error", "too dark to see")
        return [{"video_id": item["video_id"], "clip_id": item["clip_id"], "vignette": item["n_frames"] / 100}]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small videos of two shots each."""
    folder = tmp_path_factory.mktemp("videos")
    for number, scenes in enumerate([(20, 25), (30, 22)]):
        draw_scenes(folder / f"{number}.mp4", scene_frames=scenes, seed=number)
    return folder


@pytest.fixture(scope="module")
def before(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset that was finished before there was the stage; not to be changed."""
    root = tmp_path_factory.mktemp("before") / "dataset"
    assert go(root, links=[str(videos)])
    return root


@pytest.fixture
def corners(monkeypatch: pytest.MonkeyPatch) -> Corners:
    """The stage, added in its two places; its function."""
    return add(monkeypatch)


@pytest.fixture(scope="module")
def finished(before: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of that dataset, after a run with the stage; not to be changed."""
    root = Path(shutil.copytree(before, tmp_path_factory.mktemp("finished") / "dataset"))
    with pytest.MonkeyPatch.context() as patched:
        add(patched)
        assert not go(root)  # one item ended in an unknown error
    return root


@pytest.fixture
def dataset(finished: Path, tmp_path: Path, corners: Corners) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "dataset"))


def add(patched: pytest.MonkeyPatch) -> Corners:
    """Add the stage in its two places; returns its function."""
    made = Corners()
    patched.setitem(STAGES, "vignette", ENTRY)
    patched.setattr(graph, "GRAPH", (*GRAPH, Stage(name="vignette", run=made, needs=("clip_id", "n_frames"))))
    return made


def go(root: Path, **task: object) -> bool:
    return run(root, RECIPE, Task(where=Where(runner="serial"), **task), Console(file=io.StringIO()))


def ask(root: Path, sql: str) -> list[tuple]:
    with Dataset.open(root).manifest() as manifest:
        return manifest.fetch(sql)


def test_stages_before_it_are_not_done_again(before, dataset):
    old = {path.name for path in files(before, "parts")}
    new = {path.name for path in files(dataset, "parts")} - old
    made = {path.name for path in files(dataset, "parts", stage="vignette")}
    assert new == made
    assert ask(dataset, "select n_frames, vignette from dataset join vignette_rows using (clip_id) order by 1") == [
        (20, 0.2), (22, 0.22), (25, 0.25), (30, None),
    ]  # fmt: skip


def test_what_failed_at_it_stands_in_failures_and_status(dataset):
    video, clip = ask(dataset, "select video_id, clip_id from clips where n_frames = 30")[0]
    assert ask(dataset, "select key, stage, status, reason, detail, attempt, video_id from failures") == [
        (clip, "vignette", "failed", "error", "too dark to see", 1, video)
    ]
    failed = {"stage": "vignette", "status": "failed", "reason": "error", "items": 1}
    assert failed in status(Dataset.open(dataset)).failures
    assert status(Dataset.open(dataset)).pending == []


def test_a_dataset_that_it_was_not_run_on_is_read_and_nothing_of_it_is_missing(before, corners):
    opened = Dataset.open(before)
    assert opened.plan.stages == ("download", "split", "cut")
    assert verify(opened) == []
    assert ask(before, "select count(*) from vignette_rows") == [(0,)]
    assert status(opened).pending == []


def test_an_item_of_it_that_is_missing_is_seen(dataset):
    assert verify(Dataset.open(dataset)) == []
    for path in files(dataset, "parts", stage="vignette"):
        if not path.name.startswith("seed"):
            path.unlink()
    assert found(dataset) == {("lost", "it was there")}
    (dataset / "ledger.parquet").unlink()
    assert ("unfinished", "not done at stage vignette") in found(dataset)
    assert status(Dataset.open(dataset)).pending == [{"stage": "vignette", "items": 4}]


def found(dataset: Path) -> set[tuple[str, str]]:
    return {(problem.check, problem.detail) for problem in verify(Dataset.open(dataset))}


def test_a_broken_part_of_it_and_one_of_no_unit_are_seen(dataset):
    (part, *_) = [path for path in files(dataset, "parts", stage="vignette") if not path.name.startswith("seed")]
    stray = part.with_name(part.name.replace(part.name.split("-")[0], "0" * 16))
    shutil.copy(part, stray)
    assert [problem.check for problem in verify(Dataset.open(dataset))] == ["foreign", "orphan"]
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    name = str(part.relative_to(dataset))
    assert ("corrupt", name) in {(problem.check, problem.key) for problem in verify(Dataset.open(dataset))}


def test_retry_does_its_failed_items_alone_again(dataset, corners):
    corners.fails = -1
    before = {path.name for path in files(dataset, "parts")}
    assert go(dataset, retry=("error",))
    assert ask(dataset, "select count(*) from failures") == [(0,)]
    assert ask(dataset, "select vignette, attempt from vignette_rows where vignette >= 0.3") == [(0.3, 2)]
    (new,) = {path for path in files(dataset, "parts") if path.name not in before}
    assert (new.parent.name, pq.read_metadata(new).num_rows) == ("vignette", 1)


def test_its_command_runs_it_alone(before, tmp_path, corners):
    root = Path(shutil.copytree(before, tmp_path / "alone"))
    assert not go(root, stage="vignette")
    assert ask(root, "select count(*) from vignette_rows") == [(4,)]


def test_purge_takes_a_video_out_of_it(dataset):
    (gone,), (stays,) = ask(dataset, "select distinct video_id from vignette_rows order by 1")
    forget(dataset, [("video", gone)], purged=True)
    held = {
        row["video_id"] for path in files(dataset, "parts", stage="vignette") for row in pq.read_table(path).to_pylist()
    }
    assert held == {stays}
    assert verify(Dataset.open(dataset)) == []


def test_rows_of_tables_that_no_stage_makes_go_with_their_video(dataset, monkeypatch):
    ids = [column("video_id", STR, "the video"), column("clip_id", STR, "the clip")]
    monkeypatch.setitem(TABLES, "seen", Table("seen", table(ids), ("clip_id",)))
    monkeypatch.setitem(TABLES, "liked", Table("liked", table(ids[1:]), ("clip_id",)))
    opened = Dataset.open(dataset)
    with opened.manifest() as manifest:
        clips = manifest.rows("select video_id, clip_id from clips order by all")
    write_rows(opened.store, "seen", clips)
    write_rows(opened.store, "liked", [{"clip_id": row["clip_id"]} for row in clips])
    gone = clips[0]["video_id"]
    stay = [(row["clip_id"],) for row in clips if row["video_id"] != gone]
    forget(dataset, [("video", gone)])
    for name in ("seen", "liked"):
        assert ask(dataset, f"select clip_id from {name} order by 1") == stay
    forget(dataset, [], purged=True)
    held = [pq.read_table(path)["clip_id"].to_pylist() for path in files(dataset, "tables")]
    assert held == [[clip for (clip,) in stay]] * 2
    assert verify(Dataset.open(dataset)) == []


def test_another_version_of_it_is_new_work_for_it_alone(dataset, monkeypatch, corners):
    corners.fails = -1
    monkeypatch.setitem(STAGES, "vignette", replace(ENTRY, version=2))
    before = {path.name for path in files(dataset, "parts")}
    assert go(dataset)
    new = [path for path in files(dataset, "parts") if path.name not in before]
    assert {path.parent.name for path in new} == {"vignette"}


def test_a_stage_in_one_of_its_two_places_is_named_before_anything_runs(before, tmp_path, monkeypatch):
    check_table()
    monkeypatch.setitem(STAGES, "vignette", ENTRY)
    with pytest.raises(UsageError, match=r"stage vignette is missing in pipelines/graph\.py"):
        go(tmp_path / "d", links=["x.txt"])
    monkeypatch.delitem(STAGES, "vignette")
    monkeypatch.setattr(graph, "GRAPH", (*GRAPH, Stage(name="vignette", run=Corners(), needs=())))
    with pytest.raises(UsageError, match=r"stage vignette is missing in hdvg/dataset/stages\.py"):
        check_table()


def test_a_graph_in_another_order_than_the_table_is_refused(monkeypatch):
    monkeypatch.setattr(graph, "GRAPH", (*GRAPH[1:], GRAPH[0]))
    with pytest.raises(UsageError, match="stage split stands before download"):
        check_table()


def test_stages_stand_behind_those_that_come_before_them(monkeypatch):
    order = [entry.name for entry in in_order()]
    assert all(order.index(name) < order.index(entry.name) for entry in STAGES.values() for name in entry.after)
    assert comes_before("download", "match")
    assert not comes_before("cut", "caption")
    monkeypatch.setitem(STAGES, "early", replace(ENTRY, name="early", after=()))
    assert "early" in stage_names(RECIPE, ())
    monkeypatch.setitem(STAGES, "download", replace(STAGES["download"], after=("shard",)))
    with pytest.raises(ValueError, match="come before each other"):
        in_order()


def test_writers_stages_follow_each_other_writer_by_writer():
    also = {"x": {"captioner": "given", "where": "caption_similarity < 0.2"}}
    recipe = parse_recipe({"caption": {"captioner": "title", "also": also}})
    assert stage_names(recipe, ("semantics",)) == (
        "download", "split", "semantics", "pool", "cut", "caption", "match", "caption-x", "match-x",
    )  # fmt: skip
