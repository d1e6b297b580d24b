"""The released layout of HD-VG-130M: what came in that layout goes out in it, and our own clips become parents of one scene."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from hdvg.dataset.dataset import Dataset
from hdvg.errors import UsageError
from hdvg.exporting import Wanted, export
from hdvg.exporting.hd_vg import HdVg, Scene, clock, videos
from hdvg.exporting.job import Job
from hdvg.ids import digest
from schemas.inputs import INPUTS
from tests.products import Clip, make, publish_given, publish_scenes

Layout = dict[str, Any]
WORDS = ["a", "man", "plays", "with", "the", "red", "dog", "on", "stage", "“naïve”", "猫", "\\", '"quoted"']


def excerpt(count: int, *, seed: int = 0) -> Layout:
    """Made in the released layout: scenes unsorted, some parents whole, clip numbers with gaps, odd captions."""
    noise = random.Random(seed)
    made: Layout = {}
    for _ in range(count):
        key = "".join(noise.choices("abcXYZ019-_", k=11))
        clips = {}
        for number in sorted(noise.sample(range(40), noise.randrange(1, 6)), key=lambda _: noise.random()):
            start = noise.randrange(0, 7_200_000)
            cuts = (
                [[0, -1]] if noise.random() < 0.4 else [[at * 50, at * 50 + 50] for at in range(noise.randrange(2, 6))]
            )
            scenes = [
                {"scene_cut": cut, "clip_id": f"{key}.{number}_{place}", "caption": " ".join(noise.choices(WORDS, k=9))}
                for place, cut in enumerate(cuts)
            ]
            noise.shuffle(scenes)
            clips[f"{key}.{number}.mp4"] = {
                "span": [stamp(start), stamp(start + noise.randrange(1, 60_000))],
                "fps": noise.choice([29.97, 23.976023976023978, 25, 30.0]),
                "scene_split": scenes,
            }
        made[key] = {"url": f"https://www.youtube.com/watch?v={key}", "clip": clips}
    return made


def stamp(ms: int) -> str:
    """The long way to write a time."""
    return f"{ms // 3_600_000:02}:{ms % 3_600_000 // 60_000:02}:{ms % 60_000 / 1000:06.3f}"


def milliseconds(text: str) -> int:
    hours, minutes, seconds = text.split(":")
    return (int(hours) * 60 + int(minutes)) * 60_000 + round(float(seconds) * 1000)


def given(layout: Layout, *, file: str = "hdvg_0.json") -> list[dict[str, Any]]:
    """The rows of the table `given` for it, read by the letter of its columns' sentences."""
    rows: list[dict[str, Any]] = []
    for video in layout.values():
        for parent, clip in video["clip"].items():
            for scene in clip["scene_split"]:
                start, end = (milliseconds(text) for text in clip["span"])
                rows.append(
                    {
                        "video_id": digest("video", video["url"]),
                        "url": video["url"],
                        "given_id": scene["clip_id"],
                        "origin": "hd-vg",
                        "file": file,
                        "place": len(rows) + 1,
                        "parent": parent,
                        "parent_start_ms": start,
                        "parent_end_ms": end,
                        "fps": clip["fps"],
                        "start_frame": scene["scene_cut"][0],
                        "end_frame": scene["scene_cut"][1],
                        "caption": scene["caption"],
                    }
                )
    return rows


def go(dataset: Dataset, out: Path, **wanted: Any) -> dict[str, Any]:
    return export(dataset, Wanted("hd-vg", out, **wanted), Console(file=io.StringIO()))


def ordered(told: Any) -> Any:
    """With objects as lists of pairs: their order counts, and how a number is spelt does not."""
    if isinstance(told, dict):
        return [(name, ordered(value)) for name, value in told.items()]
    return [ordered(value) for value in told] if isinstance(told, list) else told


def read(out: Path) -> list[Layout]:
    return [json.loads(path.read_text()) for path in sorted(out.glob("hdvg_*.json"))]


def test_the_released_layout_comes_back_as_it_was(new_dataset, tmp_path):
    layout = excerpt(40)
    publish_given(new_dataset, given(layout))
    said = go(new_dataset, tmp_path / "out", all_given=True)
    (back,) = read(tmp_path / "out")
    assert ordered(back) == ordered(layout)
    assert said["clips"] == said["kept"] == len(given(layout))
    assert said["videos"] == 40
    text = (tmp_path / "out/hdvg_0.json").read_text()
    assert "[0, -1]" in text


def test_parts_of_one_file_and_several_files_come_back_in_their_order(new_dataset, tmp_path):
    files = [excerpt(6, seed=1), excerpt(5, seed=2), excerpt(3, seed=3)]
    rows = [row for place in (0, 1) for row in given(files[place], file=f"hdvg_{(2, 10)[place]}.json")]
    publish_given(new_dataset, rows[::-1])
    publish_given(new_dataset, given(files[2], file="hdvg_3.json"), unit="second")
    go(new_dataset, tmp_path / "out", all_given=True)
    (back,) = read(tmp_path / "out")
    assert ordered(back) == ordered(files[0] | files[2] | files[1])


def test_a_condition_cleans_imported_metadata(new_dataset, tmp_path):
    layout = excerpt(10)
    rows = given(layout)
    publish_given(new_dataset, rows)
    said = go(new_dataset, tmp_path / "out", all_given=True, where="end_frame = -1 and fps < 29")
    wanted = {row["given_id"] for row in rows if row["end_frame"] == -1 and row["fps"] < 29}
    (back,) = read(tmp_path / "out")
    found = {
        scene["clip_id"] for video in back.values() for clip in video["clip"].values() for scene in clip["scene_split"]
    }
    assert found == wanted
    assert said["clips"] == len(wanted) > 0


def test_scenes_of_videos_that_are_gone_from_the_dataset_are_left_out_and_said(new_dataset, tmp_path):
    rows = given(excerpt(3))
    last = rows[-1]["video_id"]
    publish_given(new_dataset, [row for row in rows if row["video_id"] != last], unit="first")
    publish_scenes(new_dataset, [row for row in rows if row["video_id"] == last], unit="second")
    said = go(new_dataset, tmp_path / "out", all_given=True)
    gone = sum(row["video_id"] == last for row in rows)
    assert said["left_out"] == [
        {
            "reason": "its video is not in the dataset (any more), or its set tells no frame rate or no place of its parent",
            "clips": gone,
        }
    ]
    assert (said["kept"], said["clips"]) == (len(rows), len(rows) - gone)
    assert rows[-1]["url"] not in (tmp_path / "out/hdvg_0.json").read_text()


def test_a_file_holds_18750_videos(new_dataset, tmp_path):
    count = 18_750 + 7
    names = [f"{number:011d}" for number in range(count)]
    inputs = pa.table(
        {
            "link": [f"https://a.org/{name}" for name in names],
            "video_id": names,
            "line": range(1, count + 1),
            "seq": [1] * count,
            "status": ["new"] * count,
        }
    )
    full = pa.table(
        {
            field.name: inputs[field.name] if field.name in inputs.column_names else pa.nulls(count, field.type)
            for field in INPUTS
        }
    )
    new_dataset.store.publish_table("inputs/00001-many.parquet", full.cast(INPUTS))
    scene = {
        "origin": "hd-vg",
        "file": "hdvg_0.json",
        "parent_start_ms": 0,
        "parent_end_ms": 5,
        "fps": 25.0,
        "start_frame": 0,
    }
    rows = [
        scene
        | {"video_id": name, "given_id": f"{name}.0_0", "place": place, "parent": f"{name}.0.mp4", "end_frame": -1}
        for place, name in enumerate(names, start=1)
    ]
    publish_scenes(new_dataset, rows)
    assert go(new_dataset, tmp_path / "out", all_given=True)["videos"] == count
    first, second = read(tmp_path / "out")
    assert [*first, *second] == names
    assert len(first) == 18_750


def test_our_own_clips_become_parents_of_one_scene(tmp_path):
    told = [[Clip(3_600_000, 3_605_001, b"b", caption="second"), Clip(1500, 4000, b"a", caption="first")]]
    dataset = make(tmp_path / "dataset", told)
    go(dataset, tmp_path / "out")
    (back,) = read(tmp_path / "out")
    with dataset.manifest() as manifest:
        rows = {row["caption"]: row for row in manifest.rows("select * from dataset")}
    name = rows["first"]["video_id"]
    assert back == {
        name: {
            "url": "https://a.org/0.mp4",
            "clip": {
                f"{name}.{number}.mp4": {
                    "span": span,
                    "fps": 25.0,
                    "scene_split": [{"scene_cut": [0, -1], "clip_id": rows[caption]["clip_id"], "caption": caption}],
                }
                for number, (caption, span) in enumerate(
                    [("first", ["00:00:01.500", "00:00:04.000"]), ("second", ["01:00:00.000", "01:00:05.001"])]
                )
            },
        }
    }


@pytest.mark.parametrize(
    ("time_base", "start", "pts", "said"),
    [("1/12800", 0, 6, "00:00:00.000"), ("1/2000", 0, 1, "00:00:00.001"), ("1/2000", 3, 6, "00:00:00.002"), ("1001/30000", 0, 30, "00:00:01.001")],
)  # fmt: skip
def test_spans_are_rounded_to_the_nearest_ms_and_count_from_the_first_frame(tmp_path, time_base, start, pts, said):
    dataset = make(tmp_path / "dataset", [[Clip(0, 4000, b"a")]])
    with Job.begin(dataset, prepared(tmp_path / "out"), unasked) as job:
        swap(job, "videos", f"* replace ('{time_base}' as time_base, {start}::bigint as start_pts)")
        swap(job, "dataset", f"* replace ({pts}::bigint as start_pts, {pts}::bigint as cut_start_pts)")
        assert spans(job) == [said]


def unasked(name: str) -> tuple[int, str]:
    raise AssertionError(f"metadata says nothing of {name}")


def prepared(out: Path) -> Wanted:
    (out / "tmp").mkdir(parents=True)
    return Wanted("hd-vg", out)


def swap(job: Job, view: str, columns: str) -> None:
    """Have a view tell something else."""
    there = "table" if job.manifest.one(f"select count(*) from duckdb_tables() where table_name = '{view}'") else "view"
    job.manifest.connection.execute(f"create table swapped_{view} as select {columns} from {view}")
    job.manifest.connection.execute(f"drop {there} {view}; create view {view} as from swapped_{view}")


def written(job: Job, path: Path) -> Layout:
    piece = HdVg(job).pieces()[0]
    piece.write(path)
    told: Layout = json.loads(path.read_text())
    return told


def spans(job: Job) -> list[str]:
    layout = written(job, job.out / "hdvg_0.json")
    return [clip["span"][0] for video in layout.values() for clip in video["clip"].values()]


def test_imported_clips_that_are_kept_come_back_with_their_own_names_beside_ours(tmp_path):
    dataset = make(
        tmp_path / "dataset", [[Clip(0, 4000, b"a", caption="ours a"), Clip(5000, 9000, b"b", caption="ours b")]]
    )
    with dataset.manifest() as manifest:
        first, second = manifest.rows("select clip_id, video_id from dataset order by start_pts")
    layout = {
        "dQw4w9WgXcQ": {
            "url": "https://a.org/0.mp4",
            "clip": {
                "dQw4w9WgXcQ.0.mp4": {
                    "span": ["00:00:00.000", "00:00:11.345"],
                    "fps": 29.97,
                    "scene_split": [
                        {"scene_cut": [100, 220], "clip_id": "dQw4w9WgXcQ.0_1", "caption": "a man dances"},
                        {"scene_cut": [0, 100], "clip_id": "dQw4w9WgXcQ.0_0", "caption": "a woman sings"},
                    ],
                }
            },
        }
    }
    rows = [row | {"video_id": first["video_id"]} for row in given(layout)]
    rows[1]["extra"] = json.dumps({"score": 3})
    publish_scenes(dataset, rows)
    with Job.begin(dataset, prepared(tmp_path / "out"), unasked) as job:
        known = f"case when clip_id = '{first['clip_id']}' then 'dQw4w9WgXcQ.0_0' end as given_id"
        swap(job, "dataset", f"columns(lambda c: c <> 'given_id'), {known}")
        back = written(job, tmp_path / "out/hdvg_0.json")
        assert job.counts()["clips"] == 2
    (kept,) = [
        scene
        for scene in layout["dQw4w9WgXcQ"]["clip"]["dQw4w9WgXcQ.0.mp4"]["scene_split"]
        if scene["clip_id"].endswith("_0")
    ]
    own = {"scene_cut": [0, -1], "clip_id": second["clip_id"], "caption": "ours b"}
    assert back == {
        "dQw4w9WgXcQ": {
            "url": "https://a.org/0.mp4",
            "clip": {
                "dQw4w9WgXcQ.0.mp4": {
                    "span": ["00:00:00.000", "00:00:11.345"],
                    "fps": 29.97,
                    "scene_split": [kept | {"score": 3}],
                },
                "dQw4w9WgXcQ.1.mp4": {"span": ["00:00:05.000", "00:00:09.000"], "fps": 25.0, "scene_split": [own]},
            },
        }
    }


def test_two_videos_of_one_given_name_both_stay():
    scene = Scene("v1", "l1", "x.0_0", "x.0.mp4", 0, 1, 25.0, 0, -1, "a", None)
    told = dict(videos([scene, scene._replace(video_id="v2", link="l2")]))
    assert {key: video["url"] for key, video in told.items()} == {"x": "l1", "v2": "l2"}


def test_times_are_hours_minutes_seconds():
    assert clock(0) == "00:00:00.000"
    assert clock(((99 * 60 + 59) * 60 + 59) * 1000 + 999) == "99:59:59.999"
    assert clock(100 * 3_600_000) == "100:00:00.000"


def test_without_imported_metadata_there_is_nothing_to_give(new_dataset, tmp_path):
    with pytest.raises(UsageError, match="no scene to export"):
        go(new_dataset, tmp_path / "out", all_given=True)
    with pytest.raises(UsageError, match="no shards yet"):
        go(new_dataset, tmp_path / "out")
