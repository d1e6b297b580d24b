"""The snapshot of the measures: made once per state of the dataset, right whatever happens to it, never in the way."""

from __future__ import annotations

import errno
import shutil

import pytest

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.intake import accept
from hdvg.dataset.snapshot import COLUMNS, SOURCE, measures, snapshot_name
from hdvg.dataset.stages import part_schema
from hdvg.dataset.store import FileOps, Store
from hdvg.planning import make_plan
from hdvg.reports.verify import verify
from schemas.measures import RULED


def add_unit(dataset: Dataset, number: int, durations: list[float]) -> None:
    """One video more, with a clip for each duration."""
    links = dataset.root.parent / "links.txt"
    links.write_text(f"https://a.org/{number}.mp4")
    accept(dataset, str(links))
    with dataset.manifest() as manifest:
        (row,) = manifest.rows("select video_id, unit from inputs where source like ?", [f"%/{number}.mp4"])
    base = {"video_id": row["video_id"], "status": "ok", "generation": 0, "attempt": 1, "keyframes": "0" * 64}
    clips = [{**base, "clip_id": f"{number}-{place}", "duration_s": value} for place, value in enumerate(durations)]
    for stage, rows in (("download", [{**base, "sha256": f"{number:064}"}]), ("split", [base, *clips])):
        table = part_schema(stage).empty_table().from_pylist(rows, schema=part_schema(stage))
        dataset.store.publish_table(f"parts/{stage}/{row['unit']}-{dataset.plan.fingerprints[stage]}-0.parquet", table)


@pytest.fixture
def dataset(new_dataset: Dataset) -> Dataset:
    add_unit(new_dataset, 1, [1.0, 2.0])
    return new_dataset


def durations(dataset: Dataset, said: list[str] | None = None, needed: tuple[str, ...] = ()) -> list[float]:
    with measures(dataset, needed, (said if said is not None else []).append) as connection:
        return [row[0] for row in connection.execute(f"select duration_s from {SOURCE} order by place").fetchall()]


def cached(dataset: Dataset) -> list[str]:
    return sorted(str(path.relative_to(dataset.root)) for path in (dataset.root / "cache").glob("*"))


def test_it_is_made_once_and_again_when_the_dataset_grew(dataset):
    said: list[str] = []
    assert durations(dataset, said) == [1.0, 2.0]
    (first,) = cached(dataset)
    assert first == snapshot_name(dataset)
    assert first in said.pop()
    assert durations(dataset, said) == [1.0, 2.0]
    assert said == []
    add_unit(dataset, 2, [5.0])
    assert sorted(durations(dataset, said)) == [1.0, 2.0, 5.0]
    assert cached(dataset) == [snapshot_name(dataset)] != [first]  # the old one is gone
    assert len(said) == 1


def test_it_has_what_the_view_has(dataset):
    listed = ", ".join(COLUMNS)
    with measures(dataset, [], print) as connection, dataset.manifest() as manifest:
        ours = connection.execute(f"select {listed} from {SOURCE} order by place").fetchall()
        assert (
            ours == manifest.connection.execute(f"select {listed} from measured order by video_id, clip_id").fetchall()
        )
        assert [row[0] for row in connection.execute(f"select place from {SOURCE} order by clip_id").fetchall()] == [
            0,
            1,
        ]
    assert {"short_px", "draw", "pool_status"} <= set(COLUMNS)


def test_rules_do_not_make_it_anew_and_a_new_split_does(dataset):
    name = snapshot_name(dataset)
    other = make_plan(parse_recipe({"keep": {"short": "duration_s >= 2"}, "caption": {"captioner": "none"}}))
    assert snapshot_name(Dataset(dataset.root, other)) == name
    anew = make_plan(parse_recipe({"split": {"max_clip_s": 9.0}, "caption": {"captioner": "none"}}))
    assert snapshot_name(Dataset(dataset.root, anew)) != name


def test_rules_do_not_make_it_anew_where_captions_are_written_either(dataset):
    names = {
        snapshot_name(Dataset(dataset.root, make_plan(parse_recipe({"keep": keep}))))
        for keep in ({}, {"short": "duration_s >= 2"}, {"long": "duration_s <= 9"})
    }
    assert len(names) == 1


def test_it_may_be_deleted_and_verify_does_not_look_at_it(dataset):
    before = verify(dataset)
    durations(dataset)
    assert verify(dataset) == before
    shutil.rmtree(dataset.root / "cache")
    assert durations(dataset) == [1.0, 2.0]


def test_nothing_is_left_in_tmp_and_a_run_at_work_is_not_disturbed(dataset):
    begun = Store(dataset.root, run="now")
    with begun.lock():
        begun.begin()
        durations(dataset)
        assert [path.name for path in (dataset.root / "tmp").iterdir()] == ["now"]
        assert begun.publish("a.txt", lambda path: path.write_text("x"))


@pytest.mark.parametrize("method", ["mkdir", "write", "link"])
def test_a_folder_that_takes_no_files_is_read_through_the_views(dataset, method):
    class ReadOnly(FileOps):
        pass

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    setattr(ReadOnly, method, refuse)
    said: list[str] = []
    assert durations(Dataset(dataset.root, dataset.plan, Store(dataset.root, ReadOnly())), said) == [1.0, 2.0]
    assert "Read-only" in said[0]
    assert not list((dataset.root / "cache").glob("*"))


def test_a_run_that_begins_meanwhile_costs_only_the_snapshot(dataset):
    class Swept(FileOps):
        def write(self, path, write) -> None:
            write(path)
            Store(dataset.root, run="now").begin()

    said: list[str] = []
    assert durations(Dataset(dataset.root, dataset.plan, Store(dataset.root, Swept())), said) == [1.0, 2.0]
    assert "reading the views" in said[0]


def test_a_column_that_it_has_not_is_read_through_the_views(dataset):
    said: list[str] = []
    with measures(dataset, ["first_look"], said.append) as connection:
        assert connection.execute(f"select count(first_look) from {SOURCE}").fetchall() == [(0,)]
    assert "first_look" in said[0]
    assert "first_look" not in RULED  # stands for a list, of which there may be none


def test_odd_folder_names_are_taken_as_they_are(dataset, tmp_path):
    odd = tmp_path / "it's [a] d*taset"
    shutil.copytree(dataset.root, odd)
    assert durations(Dataset.open(odd)) == [1.0, 2.0]
    assert len(cached(Dataset.open(odd))) == 1
