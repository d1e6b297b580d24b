"""Published scenes become clips, each one row: of one pass, in a dataset that goes on as before without them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.seals import sealed
from hdvg.dataset.stages import part_schema
from hdvg.reports.explain import explain
from hdvg.reports.status import status
from hdvg.reports.verify import verify
from pipelines.run import decide
from schemas.given import GIVEN
from schemas.rejected import REJECTED
from tests.hdvg.test_published_cut import CLOSED, published, x264
from tests.pipelines.test_run import ask, go
from tests.servers import HostileServer, body
from tests.videos import draw_scenes, read_numbers

FRAMES = 100
MS = 40
"""Of a frame of the drawn videos."""


def recipe(**more: Any) -> Recipe:
    return parse_recipe({"name": "test", "caption": {"captioner": "none"}, "storage": {"keep_sources": True}} | more)


def scene(name: str, start: int, end: int, **more: Any) -> dict[str, Any]:
    """A scene of those frames of the video, by times."""
    return {"given_id": name, "start_ms": start * MS, "end_ms": end * MS} | more


def give(root: Path, scenes: dict[str, list[dict[str, Any]]], *, file: str = "a.json", name: str = "a") -> None:
    """Write `given/` and `rejected/` as the import of that name would: scenes by the file name of the video."""
    rows = ask(root, "select link, video_id, unit from inputs where status = 'new'")
    units: dict[str, list[dict[str, Any]]] = {}
    for link, video, unit in rows:
        for place, one in enumerate(scenes.get(Path(link).name, []), 1):
            units.setdefault(unit, []).append({"video_id": video, "origin": "set", "file": file, "place": place} | one)
    for folder in ("given", "rejected"):
        (root / folder).mkdir(exist_ok=True)
    (root / "rejected" / f"{name}.parquet").write_bytes(sealed(REJECTED.empty_table()))
    for unit, found in units.items():
        found.sort(key=lambda row: (row["video_id"], row["place"]))
        content = sealed(pa.Table.from_pylist(found, schema=GIVEN))
        (root / "given" / f"{unit}-{name}.parquet").write_bytes(content)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number in range(2):
        draw_scenes(folder / f"{number}.mp4", scene_frames=(40, 60), seed=number)
    return folder


def accepted(root: Path, videos: Path, settings: Recipe | None = None) -> Path:
    """A dataset that has fetched the videos and split none."""
    go(root, settings or recipe(), links=[str(videos)], stage="download")
    return root


def spans(root: Path, where: str = "true") -> list[tuple]:
    return ask(root, f"select given_id, start_frame, end_frame from clips where {where} order by 2, 3, 1")


SCENES = [
    scene("late", 70, 90),
    scene("first", 0, 30),
    scene("touching", 30, 50),
    scene("over the cut", 45, 75),
    scene("parent", 0, 100),
    scene("nested", 10, 20),
    scene("the same", 10, 20),
    scene("backwards", 60, 50),
    scene("over the end", 95, 300),
    scene("behind the end", 200, 220),
    scene("before the start", -50, 5),
    scene("one frame", 99, 100),
    scene("no frame", 99, 99),
]
CLIPS = [
    ("before the start", 0, 5), ("first", 0, 30), ("parent", 0, 100), ("nested", 10, 20), ("touching", 30, 50),
    ("over the cut", 45, 75), ("late", 70, 90), ("over the end", 95, 100), ("one frame", 99, 100),
]  # fmt: skip
FAILED = [
    ("backwards", "bad_span"),
    ("behind the end", "bad_span"),
    ("no frame", "bad_span"),
    ("the same", "same_span"),
]


@pytest.fixture(scope="module")
def finished(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first video has given scenes of every kind, the second none."""
    root = accepted(tmp_path_factory.mktemp("done") / "dataset", videos)
    give(root, {"0.mp4": SCENES})
    go(root, recipe())
    return root


def test_each_scene_is_one_clip_or_one_failure(finished):
    assert spans(finished, "given_id is not null") == CLIPS
    assert ask(finished, "select key, reason from failures order by key") == FAILED
    assert verify(Dataset.open(finished)) == []
    assert ask(finished, "select count(*) from videos where decoded_frames <> n_frames") == [(0,)]


def test_video_without_scenes_is_split_into_its_shots(finished):
    assert spans(finished, "given_id is null") == [(None, 0, 40), (None, 40, 100)]


def test_clips_hold_exactly_the_scenes_frames(finished):
    rows = ask(finished, "select given_id, clip_sha256 from clips where given_id is not null")
    store = Dataset.open(finished).store
    held = {name: read_numbers(store.find_media(sha256)) for name, sha256 in rows}
    assert held == {name: list(range(start, end)) for name, start, end in CLIPS}


def test_measures_of_a_given_span_are_those_of_a_shot_of_the_same_frames(finished, videos, tmp_path):
    free = "clip_id, video_id, phash"  # of the keyframe: samples are thinned as the frames come
    root = accepted(tmp_path / "d", videos)
    give(root, {"1.mp4": [scene("a", 0, 40), scene("b", 40, 100), scene("c", 20, 60)]})
    go(root, recipe(), stage="split")
    sql = f"select m.* exclude ({free}) from measures m join clips using (clip_id) join videos v on v.video_id = m.video_id "
    sql += "where source like '%1.mp4' and coalesce(given_id, '') <> 'c' order by start_frame"
    assert ask(root, sql) == ask(finished, sql)


def test_scenes_given_later_or_changed_split_only_their_videos_anew(videos, tmp_path):
    root = tmp_path / "d"
    go(root, recipe(), links=[str(videos)])
    before = spans(root)
    assert before == [(None, 0, 40), (None, 0, 40), (None, 40, 100), (None, 40, 100)]
    for path in (root / "parts/split").glob("*.parquet"):  # as they were written before there were published sets
        table = pq.read_table(path)
        path.write_bytes(sealed(table.drop_columns([name for name in table.column_names if name.startswith("given_")])))
    assert spans(root) == before
    give(root, {"1.mp4": [scene("a", 10, 30)]})
    assert ask(root, "select stage, count(*) from pending group by all") == [("split", 1)]
    assert {problem.check for problem in verify(Dataset.open(root))} == {"unfinished"}
    done = go(root, recipe())
    assert sum(job.statuses["ok"] for job in done if job.stage == "split") == 1
    assert spans(root) == [(None, 0, 40), ("a", 10, 30), (None, 40, 100)]
    assert go(root, recipe()) == []
    give(root, {"1.mp4": [scene("b", 50, 60)]}, file="b.json", name="b")
    go(root, recipe())
    assert spans(root, "given_id is not null") == [("a", 10, 30), ("b", 50, 60)]
    go(root, recipe(split={"given": "ignore"}))
    assert spans(root) == before
    assert verify(Dataset.open(root)) == []


def test_names_of_parts_are_the_same_whatever_is_given():
    from hdvg.planning import make_plan

    plans = [make_plan(recipe(split={"given": mode})) for mode in ("published", "exact", "ignore")]
    assert plans[0].fingerprints == plans[1].fingerprints == plans[2].fingerprints


def test_long_video_in_segments_has_the_same_scenes(finished, videos, tmp_path):
    root = accepted(tmp_path / "d", videos, recipe(split={"segment_s": 1.0}))
    give(root, {"0.mp4": SCENES})
    go(root, recipe(split={"segment_s": 1.0}))
    assert spans(root, "given_id is not null") == CLIPS
    assert ask(root, "select key, reason from failures order by key") == FAILED
    free = "clip_id, video_id, phash"
    sql = f"select m.* exclude ({free}) from measures m join clips using (clip_id) where given_id is not null "
    sql += "order by start_frame, end_frame"
    assert ask(root, sql) == ask(finished, sql)
    assert ask(root, "select bool_and(decoded_frames > n_frames) from videos where given_digest is not null") == [
        (True,)
    ]


def test_given_captions_stand_beside_ours_with_their_set(videos, tmp_path):
    also = {"given": {"captioner": "given"}}
    settings = recipe(caption={"captioner": "title", "also": also})
    root = accepted(tmp_path / "d", videos, settings)
    long = " ".join(f"word{number}" for number in range(40))
    scenes = [scene("a", 0, 20, caption="A man in a suit."), scene("b", 20, 40), scene("c", 40, 60, caption=long)]
    give(root, {"0.mp4": scenes})
    go(root, settings)
    told = ask(root, "select given_id, kind, text, model from captions join clips using (clip_id) order by given_id")
    fingerprint = told[0][3].split()[1]
    assert told == [
        ("a", "short", "A man in a suit.", f"set {fingerprint}"),  # in its own letters
        ("c", "detailed", long, f"set {fingerprint}"),
    ]
    assert ask(root, "select count(*) from failures where stage = 'caption-given'") == [(0,)]
    assert ask(root, "select count(*) from pending") == [(0,)]


def test_explain_says_where_a_clip_comes_from(finished):
    ((clip,),) = ask(finished, "select clip_id from clips where given_id = 'nested'")
    told = {
        "given_origin": "set",
        "given_id": "nested",
        "given_shift_frames": None,
        "given_caption": None,
        "given_short_ms": None,
    }
    assert explain(Dataset.open(finished), clip).given == told
    ((ours,),) = ask(finished, "select clip_id from clips where given_id is null and start_frame = 0")
    assert explain(Dataset.open(finished), ours).given == {}


def test_verify_tells_of_a_scene_without_a_row(finished, tmp_path):
    dataset = Dataset.open(Path(shutil.copytree(finished, tmp_path / "d")), run="r")
    dataset.store.begin()
    rows = [row for path in (dataset.root / "parts/split").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    given = {row["video_id"] for row in rows if row["given_id"]}
    fewer = [row | {"generation": 9} for row in rows if row["video_id"] in given and row["given_id"] != "late"]
    ((unit,),) = ask(finished, "select unit from videos where given_digest is not null")
    name = f"parts/split/{unit}-{dataset.plan.fingerprints['split']}-9.parquet"
    dataset.store.publish_table(name, pa.Table.from_pylist(fewer, schema=part_schema("split")))
    assert [(one.check, one.key) for one in verify(dataset) if one.check == "given"] == [("given", "late")]


def test_cut_clips_of_a_fetched_copy_hold_what_the_published_script_writes(tmp_path):
    video, parent = tmp_path / "a.mp4", (1900, 3500)
    draw_scenes(video, scene_frames=(FRAMES,), options=x264(CLOSED))
    truth = published(video, tmp_path / "parent.mp4", *parent)
    settings = recipe(fetch={"wall_s": 20.0})
    scenes = [{"given_id": name, "parent": "x.0.mp4", "fps": 25.0} for name in ("one", "two", "whole")]
    for row, (start, end) in zip(scenes, ((0, 20), (20, 45), (0, -1)), strict=True):
        row |= {"parent_start_ms": parent[0], "parent_end_ms": parent[1], "start_frame": start, "end_frame": end}
    with HostileServer() as server:
        link = server.add("/a.mp4", body(video.read_bytes(), "video/mp4"))
        (tmp_path / "links.txt").write_text(link)
        go(tmp_path / "d", settings, links=[str(tmp_path / "links.txt")], stage="download")
        give(tmp_path / "d", {"a.mp4": scenes})
        go(tmp_path / "d", settings)
    store = Dataset.open(tmp_path / "d").store
    rows = ask(tmp_path / "d", "select given_id, clip_sha256, given_shift_frames from clips")
    held = {name: read_numbers(store.find_media(sha256)) for name, sha256, _ in rows}
    assert (held["one"], held["two"]) == (truth[1:20], truth[21:45])
    assert held["whole"] == truth[: len(held["whole"])]
    assert len(truth) - len(held["whole"]) <= 3
    assert {shift for _, _, shift in rows} == {48 - truth[0]} == {24}


def test_status_stands_beside_published_figures(finished):
    said = status(Dataset.open(finished))
    shares = {row["duration"]: row["clips"] for row in said.durations}
    lengths = [end - start for _, start, end in [*CLIPS, (None, 0, 40), (None, 40, 100)]]
    assert shares["0-2 s"] == pytest.approx(sum(length < 50 for length in lengths) / len(lengths))
    assert shares["2-4 s"] == pytest.approx(sum(50 <= length < 100 for length in lengths) / len(lengths))
    assert shares["mean s"] == pytest.approx(sum(lengths) / len(lengths) / 25)
    assert [row["of"] for row in said.keep_rates] == ["HD-VG-40M of HD-VG-130M", "SVD's LVD-F of LVD"]


def test_keep_rate_of_a_rule_is_of_the_clips_that_it_can_be_told_of(finished, tmp_path):
    root = Path(shutil.copytree(finished, tmp_path / "d"))
    rules = {"short": "duration_s >= 1", "still": "svd_flow_px >= 100000", "text": "text_area <= 0.07"}
    told = {row["rule"]: row for row in status(decide(root, recipe(keep=rules))).keep_rates}
    lengths = [end - start for _, start, end in [*CLIPS, (None, 0, 40), (None, 40, 100)]]
    assert told["short"]["keeps"] == pytest.approx(sum(length >= 25 for length in lengths) / len(lengths))
    assert told["short"]["published"] is None
    assert (told["still"]["keeps"], told["still"]["published"]) == (0.0, 0.75)
    assert 0 < told["still"]["clips"] < len(lengths)  # those of half a second and more
    assert (told["text"]["keeps"], told["text"]["clips"]) == (None, 0)
    assert (told["all rules"]["keeps"], told["all rules"]["clips"]) == (0.0, len(lengths))
