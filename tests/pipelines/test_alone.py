"""Measures that are taken alone: one more, or a newer one, of a finished dataset; cuts, keyframes and captions stay."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hdvg
from hdvg.cli import app
from hdvg.dataset.packs import read_section, sections
from tests.layouts import VERSIONS, asked, call, call_in, changed_tree, files, unpack
from tests.own_measures import CORNER
from tests.videos import draw_scenes


def stages_files(root: Path) -> dict[str, str]:
    """Hash of every file but the shards, which hold measures: they are packed anew when there are more."""
    return {name: content for name, content in files(root).items() if "shard" not in name}


VIGNETTE = '''"""How much darker the corners are."""

from hdvg.measures.measure import Series


class Vignette:
    columns = ("vignette",)
    sees = "look"

    def __init__(self):
        self.series = {"vignette": Series()}

    def see(self, view):
        corner = view.grey[: len(view.grey) // 4, : view.grey.shape[1] // 4]
        self.series["vignette"].add(view.index, float(corner.mean()) + OFFSET)

    @staticmethod
    def of_clip(clip):
        return {"vignette": clip.mean("vignette")}
'''
ENTRY = """    "vignette": PassMeasure(
        "hdvg.measures.vignette:Vignette", VERSION, [column("vignette", REAL, "level of a corner, 0-255", later=True)]
    ),
"""
PLACE = '    "blockiness": PassMeasure('


def tree_with_vignette(folder: Path, *, version: int = 1) -> Path:
    """A copy of the code with a measure more, added in the two places that the README names."""
    entry = ENTRY.replace("VERSION", str(version))
    changed_tree(folder, [("schemas/pass_measures.py", PLACE, entry + PLACE)])
    (folder / "hdvg/measures/vignette.py").write_text(VIGNETTE.replace("OFFSET", str(1000.0 * (version - 1))))
    return folder


def told(tree: Path, root: Path, sql: str) -> list[dict]:
    return json.loads(call_in(tree, "query", root, sql, "--json"))


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    return tree_with_vignette(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def measured(tree, tmp_path_factory) -> tuple[Path, dict[str, str], dict[str, str]]:
    """A dataset of the first release, of which the new measure was taken; its files before and after."""
    folder = tmp_path_factory.mktemp("old")
    unpack(VERSIONS[0], folder)
    root = folder / "linked"
    call_in(tree, "run", root, "--runner", "serial")
    before = files(root)
    call_in(tree, "measure", root, "--runner", "serial")
    return root, before, files(root)


def test_a_measure_added_to_a_finished_dataset_runs_no_split_cut_or_caption(measured):
    _, before, after = measured
    assert before.items() <= after.items()
    assert {name.rpartition("/")[0] for name in after.keys() - before.keys()} == {"parts/remeasure"}


def test_it_is_taken_of_every_clip_that_no_rule_dropped_and_nothing_is_left_to_do(measured, tree):
    root, _, after = measured
    rows = told(tree, root, "select keep, vignette, sharpness from dataset")
    assert all(row["vignette"] is not None and row["sharpness"] is not None for row in rows if row["keep"])
    assert any(row["keep"] for row in rows)
    assert "whole" in call_in(tree, "verify", root)
    call_in(tree, "measure", root, "--runner", "serial")
    assert files(root) == after


def test_status_says_what_was_not_taken_and_of_how_many_clips(tree, tmp_path):
    unpack(VERSIONS[0], tmp_path)
    root = tmp_path / "linked"
    (clips,) = told(tree, root, "select count(*) as n from clips")
    lacks = call_in(tree, "status", root)
    for name in ("vignette", "camera", "sound"):
        assert f" {name} ({clips['n']} clips)" in lacks
    without = call("status", root)
    assert f" sound ({clips['n']} clips)" in without
    assert "vignette" not in without


def test_rules_judge_by_it_and_a_code_that_lacks_it_reads_the_dataset(measured, tree, tmp_path):
    root = Path(shutil.copytree(measured[0], tmp_path / "d"))
    call_in(tree, "filter", root, "--set", "keep.corners=vignette < 0", "--new-rule")
    assert all(
        "corners" in row["reasons"]
        for row in told(tree, root, "select reasons from dataset where reasons = ['corners']")
    )
    assert told(tree, root, "select count(*) as n from dataset where keep") == [{"n": 0}]


def test_a_newer_version_is_taken_alone_and_the_older_stands_until_then(measured, tmp_path):
    root = Path(shutil.copytree(measured[0], tmp_path / "d"))
    newer = tree_with_vignette(tmp_path / "tree", version=2)
    before = stages_files(root)
    call_in(newer, "run", root, "--runner", "serial")
    assert stages_files(root) == before
    assert told(newer, root, "select min(vignette) < 1000 as older from dataset where keep") == [{"older": True}]
    call_in(newer, "measure", root, "--runner", "serial")
    after = stages_files(root)
    assert before.items() <= after.items()
    assert {name.rpartition("/")[0] for name in after.keys() - before.keys()} == {"parts/remeasure"}
    assert told(newer, root, "select min(vignette) >= 1000 as newer from dataset where keep") == [{"newer": True}]


OWN = (
    CORNER
    + """

class Mood:
    version = 1
    input = "preview"
    columns = {"mood": ("label", "dark or light"), "is_dark": ("flag", "whether dark"), "tones": ("list", "words")}

    def measure(self, frames):
        assert frames.ndim == 4 and frames.dtype == "uint8"
        dark = bool(frames.mean() < 1)
        return {"mood": "dark" if dark else "light", "is_dark": dark, "tones": [str(frames.shape[3]), "channels"]}


class Pictures:
    version = 1
    input = "keyframes"
    columns = {"pictures": ("number", "keyframes of the clip")}

    def measure(self, shot):
        return {"pictures": len(shot.keyframes)}


class Several:
    version = 1
    input = "shots"
    batch = 3
    columns = {"several": ("number", "keyframes of the clip"), "seen": ("flag", "whether it has any")}

    def measure(self, shots):
        assert len(shots) <= self.batch
        return [{"several": len(shot.keyframes), "seen": bool(shot.keyframes)} for shot in shots]


class Words:
    version = 1
    input = "text"
    columns = {"words_of_texts": ("number", "words of all texts")}

    def measure(self, texts):
        return {"words_of_texts": sum(len(text.split()) for text in texts.values())}


class Weight:
    version = 1
    input = "clip"
    columns = {"weight": ("number", "bytes of the file")}

    def measure(self, file):
        return {"weight": len(file) if file[4:8] == b"ftyp" else None}


class Sly:
    version = 1
    input = "keyframes"
    columns = {"sly": ("number", "not what it says")}

    def measure(self, shot):
        return {"sly": "text"}
"""
)

RECIPE = """
name = "own"
keep = {short = "duration_s >= 0.3", lit = "corner >= 0", worded = "words_of_texts >= 0"}
[measure.own]
corner = "FOLDER/own_of_test.py:Corner"
mood = "FOLDER/own_of_test.py:Mood"
pictures = "FOLDER/own_of_test.py:Pictures"
several = "FOLDER/own_of_test.py:Several"
words = "FOLDER/own_of_test.py:Words"
weight = "FOLDER/own_of_test.py:Weight"
[caption]
captioner = "tags"
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A dataset with measures of five inputs and all kinds of values."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_of_test.py").write_text(OWN)
    (folder / "clips").mkdir()
    draw_scenes(folder / "clips" / "a.mp4", scene_frames=(20, 20), seed=3)
    draw_scenes(folder / "clips" / "b.mp4", scene_frames=(20, 20), seed=4)
    (folder / "own.toml").write_text(RECIPE.replace("FOLDER", str(folder)))
    call("run", folder / "own.toml", "--links", folder / "clips", "--out", folder / "d", "--runner", "serial")
    return folder / "d"


def test_own_measures_of_every_input_fill_columns_of_every_kind(own):
    rows = asked(own, "select * from dataset order by clip_id")
    assert len(rows) == 4
    for row in rows:
        assert row["keep"]
        assert 0 <= row["corner"] <= 255
        assert (row["mood"], row["is_dark"], row["tones"]) == ("light", False, ["3", "channels"])
        assert row["pictures"] == row["several"] >= 3
        assert row["seen"]
        assert row["words_of_texts"] == len(row["caption"].split())
        assert row["weight"] == row["clip_bytes"]


def test_a_series_is_a_section_of_the_videos_pack_beside_the_keyframes(own):
    rows = asked(own, "select clip_id, corner, keyframes from dataset")
    assert len({row["keyframes"] for row in rows}) == 2
    for row in rows:
        (path,) = (own / "media").glob(f"*/{row['keyframes']}.zip")
        assert set(sections(path)) == {"keyframes", "levels"}
        series = dict(zip(*read_section(path, "levels").to_pydict().values(), strict=True))[row["clip_id"]]
        assert sum(series) / len(series) == pytest.approx(row["corner"])
        assert row["clip_id"] in read_section(path, "keyframes", columns=["clip_id"])["clip_id"].to_pylist()
    assert len(list((own / "media").glob("*/*.parquet"))) == 0  # the packs whose place these took
    assert "whole" in call("verify", own)


def test_a_take_down_purges_the_values_the_series_and_the_pack(own, tmp_path):
    root = Path(shutil.copytree(own, tmp_path / "d"))
    (video,) = asked(root, "select video_id, source from videos order by source limit 1")
    call("forget", root, "--video", video["video_id"], "--purge")
    assert asked(root, f"select 1 as one from remeasure_rows where video_id = '{video['video_id']}'") == []
    packs = {row["keyframes"] for row in asked(root, "select distinct keyframes from clips")}
    assert {path.stem for path in (root / "media").glob("*/*.zip")} == packs
    assert len(packs) == 1
    assert "whole" in call("verify", root)


def test_python_has_the_values_too(own):
    with hdvg.open(own) as dataset:
        clip = next(dataset.clips("keep"))
    assert clip.measures["corner"] >= 0
    assert (clip.measures["mood"], clip.measures["tones"]) == ("light", ["3", "channels"])


def test_other_options_are_a_new_measure_and_nothing_else_is_done_again(own, tmp_path):
    root = Path(shutil.copytree(own, tmp_path / "d"))
    before = stages_files(root)
    corner = {row["clip_id"]: row["corner"] for row in asked(root, "select clip_id, corner from dataset")}
    other = f"measure.own.corner={{made_by = '{own.parent}/own_of_test.py:Corner', options = {{offset = 5.0}}}}"
    call("run", root, "--set", other, "--runner", "serial")
    after = stages_files(root)
    changed = {name for name, content in after.items() if before.get(name) != content} | before.keys() - after.keys()
    assert {name.split("/")[0] for name in changed} == {"parts", "media"}
    assert {name.split("/")[1] for name in changed if name.startswith("parts/")} == {"remeasure"}
    for row in asked(root, "select clip_id, corner, weight from dataset"):
        assert row["corner"] == pytest.approx(corner[row["clip_id"]] + 5.0)
        assert row["weight"]


@pytest.mark.slow
def test_a_value_that_is_not_of_its_kind_is_a_failure_of_the_clip_by_name(own, tmp_path):
    root = Path(shutil.copytree(own, tmp_path / "d"))
    sly = f"measure.own.sly={own.parent}/own_of_test.py:Sly"
    assert CliRunner().invoke(app, ["run", str(root), "--set", sly, "--runner", "serial"]).exit_code == 1
    rows = asked(root, "select stage, status, reason, detail from failures")
    assert {(row["stage"], row["status"], row["reason"]) for row in rows} == {("remeasure", "failed", "error")}
    assert all("sly.sly gave 'text', which is no number" in row["detail"] for row in rows)
    assert asked(root, "select count(*) as n from dataset where keep and corner is not null") == [{"n": 4}]
