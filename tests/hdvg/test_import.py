"""A metadata file taken into a dataset: nothing vanishes, nothing stands twice, and a kill costs nothing."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import hdvg
from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.intake import accept
from hdvg.dataset.store import Store
from hdvg.errors import UsageError
from hdvg.planning import make_plan
from hdvg.published import ingest, staging
from hdvg.published.ingest import Taken, take
from hdvg.reports.verify import verify
from hdvg.sources.canonical import canonical
from schemas.given import GIVEN
from tests.crash import LOSSES, Crash, DyingOps
from tests.metadata import flat, hd_vg_videos, write_hd_vg

ID = "abcDEF-_012"


@pytest.fixture
def dataset(new_dataset: Dataset) -> Dataset:
    return new_dataset


def write(path: Path, videos: dict[str, Any]) -> Path:
    path.write_text(json.dumps(videos))
    return path


def given(dataset: Dataset) -> list[dict[str, Any]]:
    """All rows of the given files with their `unit`, in the order of their places."""
    rows = [
        row | {"unit": path.name.split("-")[0]}
        for path in sorted((dataset.root / "given").glob("*.parquet"))
        for row in pq.read_table(path, schema=GIVEN).to_pylist()
    ]
    return sorted(rows, key=lambda row: (row["file"], row["place"]))


def query(dataset: Dataset, sql: str) -> list[dict[str, Any]]:
    return hdvg.open(dataset.root).sql(sql).to_pylist()


def bundle(folder: Path, count: int = 12, seed: int = 5) -> tuple[Path, dict[str, Any]]:
    videos = dict(hd_vg_videos(count, seed=seed, parents=3))
    return write(folder / f"hdvg_{seed}.json", videos), videos


def test_every_scene_becomes_a_row_with_its_origin_and_place(dataset, tmp_path):
    path, videos = bundle(tmp_path)
    taken = take(dataset, path, origin="hd-vg")
    rows = given(dataset)
    columns = ("given_id", "parent", "parent_start_ms", "parent_end_ms", "fps", "start_frame", "end_frame", "caption")
    assert [tuple(row[name] for name in columns) for row in rows] == [one[1:] for one in flat(videos)]
    assert [row["place"] for row in rows] == list(range(1, len(rows) + 1))
    assert {(row["origin"], row["file"]) for row in rows} == {("hd-vg", path.name)}
    assert (taken.videos, taken.new_videos, taken.scenes, taken.captions) == (12, 12, len(rows), len(rows))
    assert taken.parents == sum(len(entry["clip"]) for entry in videos.values())
    assert (taken.rejected, taken.known, taken.before) == ({}, 0, False)


def test_hours_are_those_of_the_scenes(dataset, tmp_path):
    clip = {"scene_cut": [30, 90], "clip_id": "a", "caption": "x"}
    whole = {"scene_cut": [0, -1], "clip_id": "b", "caption": "x"}
    parents = {
        "p": {"span": ["00:00:00.000", "00:00:10.000"], "fps": 30.0, "scene_split": [clip]},
        "q": {"span": ["00:01:00.000", "00:01:34.000"], "fps": 30.0, "scene_split": [whole]},
    }
    entry = {"url": f"https://www.youtube.com/watch?v={ID}", "clip": parents}
    assert take(dataset, write(tmp_path / "h.json", {ID: entry}), origin="hd-vg").hours == pytest.approx(36 / 3600)


def test_rows_lie_in_the_unit_of_their_video_sorted(dataset, tmp_path):
    path, _ = bundle(tmp_path, count=200)
    take(dataset, path, origin="hd-vg")
    units = {
        row["video_id"]: row["unit"] for row in query(dataset, "select video_id, unit from inputs where status = 'new'")
    }
    assert len(units) == 200
    sizes = Counter(units.values())
    assert set(sizes.values()) == {4}  # 200 videos in units of ceil(200 / 64)
    for file in (dataset.root / "given").glob("*.parquet"):
        rows = pq.read_table(file).to_pylist()
        assert {units[row["video_id"]] for row in rows} == {file.name.split("-")[0]}
        assert rows == sorted(rows, key=lambda row: (row["video_id"], row["place"]))
    assert [problem for problem in verify(dataset) if problem.check != "unfinished"] == []


def test_links_are_those_that_a_list_would_give(dataset, tmp_path):
    path, videos = bundle(tmp_path)
    take(dataset, path, origin="hd-vg")
    rows = query(dataset, "select * from inputs order by line")
    assert [row["source"] for row in rows] == [canonical(entry["url"], base=None) for entry in videos.values()]
    assert {(row["origin"], row["seq"], row["status"]) for row in rows} == {(path.name, 1, "new")}
    (tmp_path / "links.txt").write_text("\n".join(entry["url"] for entry in videos.values()))
    assert accept(dataset, str(tmp_path / "links.txt")).known == 12


def test_same_file_again_adds_nothing(dataset, tmp_path):
    path, _ = bundle(tmp_path)
    first = take(dataset, path, origin="hd-vg")
    before = {file: file.read_bytes() for file in dataset.root.rglob("*.parquet")}
    path = path.rename(tmp_path / "other_name.json")
    again = take(dataset, path, origin="hd-vg")
    assert (again.before, again.scenes, again.new_videos) == (True, first.scenes, 0)
    assert {file: file.read_bytes() for file in dataset.root.rglob("*.parquet")} == before


def test_video_known_from_a_list_keeps_its_unit(dataset, tmp_path):
    path, videos = bundle(tmp_path)
    (tmp_path / "links.txt").write_text(
        "\n".join([*(entry["url"] for entry in list(videos.values())[:5]), "https://a.org/x.mp4"])
    )
    accept(dataset, str(tmp_path / "links.txt"))
    units = {row["video_id"]: row["unit"] for row in query(dataset, "from inputs where status = 'new'")}
    taken = take(dataset, path, origin="hd-vg")
    assert (taken.videos, taken.new_videos) == (12, 7)
    now = {row["video_id"]: row["unit"] for row in query(dataset, "from inputs where status = 'new'")}
    assert units.items() <= now.items()
    assert all(row["unit"] == now[row["video_id"]] for row in given(dataset))
    assert len(given(dataset)) == len(flat(videos))


def test_video_in_two_files_has_the_rows_of_both_once(dataset, tmp_path):
    path, videos = bundle(tmp_path, count=3)
    first, second = list(videos)[:2]
    more = json.loads(json.dumps({first: videos[first], second: videos[second]}))
    parent = next(iter(more[first]["clip"].values()))
    changed = parent["scene_split"][0]
    changed["caption"] = "another text"
    parent["scene_split"].append({"scene_cut": [7, 9], "clip_id": "new one", "caption": "new"})
    take(dataset, path, origin="hd-vg")
    taken = take(dataset, write(tmp_path / "second.json", more), origin="hd-vg")
    both = flat(more)
    assert (taken.scenes, taken.known, taken.rejected) == (1, len(both) - 2, {"duplicate": 1})
    (rejected,) = query(dataset, "from rejected")
    assert (rejected["file"], rejected["place"], rejected["given_id"]) == ("second.json", 1, changed["clip_id"])
    assert "with another span or text" in rejected["detail"]
    assert len(given(dataset)) == len(flat(videos)) + 1


def test_some_videos_first_then_all(dataset, tmp_path):
    path, videos = bundle(tmp_path)
    some = take(dataset, path, origin="hd-vg", limit=4)
    assert (some.videos, some.scenes) == (4, len(flat(dict(list(videos.items())[:4]))))
    rest = take(dataset, path, origin="hd-vg")
    assert (rest.new_videos, rest.known, rest.rejected) == (8, some.scenes, {})
    assert [row["given_id"] for row in given(dataset)] == [one[1] for one in flat(videos)]


def test_bad_scenes_and_links_are_rejected_with_their_place(dataset, tmp_path):
    path, videos = bundle(tmp_path, count=6)
    names = list(videos)
    scenes = [scene for name in names for parent in videos[name]["clip"].values() for scene in parent["scene_split"]]
    videos[names[1]]["url"] = "ftp://a.org/x.mp4"
    videos[names[2]]["url"] = 7
    of_bad_links = sum(len(p["scene_split"]) for name in names[1:3] for p in videos[name]["clip"].values())
    first = [scene for parent in videos[names[0]]["clip"].values() for scene in parent["scene_split"]]
    last = [scene for parent in videos[names[5]]["clip"].values() for scene in parent["scene_split"]]
    first[0]["caption"] = 12
    last[-1]["clip_id"] = last[0]["clip_id"] if len(last) > 1 else 5
    content = json.dumps(videos)
    path.write_bytes(content.encode().replace(first[1]["caption"].encode(), b"caf\xe9 au lait", 1))
    taken = take(dataset, path, origin="hd-vg")
    rows = {row["place"]: row for row in query(dataset, "from rejected")}
    assert len(rows) == sum(taken.rejected.values()) == of_bad_links + 3
    assert {row["place"] for row in given(dataset)} | set(rows) == set(range(1, len(scenes) + 1))
    assert taken.scenes + len(rows) == len(scenes)
    assert (rows[1]["detail"], rows[2]["detail"]) == ("Expected bytes, got a 'int' object", "not UTF-8")
    assert rows[len(first) + 1]["detail"].startswith("its link: `ftp:` links are not fetched")
    assert rows[len(scenes)]["reason"] == ("duplicate" if len(last) > 1 else "bad_input")
    assert [rows[place]["at"] for place in (1, 2)] == [1, 1]
    assert rows[len(first) + 1]["at"] == path.read_bytes().index(f'"{names[1]}": {{'.encode())


@pytest.mark.parametrize("text", [r"\ud800", "\\u0000"])
def test_text_that_utf8_cannot_hold_is_rejected_and_nul_is_text(dataset, tmp_path, text):
    path, videos = bundle(tmp_path, count=2)
    content = json.dumps(videos)
    caption = flat(videos)[0][-1]
    path.write_text(content.replace(caption, text, 1))
    taken = take(dataset, path, origin="hd-vg")
    assert taken.rejected == ({"bad_input": 1} if "ud8" in text else {})


def test_cut_in_the_middle_of_a_frame_is_rejected(dataset, tmp_path):
    path, videos = bundle(tmp_path, count=2)
    first = next(iter(next(iter(videos.values()))["clip"].values()))
    first["scene_split"][0]["scene_cut"] = [0, 10.5]
    path.write_text(json.dumps(videos))
    assert take(dataset, path, origin="hd-vg").rejected == {"bad_input": 1}


def test_batches_of_any_size_give_the_same_rows(dataset, tmp_path, monkeypatch):
    path, videos = bundle(tmp_path, count=9)
    for number, scene in enumerate(s for e in videos.values() for p in e["clip"].values() for s in p["scene_split"]):
        if number % 7 == 3:
            scene["caption"] = [None]
    write(path, videos)
    seen = []
    for size in (1, 5, 64, 65_536):
        monkeypatch.setattr(staging, "BATCH_ROWS", size)
        root = tmp_path / str(size)
        root.mkdir()
        other = Dataset(root, dataset.plan)
        other.store.begin()
        other.prepare()
        take(other, path, origin="hd-vg")
        seen.append((given(other), query(other, "from rejected")))
    assert all(one == seen[0] for one in seen)
    assert len(seen[0][1]) == len([one for n, one in enumerate(flat(videos)) if n % 7 == 3])


def test_file_of_another_set_is_refused_and_leaves_nothing(dataset, tmp_path):
    path, _ = bundle(tmp_path)
    (tmp_path / "m.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(UsageError, match="no scene of internvid"):
        take(dataset, tmp_path / "m.jsonl", origin="internvid")
    (tmp_path / "e.json").write_text("{}")
    with pytest.raises(UsageError, match="it is empty"):
        take(dataset, tmp_path / "e.json", origin="hd-vg")
    with pytest.raises(UsageError, match="this set is read from"):
        take(dataset, path, origin="panda-70m")
    assert not (dataset.root / "given").exists()
    assert query(dataset, "from inputs") == []


def test_rows_of_one_video_far_apart_share_it(dataset, tmp_path):
    draw = random.Random(0)
    names = [f"abcdefghij{n}" for n in range(10)]
    rows = [(draw.choice(names), start, start + 5) for start in range(300)]
    lines = [
        json.dumps({"YoutubeID": name, "Start_timestamp": start, "End_timestamp": end, "Caption": f"{start}"})
        for name, start, end in rows
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(lines))
    taken = take(dataset, tmp_path / "m.jsonl", origin="internvid")
    assert (taken.videos, taken.scenes) == (len({name for name, _, _ in rows}), 300)
    assert [int(row["caption"]) for row in given(dataset)] == list(range(300))
    first = {name: number for number, (name, _, _) in reversed(list(enumerate(rows, start=1)))}
    assert {row["link"][-11:]: row["line"] for row in query(dataset, "from inputs")} == first


# Killed


def crash_bundle(folder: Path) -> tuple[Path, Path]:
    """Two files that share a video; the second has a scene twice."""
    videos = dict(hd_vg_videos(3, seed=8, parents=1))
    names = list(videos)
    second = {names[2]: videos[names[2]], **dict(hd_vg_videos(1, seed=9, parents=1))}
    split = next(iter(list(second.values())[1]["clip"].values()))["scene_split"]
    split.append(split[0])
    return write(folder / "a.json", {name: videos[name] for name in names}), write(folder / "b.json", second)


def begun(root: Path, store: Store) -> Dataset:
    dataset = Dataset(root, make_plan(parse_recipe({"caption": {"captioner": "none"}})), store)
    store.begin()
    return dataset


def held(root: Path) -> dict[str, bytes]:
    folders = ("given", "inputs", "rejected")
    return {f"{name}/{path.name}": path.read_bytes() for name in folders for path in (root / name).glob("*")}


def test_killed_import_is_ended_by_the_same_command(tmp_path):
    first, second = crash_bundle(tmp_path)
    base = tmp_path / "base"
    base.mkdir()
    dataset = begun(base, Store(base))
    dataset.prepare()
    take(dataset, first, origin="hd-vg")
    shutil.copytree(base, tmp_path / "whole")
    take(begun(tmp_path / "whole", Store(tmp_path / "whole")), second, origin="hd-vg")
    wanted = held(tmp_path / "whole")
    for at in range(1, 200):
        root = tmp_path / f"at{at}"
        shutil.copytree(base, root)
        dying = DyingOps(at)
        try:
            take(begun(root, Store(root, dying)), second, origin="hd-vg")
            assert at > 20
            return
        except Crash:
            pass
        for loss in [loss for loss in LOSSES if loss == "kill" or dying.unsynced_names or dying.unsynced_data]:
            again = tmp_path / f"again{at}"
            shutil.copytree(root, again)
            if loss == "kill":
                take(begun(again, Store(again)), second, origin="hd-vg")
                assert held(again) == wanted, (at, loss)
            shutil.rmtree(again)
        LOSSES["names lost"](dying)
        take(begun(root, Store(root)), second, origin="hd-vg")
        assert held(root) == wanted, at
        shutil.rmtree(root)
    raise AssertionError("the import never ends")


def test_what_a_killed_import_left_is_swept_where_another_came_between(tmp_path):
    first, second = crash_bundle(tmp_path)
    root = tmp_path / "d"
    root.mkdir()
    dataset = begun(root, Store(root))
    dataset.prepare()
    take(dataset, first, origin="hd-vg")
    (root / "given" / "0123456789abcdef-0123456789abcdef.parquet").write_bytes(b"of a unit that came to nothing")
    assert [problem.check for problem in verify(dataset)][:1] == ["corrupt"]
    take(dataset, second, origin="hd-vg")
    assert [problem.check for problem in verify(dataset) if problem.check != "unfinished"] == []


# Of some size


def test_import_sorts_on_disk_what_does_not_fit_in_memory(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(ingest, "MEMORY", "40MB")
    write_hd_vg(tmp_path / "v.json", 300, seed=2)
    taken = take(dataset, tmp_path / "v.json", origin="hd-vg")
    assert isinstance(taken, Taken)
    assert taken.scenes == len(flat(json.loads((tmp_path / "v.json").read_text())))
