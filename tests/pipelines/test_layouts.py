"""A dataset of every released version opens in every command, and nothing of it is done again."""

from __future__ import annotations

import json
import shutil
import tomllib
from itertools import product
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.manifest import VIEWS
from tests.layouts import DATASETS, VERSIONS, asked, call, files, unpack


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    for version in VERSIONS:
        unpack(version, folder / version)
    return folder


@pytest.fixture(params=product(VERSIONS, DATASETS), ids="-".join)
def old(kept: Path, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a dataset as its version left it."""
    version, name = request.param
    return Path(shutil.copytree(kept / version / name, tmp_path / name))


def test_every_view_is_read(old):
    for view in VIEWS:
        rows = asked(old, f"select * from {view}")
        assert rows or view in {"rejected", "subtitles"}, view


def test_clips_have_what_their_version_measured(old):
    columns = "keep, caption, cut_status, duration_s, sharpness, phash, video_sha256"
    rows = asked(old, f"select {columns} from dataset")
    assert rows
    assert all(row["duration_s"] and row["sharpness"] and row["phash"] and row["video_sha256"] for row in rows)
    assert all(row["cut_status"] == "ok" and row["caption"] for row in rows if row["keep"])


def test_reading_commands_open_it(old):
    ((clip,),) = [row.values() for row in asked(old, "select clip_id from dataset where keep order by 1 limit 1")]
    assert json.loads(call("explain", old, clip, "--json"))["verdict"]
    assert json.loads(call("status", old, "--json"))
    assert "whole" in call("verify", old)
    assert call("filter", old, "--what-if", "duration_s >= 0.9")
    assert call("export", old, "--to", "webdataset", "--out", old.parent / "out")


def test_views_for_people_are_read_by_a_bare_duckdb(old, monkeypatch):
    monkeypatch.chdir(old)
    count = "select count(*) from dataset where keep"
    before = duckdb.connect()
    before.execute(Path("manifest.sql").read_text(encoding="utf-8"))
    dataset = Dataset.open(old)
    with dataset.store.aside() as store:
        dataset.write_views(store)
    after = duckdb.connect()
    after.execute(Path("manifest.sql").read_text(encoding="utf-8"))
    assert before.sql(count).fetchall() == after.sql(count).fetchall() != [(0,)]


def test_run_does_nothing_again(old):
    before, settings = files(old), tomllib.loads((old / "dataset.toml").read_text(encoding="utf-8"))
    call("run", old)
    new = {name: content for name, content in files(old).items() if before.get(name) != content}
    assert new == {}
    assert tomllib.loads((old / "dataset.toml").read_text(encoding="utf-8"))["fingerprints"] == settings["fingerprints"]
    assert "whole" in call("verify", old)


def test_other_rules_are_decided_of_it(old):
    keep = len(asked(old, "select 1 as one from verdicts where keep"))
    call("filter", old, "--set", "keep.long=duration_s >= 100")
    assert asked(old, "select 1 as one from verdicts where keep") == []
    call("filter", old, "--set", "keep.long=null")
    assert len(asked(old, "select 1 as one from verdicts where keep")) == keep > 0


def test_purge_takes_a_video_out_of_parts_of_its_layout(old):
    video, gone = asked(old, "select distinct video_id from dataset where keep order by 1")[:2]
    columns = {path.name: pq.read_schema(path).names for path in old.glob("parts/split/*.parquet")}
    call("forget", old, "--video", gone["video_id"], "--purge")
    assert [row["video_id"] for row in asked(old, "select distinct video_id from dataset where keep")] == [
        video["video_id"]
    ]
    assert {
        path.name: pq.read_schema(path).names for path in old.glob("parts/split/*.parquet")
    }.items() <= columns.items()
    held = [name for path in old.glob("**/*.parquet") if "video_id" in pq.read_schema(path).names
            for name in pq.read_table(path, columns=["video_id"])["video_id"].to_pylist()]  # fmt: skip
    assert gone["video_id"] not in held
    assert video["video_id"] in held
    assert "whole" in call("verify", old)


def test_lost_clip_is_cut_again(old):
    clip = asked(old, "select clip_sha256 from clips where cut_status = 'ok' order by 1 limit 1")[0]["clip_sha256"]
    Dataset.open(old).store.find_media(clip).unlink()
    call("retry", old, "--reason", "lost_clip")
    assert asked(old, "select count(*) as n from failures where stage = 'cut'") == [{"n": 0}]
    assert "whole" in call("verify", old)
