"""A dataset in a bucket that a user may read answers as the one it is a copy of, and nothing is written there."""

from __future__ import annotations

import contextlib
import shutil

import pytest

import hdvg as package
from hdvg.dataset.far import LOG, MARK, THERE
from hdvg.dataset.mirror import HELD, LOCK, mirrors
from hdvg.dataset.remote import open_to_read
from hdvg.errors import UsageError
from tests.object_store import CLOSED, KEY, OPEN, SECRET
from tests.test_cli import SMALL, ask, hdvg
from tests.tools import need
from tests.videos import draw_scenes

need("obstore")

import obstore  # noqa: E402

PLACE = f"s3://{OPEN}/sets/mine"


@pytest.fixture(scope="module")
def store(s3_server):
    return s3_server


@pytest.fixture(scope="module")
def local(tmp_path_factory, store):
    """A dataset, and all its files in the bucket."""
    folder = tmp_path_factory.mktemp("far")
    draw_scenes(folder / "a.mp4", scene_frames=(20, 16, 24))
    hdvg("run", "demo", "--links", folder / "a.mp4", "--out", folder / "d", *SMALL)
    upload(store, folder / "d")
    return folder / "d"


@pytest.fixture(autouse=True)
def guest(monkeypatch, tmp_path, store):
    """A user who may read the bucket, with a cache of its own."""
    for name, value in store.environment(guest=True).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def upload(store, folder, place="sets/mine"):
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.put(f"{place}/{path.relative_to(folder)}", path)


def copied():
    return {
        str(path.relative_to(mirrors())): path.stat().st_mtime_ns
        for path in mirrors().rglob("*")
        if path.is_file() and path.name not in (HELD, LOCK, LOG, MARK) and THERE not in path.parts
    }


def test_query_answers_as_on_the_dataset_itself(local):
    sql = "select clip_id, keep, duration_s, reasons from dataset order by clip_id"
    assert ask(PLACE, sql) == ask(local, sql)
    assert len(ask(PLACE + "/", "from clips")) == 3
    names = {name.partition("/")[2] for name in copied()}
    assert "dataset.toml" in names
    assert not [name for name in names if name.startswith(("media/", "shards/", "logs/", "run.lock"))]
    held = b"".join(path.read_bytes() for path in mirrors().rglob("*") if path.is_file())
    assert KEY.encode() not in held
    assert SECRET.encode() not in held


def test_a_clips_file_comes_when_it_is_asked_for(local):
    with package.open(PLACE) as far, package.open(local) as near:
        assert not [name for name in copied() if "/media/" in name]
        kept = [clip.bytes() for clip in far.clips("keep")]
        assert kept == [clip.bytes() for clip in near.clips("keep")]
        assert kept
        (dropped, *_) = far.clips("not keep")
        assert dropped.frames(height=16).shape[1] == 16  # cut of its source, which comes too
        assert far.status().funnel == near.status().funnel
        assert not [name for name in copied() if "/shards/" in name]
        far._folder.store.require_shards()
    assert [name for name in copied() if "/shards/" in name]
    assert [name for name in copied() if "/media/" in name]


@pytest.mark.slow
def test_of_a_pack_of_clips_no_other_clip_is_fetched(store, tmp_path):
    draw_scenes(tmp_path / "a.mp4", scene_frames=(20, 16, 24), seed=5)
    packs = ("--set", "storage.clips=packs")
    hdvg("run", "demo", "--links", tmp_path / "a.mp4", "--out", tmp_path / "d", *SMALL, *packs)
    upload(store, tmp_path / "d", "sets/packs")
    (pack,) = ask(tmp_path / "d", "select distinct clip_pack as name from clips where clip_pack is not null")
    with package.open(f"s3://{OPEN}/sets/packs") as far, package.open(tmp_path / "d") as near:
        kept = [clip.bytes() for clip in near.clips("keep")]
        assert [clip.bytes() for clip in far.clips("keep")] == kept != []
        assert next(far.clips("keep")).frames(height=16).shape[1] == 16
    assert not [name for name in copied() if pack["name"] in name]


def test_only_what_is_new_is_copied_again(local, store):
    ask(PLACE, "from videos")
    before = copied()
    store.put("sets/mine/dataset.toml", (local / "dataset.toml").read_bytes() + b"# another\n")
    store.put("sets/mine/tables/annotations/0.parquet", b"none")
    ask(PLACE, "select 1 as one")
    after = copied()
    assert {name.partition("/")[2] for name in after if after[name] != before.get(name)} == {
        "dataset.toml",
        "tables/annotations/0.parquet",
    }
    upload(store, local)
    obstore.delete(store.store(OPEN), "sets/mine/tables/annotations/0.parquet")
    assert len(ask(PLACE, "from clips")) == 3
    assert copied().keys() == before.keys()


def test_what_is_taken_down_leaves_this_machine_too(local, store, tmp_path):
    mine, place = tmp_path / "d", f"s3://{OPEN}/sets/forgets"
    shutil.copytree(local, mine)
    upload(store, mine, "sets/forgets")
    with package.open(place) as far:
        assert [clip.bytes() for clip in far.clips("keep")]
    assert [name for name in copied() if "/media/" in name]
    (video,) = ask(mine, "select video_id from videos")
    hdvg("forget", mine, "--video", video["video_id"], "--purge")
    there = [str(path.relative_to(mine)) for path in mine.rglob("*") if path.is_file()]
    for name in {name.partition("/")[2] for name in copied()} - {*there}:
        with contextlib.suppress(FileNotFoundError):
            obstore.delete(store.store(OPEN), f"sets/forgets/{name}")
    upload(store, mine, "sets/forgets")
    assert ask(place, "from clips") == []
    assert not [name for name in copied() if "/media/" in name]


@pytest.mark.parametrize(
    ("place", "said"),
    [(f"s3://{OPEN}/nothing", "no dataset lies there"), (f"s3://{CLOSED}/d", "AccessDenied"), ("s3://u:p@films/d", "password"),
     ("hdfs://name/d", "not supported")],
)  # fmt: skip
def test_a_place_without_a_dataset_says_so(place, said):
    assert said in hdvg("query", place, "from videos", code=2).stderr
    with pytest.raises(UsageError, match=said):
        package.open(place)


def test_a_copy_that_is_not_whole_is_refused(local, store):
    upload(store, local, "sets/torn")
    lost = next(path for path in (local / "parts" / "split").glob("*.parquet") if not path.name.startswith("seed"))
    obstore.delete(store.store(OPEN), f"sets/torn/{lost.relative_to(local)}")
    with pytest.raises(UsageError, match="copy the whole dataset"):
        open_to_read(f"s3://{OPEN}/sets/torn")


@pytest.mark.parametrize(
    "command", [["run"], ["split"], ["forget", "--purge"], ["annotate", "{clip}", "--mark", "drop"]]
)
def test_who_may_only_read_is_told_so_when_something_would_be_written(command, local, store):
    clip = ask(PLACE, "select clip_id from clips limit 1")[0]["clip_id"]
    said = hdvg(command[0], PLACE, *(word.format(clip=clip) for word in command[1:]), code=2).stderr
    assert "AccessDenied" in said
    assert PLACE in said
    assert str(mirrors()) not in said


def test_who_may_only_read_may_look_at_all(local):
    assert "whole" in hdvg("verify", PLACE).stdout
    assert PLACE in hdvg("status", PLACE).stdout
    hdvg("compact", PLACE)
    assert len(ask(PLACE, "from clips")) == 3
