"""Clip packs: one file a video holds its cut clips; nothing else of the dataset is other than with a file a clip."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

import hdvg
from hdvg.cli import app
from hdvg.config.recipe import parse_recipe
from hdvg.dataset.clip_files import ClipFile, clips_of_pack, cut_file
from hdvg.dataset.clip_packs import write_pack
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.inventory import media_of
from hdvg.dataset.stages import CUT
from hdvg.dataset.store import Store
from hdvg.errors import DamagedError, ItemError
from hdvg.ids import digest
from hdvg.planning import make_plan
from hdvg.reports.verify import verify
from pipelines.clip_media import kept_clips, publish_pack, taken, write_clips
from pipelines.perform import Job, commit
from pipelines.repair import Repaired, repair
from pipelines.repair_clips import mend_clips
from pipelines.repair_media import unit_of_video
from tests.crash import DyingOps
from tests.explorer import served
from tests.layouts import asked, call, files
from tests.videos import draw_scenes, read_numbers

RECIPE = """
name = "clips"
keep = {short = "duration_s >= 1"}
[caption]
captioner = "none"
"""
SERIAL = ("--runner", "serial")
PACKS = ("--set", "storage.clips=packs")
SCENES = (30, 34, 20, 38)
"""Frames; the third is dropped."""
CLIPS = "select clip_id, video_id, clip_pack, clip_offset, clip_sha256, n_frames from clips where cut_status = 'ok' order by 1"


def go(folder: Path, name: str, *more: str) -> Path:
    """A dataset of two videos in one unit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hdvg.dataset.intake.cut_units", lambda videos: [(digest("unit", videos)[:16], videos)])
        call("run", folder / "clips.toml", "--links", folder / "videos", "--out", folder / name, *SERIAL, *more)
    return folder / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two datasets of the same videos, `files` and `packs`; not to be changed."""
    made = tmp_path_factory.mktemp("packs")
    (made / "clips.toml").write_text(RECIPE)
    (made / "videos").mkdir()
    for seed, name in enumerate(("a", "b")):
        draw_scenes(made / "videos" / f"{name}.mp4", scene_frames=SCENES, seed=seed + 3)
    go(made, "files")
    go(made, "packs", *PACKS)
    return made


@pytest.fixture
def dataset(folder, tmp_path) -> Path:
    """A copy of the one with packs, to be changed."""
    return Path(shutil.copytree(folder / "packs", tmp_path / "d"))


def packs(root: Path) -> dict[str, Path]:
    """By video."""
    rows = asked(root, "select distinct video_id, clip_pack from clips where clip_pack is not null")
    return {row["video_id"]: root / "media" / row["clip_pack"][:2] / f"{row['clip_pack']}.zip" for row in rows}


def shards(root: Path) -> dict[str, list[dict[str, Any]]]:
    """What part rows say of shards, and all of their rows."""
    contents = [path.name for path in (root / "parts/shard").iterdir()]
    return {str(sorted(contents)): [row for path in sorted((root / "shards").iterdir()) for row in pq.read_table(path).to_pylist()]}  # fmt: skip


def media(root: Path) -> list[Path]:
    return [path for path in (root / "media").rglob("*") if path.is_file()]


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def mended(root: Path) -> Repaired:
    return repair(root, Console(file=io.StringIO()))


def test_shards_are_the_same_as_with_a_file_a_clip(folder):
    assert shards(folder / "packs") == shards(folder / "files")
    columns = "clip_id, cut_status, clip_sha256, clip_bytes, cut_mode, cut_n_frames"
    rows = [asked(folder / name, f"select {columns} from clips order by 1") for name in ("packs", "files")]
    assert rows[0] == rows[1]
    assert sum(row["cut_status"] == "ok" for row in rows[0]) == 6
    assert "whole" in call("verify", folder / "packs")


def test_all_clips_of_a_video_are_one_file_that_any_tool_takes_apart(folder, tmp_path):
    assert len(media(folder / "files")) == 2 * (1 + 1 + 3)
    assert len(media(folder / "packs")) == 2 * (1 + 1 + 1)
    rows = asked(folder / "packs", CLIPS)
    assert not (folder / "packs/media" / rows[0]["clip_sha256"][:2] / f"{rows[0]['clip_sha256']}.mp4").exists()
    for video, path in packs(folder / "packs").items():
        mine = {f"{row['clip_id']}.mp4": row for row in rows if row["video_id"] == video}
        with zipfile.ZipFile(path) as pack:
            assert pack.testzip() is None
            assert set(pack.namelist()) == set(mine)
            for name in pack.namelist():
                assert hashlib.sha256(pack.read(name)).hexdigest() == mine[name]["clip_sha256"]
                assert len(read_numbers(Path(pack.extract(name, tmp_path)))) == mine[name]["n_frames"]


def test_a_clip_is_read_and_written_as_mp4_out_of_its_pack(folder, tmp_path):
    (row, *_) = asked(folder / "packs", CLIPS)
    call("play", folder / "packs", row["clip_id"], "--out", tmp_path / "x.mp4")
    content = (tmp_path / "x.mp4").read_bytes()
    assert hashlib.sha256(content).hexdigest() == row["clip_sha256"]
    clip = hdvg.open(folder / "packs").clip(row["clip_id"])
    assert clip.bytes() == content
    assert len(clip.frames(height=36)) == row["n_frames"]


def test_a_switch_to_packs_does_nothing_again_and_what_is_cut_later_goes_into_them(folder, tmp_path):
    root = Path(shutil.copytree(folder / "files", tmp_path / "d"))
    before = files(root)
    call("run", root, *PACKS, *SERIAL)
    assert files(root) == before
    call("run", root, "--set", "keep.short=duration_s >= 0.5", *SERIAL)
    new = {name for name in files(root).keys() - before.keys() if name.startswith("media/")}
    assert {Path(name).suffix for name in new} == {".zip"}
    assert len(new) == 2
    changed = {name for name, _ in before.items() - files(root).items()}
    assert all(name.startswith(("shards/", "parts/shard/")) for name in changed)
    rows = asked(root, CLIPS)
    assert sorted(row["clip_pack"] is None for row in rows) == [False] * 2 + [True] * 6
    assert verify(Dataset.open(root)) == []


def test_the_same_clips_in_the_same_order_are_the_same_pack(tmp_path):
    clips = [("b", b"second" * 1000), ("a", b"first")]
    places = [write_pack(tmp_path / name, clips) for name in ("x", "y")]
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    assert places[0] == places[1]
    assert [ClipFile(tmp_path / "x", places[0][name], len(content)).read() for name, content in clips] == [
        content for _, content in clips
    ]


def test_a_long_film_has_several_packs_each_below_a_bound_unless_one_clip_is_larger(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.clip_media.MOST_BYTES", 1000)
    recipe = parse_recipe({"caption": {"captioner": "none"}, "storage": {"clips": "packs"}})
    dataset = Dataset(tmp_path, make_plan(recipe), Store(tmp_path))
    dataset.store.begin()
    sizes, cut = (400, 600, 1, None, 1500, 300), []
    with dataset.store.scratch() as scratch:
        for number, size in enumerate(sizes):
            path = None if size is None else scratch / f"{number}.mp4"
            if path is not None:
                path.write_bytes(bytes([number]) * (size or 0))
            cut.append(({"clip_id": str(number), "clip_bytes": size, "clip_pack": None}, path))
        rows = kept_clips(dataset, cut)
    assert [row["clip_id"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    packed = [row["clip_pack"] for row in rows]
    assert packed[0] == packed[1]
    assert len(set(packed)) == 5, "and none of the one that failed"
    assert packed[3] is None
    assert [cut_file(dataset.store, row) for row in rows if row["clip_pack"]] == [
        bytes([number]) * size for number, size in enumerate(sizes) if size
    ]


def test_a_link_that_a_child_gives_for_a_clip_is_not_followed(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "clip.mp4").symlink_to(tmp_path / "secret")
    with pytest.raises(ItemError):
        taken(tmp_path / "clip.mp4")


def test_a_damaged_clip_costs_its_pack_nothing_else_and_is_cut_again_with_the_same_bytes(dataset):
    before = files(dataset)
    path = next(iter(packs(dataset).values()))
    with Dataset.open(dataset).manifest() as manifest:
        first, second, *_ = clips_of_pack(manifest, path.stem)
    flip(path, second["clip_offset"] + 100)
    (problem,) = verify(Dataset.open(dataset))
    assert problem.check == "corrupt"
    assert f"1 of its 3 clips are damaged, the first is {second['clip_id']}" in problem.detail
    assert hdvg.open(dataset).clip(first["clip_id"]).bytes()
    with pytest.raises(DamagedError, match=f"{path.name}.*verify --repair"):
        hdvg.open(dataset).clip(second["clip_id"]).bytes()
    done = mended(dataset)
    assert "made again with the same bytes" in done.mended[0]
    assert (len(done.mended), done.drift, done.left) == (1, [], [])
    assert files(dataset) == before


@pytest.mark.slow
@pytest.mark.parametrize("at", [-20, None], ids=["in the list at its end", "gone"])
def test_a_damaged_or_lost_pack_is_made_again_with_the_same_bytes(dataset, at):
    before = files(dataset)
    path = next(iter(packs(dataset).values()))
    if at is None:
        path.unlink()
    else:
        flip(path, at)
    done = mended(dataset)
    assert "made again with the same bytes" in done.mended[0]
    assert (len(done.mended), done.drift, done.left) == (1, [], [])
    assert files(dataset) == before


@pytest.mark.slow
def test_a_repair_killed_before_any_file_operation_loses_no_whole_clip_and_ends_the_same(dataset, tmp_path):
    before, left = files(dataset), []
    path = next(iter(packs(dataset).values()))
    with Dataset.open(dataset).manifest() as manifest:
        first, second, third = clips_of_pack(manifest, path.stem)
        flip(path, second["clip_offset"] + 100)
        (thing,) = (one for one in media_of(Dataset.open(dataset), manifest) if one.sha256 == path.stem)

    def look(ops: DyingOps) -> None:
        left.append(Path(shutil.copytree(dataset, tmp_path / f"killed-{len(left)}")))

    opened = Dataset.open(dataset)
    mending = Dataset(dataset, opened.plan, Store(dataset, DyingOps(before=look), run="mending"))
    mending.store.begin()
    assert "the same bytes" in mend_clips(mending, thing).mended
    assert len(left) >= 8
    for root in left:
        for clip in (first, third):
            assert cut_file(Store(root), clip) is not None
        assert mended(root).left == []
        assert files(root) == before


@pytest.mark.slow
def test_what_is_cut_again_with_other_bytes_goes_into_another_pack_with_what_was_whole(dataset):
    opened = Dataset.open(dataset, run="test")
    path = next(iter(packs(dataset).values()))
    with opened.manifest() as manifest:
        rows = clips_of_pack(manifest, path.stem)
    content = path.read_bytes()
    pieces = [content[row["clip_offset"] :][: row["clip_bytes"]] for row in rows]
    pieces[1] += b"\0\0\0\x08free"  # as by an encoder of another day
    rows[1]["clip_bytes"] += 8
    opened.store.begin()
    with opened.store.scratch() as scratch:
        named = publish_pack(
            opened.store, scratch / "pack", write_clips(scratch / "pack", zip(rows, pieces, strict=True))
        )
    commit(opened, Job(dataset, "test", CUT, unit_of_video(opened, rows[0]["video_id"])), [], named)
    opened.store.end()
    call("shard", dataset)
    old = dataset / "media" / named[0]["clip_pack"][:2] / f"{named[0]['clip_pack']}.zip"
    flip(old, named[1]["clip_offset"] + 100)
    done = mended(dataset)
    assert (len(done.drift), done.left) == (0, [])
    assert any("cut again, with other bytes" in line for line in done.mended)
    assert not old.exists()
    found = {row["clip_id"]: row["clip_sha256"] for row in asked(dataset, CLIPS)}
    assert [found[row["clip_id"]] for row in rows] == [
        hashlib.sha256(piece.removesuffix(b"\0\0\0\x08free")).hexdigest() for piece in pieces
    ]
    assert "whole" in call("verify", dataset)


@pytest.mark.slow
def test_clips_that_cannot_be_cut_again_leave_the_others_where_they_are_read(folder, dataset):
    """The link is gone, and so is the source."""
    path = next(iter(packs(dataset).values()))
    with Dataset.open(dataset).manifest() as manifest:
        first, second, *_ = clips_of_pack(manifest, path.stem)
    (source,) = asked(dataset, f"select source, sha256 from videos where video_id = '{first['video_id']}'")
    film = Path(source["source"].removeprefix("file://"))
    Dataset.open(dataset).store.remove_media(source["sha256"])
    flip(path, second["clip_offset"] + 100)
    aside = film.rename(film.with_suffix(".aside"))
    try:
        done = mended(dataset)
    finally:
        aside.rename(film)
    assert any("1 of its 3 clips cannot be cut again" in line for line in done.drift)
    assert path.exists()
    assert hdvg.open(dataset).clip(first["clip_id"]).bytes()
    assert [problem.check for problem in done.left].count("corrupt") == 1


@pytest.mark.slow
def test_a_lost_pack_is_cut_again_on_request(dataset):
    before = files(dataset)
    path = next(iter(packs(dataset).values()))
    path.unlink()
    result = CliRunner().invoke(app, ["verify", str(dataset)])
    assert result.exit_code == 1
    assert "hdvg retry --reason lost_clip" in result.output
    call("retry", dataset, "--reason", "lost_clip", *SERIAL)
    assert before.items() <= files(dataset).items()
    assert "whole" in call("verify", dataset)


def test_a_take_down_takes_the_videos_pack_and_leaves_its_neighbours(dataset):
    (gone, path), (_, other) = packs(dataset).items()
    neighbour = other.read_bytes()
    rows = [row for row in asked(dataset, CLIPS) if row["video_id"] == gone]
    with zipfile.ZipFile(path) as pack:
        needles = {held[len(held) // 2 :][:64] for held in map(pack.read, pack.namelist())}
    needles |= {row[name].encode() for row in rows for name in ("clip_id", "clip_pack", "clip_sha256")}
    call("forget", dataset, "--video", gone, "--purge")
    left = b"".join(path.name.encode() + path.read_bytes() for path in dataset.rglob("*") if path.is_file())
    assert not [needle for needle in needles if needle in left]
    assert other.read_bytes() == neighbour
    assert "whole" in call("verify", dataset)


def test_gc_keeps_packs_that_rows_name_and_takes_those_that_none_does(dataset):
    named = packs(dataset).values()
    orphan = dataset / "media/00" / f"{'0' * 64}.zip"
    orphan.parent.mkdir(exist_ok=True)
    write_pack(orphan, [("a", b"of a run that was killed")])
    for path in media(dataset):
        os.utime(path, (0, 0))
    call("gc", dataset, "--remove")
    assert not orphan.exists()
    assert all(path.exists() for path in named)
    assert "whole" in call("verify", dataset)


@pytest.mark.slow
def test_previews_and_measures_of_clips_read_packs(dataset, tmp_path):
    (tmp_path / "sizes_of_test.py").write_text(
        "class Sizes:\n    version, input, columns = 1, 'clip', {'size': ('number', 'bytes')}\n\n"
        "    def measure(self, content):\n        return {'size': float(len(content))}\n"
    )
    store = Dataset.open(dataset).store
    for row in asked(dataset, "select sha256 from videos"):
        store.remove_media(row["sha256"])
    own = f"measure.own.sizes={tmp_path}/sizes_of_test.py:Sizes"
    call("run", dataset, "--set", "measure.preview=true", "--set", own, *SERIAL)
    rows = asked(dataset, "select size, clip_bytes from dataset where keep")
    assert [row["size"] for row in rows] == [row["clip_bytes"] for row in rows]
    assert len(rows) == 6
    assert asked(dataset, "select * from failures") == []


def test_the_explorer_plays_ranges_of_packs(folder, tmp_path):
    root = Path(shutil.copytree(folder / "packs", tmp_path / "d"))
    row = asked(root, CLIPS)[1]
    content = hdvg.open(root).clip(row["clip_id"]).bytes()
    with served(root, tmp_path) as server:
        rows = {one["clip_id"]: one for one in server.browser.post("/api/rows").json["rows"]}
        assert rows[row["clip_id"]]["media"]["state"] == "file"
        path = f"/media/{row['clip_id']}"
        assert server.browser.get(path).body == content
        piece = server.browser.get(path, Range="bytes=100-199")
        assert (piece.status, piece.body) == (206, content[100:200])
        assert piece.headers["content-range"] == f"bytes 100-199/{len(content)}"
        assert server.browser.get(path, Range="bytes=-7").body == content[-7:]
        assert server.browser.get(f"/frame/{row['clip_id']}/3").body[:4] == b"RIFF"
