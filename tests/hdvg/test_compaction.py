"""Small files of a table are put into one, and no word is lost: not by a crash anywhere, not by others who write meanwhile."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from hdvg.cli import app
from hdvg.dataset import compaction, ledger
from hdvg.dataset.annotations import annotate, current
from hdvg.dataset.compaction import compact, compact_some
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import files
from hdvg.dataset.store import Store
from hdvg.reports.verify import verify
from tests.crash import LOSSES, Crash, DyingOps, Unflushed

NAME = "annotations"
CLIPS = [f"1-{number}" for number in range(4)]


def say(dataset: Dataset, clip_id: str, **said: str | None) -> None:
    annotate(dataset, [{"clip_id": clip_id, "video_id": "v1", "author": "ada", **said}])


def spoken(dataset: Dataset) -> dict[tuple[str, str], tuple[str | None, str | None]]:
    return {key: (row["mark"], row["note"]) for key, row in current(dataset, [*CLIPS, "9-9"]).items()}


def rows(root: Path) -> set[str]:
    """Every row that any file has."""
    return {repr(row) for path in files(root, "tables", of=NAME) for row in pq.read_table(path).to_pylist()}


@pytest.fixture
def dataset(new_dataset: Dataset) -> Dataset:
    """Twelve words about four clips, some taken back; the ledger knows the first half."""
    for number in range(12):
        said = {"mark": ("keep", "drop", None)[number % 3]} if number % 2 else {"note": f"word {number}"}
        say(new_dataset, CLIPS[number % 4], **said)
        if number == 5:
            ledger.note(new_dataset.store)
    return new_dataset


def test_one_file_says_what_many_said_and_every_word_is_still_in_it(dataset):
    before, many = spoken(dataset), sum(pq.read_metadata(path).num_rows for path in files(dataset.root, "tables"))
    assert compact(dataset.store, NAME) == 12
    (only,) = files(dataset.root, "tables", of=NAME)
    assert spoken(dataset) == before
    assert pq.read_metadata(only).num_rows == many == 12
    assert ledger.lost(dataset.root) == []
    assert str(only.relative_to(dataset.root)) in ledger.read(dataset.root)
    assert {problem.check for problem in verify(dataset)} <= {"missing", "unfinished"}
    assert compact(dataset.store, NAME) == 0
    say(dataset, CLIPS[0], mark="flag")
    assert spoken(dataset)[CLIPS[0], "ada"][0] == "flag"


@pytest.mark.parametrize("loss", LOSSES)
def test_wherever_it_dies_no_word_is_lost_and_the_next_call_ends_it(dataset, tmp_path: Path, loss: str):
    for path in files(dataset.root, "tables", of=NAME)[3:]:
        path.unlink()
    ledger.note(dataset.store)
    before = rows(dataset.root)
    counted = DyingOps()
    compact(Store(Path(shutil.copytree(dataset.root, tmp_path / "whole")), counted), NAME)
    assert counted.count > 10
    for at in range(1, counted.count + 1):
        root = Path(shutil.copytree(dataset.root, tmp_path / f"dead-{at}"))
        dying = DyingOps(at)
        with pytest.raises(Crash):
            compact(Store(root, dying), NAME)
        LOSSES[loss](dying)
        assert rows(root) == before, f"died before operation {at}"
        assert ledger.lost(root) == [], f"died before operation {at}"
        compact(Store(root, Unflushed()), NAME)
        assert (rows(root), len(files(root, "tables", of=NAME))) == (before, 1)
        shutil.rmtree(root)


def test_two_at_once_and_a_writer_beside_them_lose_nothing(dataset, monkeypatch):
    monkeypatch.setattr(compaction, "MANY", 3)
    faults: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(15):
                compact_some(Store(dataset.root), NAME)
        except BaseException as fault:
            faults.append(fault)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for number in range(25):
        annotate(dataset, [{"clip_id": "9-9", "video_id": "v9", "author": f"a{number}", "mark": "keep", "note": None, "caption": None}])  # fmt: skip
    for worker in workers:
        worker.join()
    assert faults == []
    assert len([key for key in spoken(dataset) if key[0] == "9-9"]) == 25
    assert len(files(dataset.root, "tables", of=NAME)) < 37


def test_while_a_run_works_files_stay_as_they_are(dataset, monkeypatch):
    monkeypatch.setattr(compaction, "MANY", 3)
    with dataset.store.lock():
        assert compact_some(Store(dataset.root), NAME) == 0
    assert compact_some(Store(dataset.root), NAME) == 12


def test_gc_tells_of_small_files_and_puts_them_into_one(dataset):
    def gc(*words: str) -> dict:
        done = CliRunner().invoke(app, ["gc", str(dataset.root), "--json", *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.output)

    assert gc()["small_files"] == {NAME: 12}
    assert len(files(dataset.root, "tables", of=NAME)) == 12
    assert gc("--only", "temp", "--remove")["small_files"] == {}
    assert gc("--remove")["small_files"] == {NAME: 12}
    assert len(files(dataset.root, "tables", of=NAME)) == 1
