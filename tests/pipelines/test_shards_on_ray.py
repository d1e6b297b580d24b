"""What the nodes of a cluster do is what one process does (shards, looks, exports, the search for copies), and what goes wrong there is said here."""

from __future__ import annotations

import io
from dataclasses import replace

import pyarrow.compute as pc
import pytest
from rich.console import Console

from hdvg.dataset.shards import write_shards
from hdvg.duplicates import find_duplicates
from hdvg.errors import UsageError
from hdvg.exporting import Wanted, export
from hdvg.reports.verify import verify
from pipelines import export_on_ray, search_on_ray, verify_on_ray
from pipelines.shards_on_ray import on_cluster
from pipelines.tasks_on_ray import on_nodes
from pipelines.virtual_clips import VirtualClips
from tests.bench.bench_duplicates import made_up
from tests.products import Clip, add, make

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_a_look_at_files_finds_on_a_cluster_what_it_finds_here(tmp_path, monkeypatch):
    dataset = make(tmp_path / "d", [[Clip(0, 3000, bytes([number]) * 50)] for number in range(4)])
    damaged, lost, *_ = sorted(dataset.root.glob("media/*/*.mp4"))
    damaged.write_bytes(b"other")
    lost.unlink()
    here = verify(dataset)
    assert {problem.check for problem in here} == {"corrupt", "missing"}
    monkeypatch.setattr(verify_on_ray, "FILES", 1)
    assert verify(dataset, verify_on_ray.on_cluster("local")) == here


def test_export_is_the_same_bytes_and_an_unchanged_one_writes_nothing(tmp_path):
    dataset = make(tmp_path / "d", [[Clip(0, 3000, bytes([number]) * 50_000)] for number in range(6)])
    wanted = Wanted("webdataset", tmp_path / "tars", max_mb=0.1)
    shared, quiet = replace(wanted, out=tmp_path / "shared"), Console(file=io.StringIO())
    assert export(dataset, wanted, quiet)["files_written"] == 4
    write_all = export_on_ray.on_cluster("local", dataset)
    assert export(dataset, shared, quiet, write_all=write_all)["files_written"] == 4
    assert {path.name: path.read_bytes() for path in shared.out.iterdir()} == {
        path.name: path.read_bytes() for path in wanted.out.iterdir()
    }
    assert export(dataset, shared, quiet, write_all=write_all)["files_written"] == 0


def test_copies_are_those_that_one_process_finds(tmp_path, monkeypatch):
    clips, _ = made_up(2000, 0.3, 1)
    here = find_duplicates(clips)
    assert pc.sum(here["duplicate"]).as_py() > 500
    monkeypatch.setattr(search_on_ray, "LEAST", 1)
    assert find_duplicates(clips, spread=search_on_ray.on_cluster("local")(tmp_path)).equals(here)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_a_node_does_not_see_is_named(tmp_path):
    with pytest.raises(UsageError, match=f"does not see {tmp_path}/gone: mount that folder"):
        list(on_nodes("local", print, [1], needs=(tmp_path, tmp_path / "gone"), called="a test"))


def test_shards_are_the_same_bytes_and_a_clip_that_cannot_be_read_stops_the_run(tmp_path):
    def clips(*numbers):
        return [[Clip(0, 3000, bytes([number]) * 50, f"clip {number}")] for number in numbers]

    def shards():
        return {path.name: path.read_bytes() for path in (dataset.root / "shards").iterdir()}

    def forget():
        written = [*dataset.root.glob("parts/shard/[!s]*.parquet"), *dataset.root.glob("shards/*.parquet")]
        for path in written:
            dataset.store.remove(str(path.relative_to(dataset.root)))

    def lose_a_clip_first(some):
        dataset.store.remove(str(next(dataset.root.glob("media/*/*.mp4")).relative_to(dataset.root)))
        write_all(some)

    dataset = make(tmp_path / "d", clips(1, 2))
    add(dataset, clips(3, 4))
    expected = shards()
    assert len(expected) == 2
    with dataset.store.scratch() as scratch:
        write_all = on_cluster("local")(dataset, VirtualClips(dataset, scratch))
        forget()
        assert write_shards(dataset, write_all) == 4
        assert shards() == expected
        forget()
        with pytest.raises(UsageError, match="its file is gone from media/"):
            write_shards(dataset, lose_a_clip_first)
