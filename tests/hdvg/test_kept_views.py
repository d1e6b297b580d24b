"""Kept answers of views are the views, and are read only while all that they are made of is the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.kept_views import kept_files
from hdvg.dataset.manifest import VIEWS
from hdvg.dataset.tables import write_rows
from hdvg.takedown import find, hide
from tests.layouts import call
from tests.products import Clip, add, make

VIDEOS = [
    [Clip(0, 3000, b"one", "a boat"), Clip(3000, 4000, b"two", "a bird"), Clip(4000, 9000, b"three", "a boat")],
    [Clip(0, 2500, b"four", None), Clip(2500, 8000, b"five", "a tree", cut="cut_mismatch")],
]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make(tmp_path / "it's [a] dataset", VIDEOS)


def answers(dataset: Dataset) -> dict[str, list[str]]:
    """All rows of all views that users know, and what is left to do; live views, for of a small dataset others are made."""
    with dataset.manifest(live=True) as manifest:
        return {
            view: sorted(json.dumps(row, default=str) for row in manifest.rows(f"from {view}"))
            for view in (*VIEWS, "wanted", "pending", "needed")
        }


def kept(dataset: Dataset) -> dict[str, set[str]]:
    """The states of the kept answers, by view."""
    found: dict[str, set[str]] = {}
    for path in kept_files(dataset.root):
        _, view, state = path.stem.split("-")
        found.setdefault(view, set()).add(state)
    return found


def test_every_view_is_the_same_with_kept_answers_and_reads_them(dataset):
    before = answers(dataset)
    assert dataset.compact() > 10
    assert answers(dataset) == before
    assert all(len(states) == 1 for states in kept(dataset).values())
    with dataset.manifest(live=True) as manifest:
        (sql,) = manifest.connection.execute("select sql from duckdb_views() where view_name = 'dataset'").fetchone()
    assert "view-dataset-" in sql
    assert dataset.compact() == 0


def test_what_is_added_shows_at_once(dataset):
    dataset.compact()
    before = answers(dataset)
    add(dataset, [[Clip(0, 2600, b"six", "a cat")]])
    after = answers(dataset)
    assert len(after["dataset"]) == len(before["dataset"]) + 1
    dataset.compact()
    assert answers(dataset) == after


def test_other_rules_leave_all_answers_but_those_that_judge(dataset):
    dataset.compact()
    before = kept(dataset)
    call("filter", dataset.root, "--set", "keep.too_short=duration_s >= 100")
    judged = Dataset.open(dataset.root)
    shown = answers(judged)
    assert not any('"keep": true' in row for row in shown["verdicts"])
    assert judged.compact() == 3
    assert answers(judged) == shown
    assert {view for view, states in kept(judged).items() if states != before.get(view)} == {
        "dataset",
        "unfinished",
        "needed",
    }


def test_marks_show_at_once(dataset):
    dataset.compact()
    with dataset.manifest() as manifest:
        row = manifest.rows("select clip_id, video_id from clips order by 1 limit 1")[0]
    write_rows(dataset.store, "annotations", [row | {"author": "me", "mark": "flag"}])
    with dataset.manifest(live=True) as manifest:
        assert manifest.rows("select clip_id from dataset where marked_flag") == [{"clip_id": row["clip_id"]}]


def test_what_is_taken_down_is_hidden_at_once(dataset):
    dataset.compact()
    with dataset.manifest() as manifest:
        video = manifest.one("select min(video_id) from videos")
    hide(dataset, dataset.store, find(dataset, {("video", video)}))
    assert not any(video in row for rows in answers(dataset).values() for row in rows)


def test_who_else_names_something_is_asked_of_the_kept_answer_alone(tmp_path):
    shared = [
        [Clip(0, 3000, b"same", "a boat"), Clip(3000, 6000, b"alone", "a bird")],
        [Clip(0, 2500, b"same", "a sea")],
    ]
    units = make(tmp_path / "d", shared[:1])
    add(units, shared[1:])
    with units.manifest() as manifest:
        video, other = (row["video_id"] for row in manifest.rows("select video_id from videos order by seq"))
        unit = manifest.one("select unit from videos where video_id = ?", [other])
        alone = {row["clip_sha256"] for row in manifest.rows("select clip_sha256 from clips where start_pts = 3000")}
    before = find(units, {("video", video)})
    assert {name for name in before.media if units.store.has_media(name)} == alone
    units.compact()
    for path in (units.root / "parts").glob(f"*/{unit}-*.parquet"):
        path.write_bytes(b"no other unit's part is read")
    assert find(units, {("video", video)}) == before
    assert kept(units)["named"]


def test_a_purge_leaves_no_answer(dataset):
    dataset.compact()
    with dataset.manifest() as manifest:
        video = manifest.one("select min(video_id) from videos")
    call("forget", dataset.root, "--video", video, "--purge")
    assert not any(video.encode() in path.read_bytes() for path in dataset.root.rglob("*.parquet"))
    assert kept_files(dataset.root) == []
