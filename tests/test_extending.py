"""docs/extending.md is true: its examples keep the contracts and run, as they stand there, through the commands beside them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from hdvg.dataset.dataset import Dataset
from tests import servers as web
from tests.extending import examples, write_examples
from tests.lists import answer_json, by_query
from tests.products import Clip, make
from tests.videos import draw_scenes

QUIET = ["keep.too_short=duration_s >= 0.4", *(f"keep.{name}=null" for name in ("low_resolution", "static"))]
SETTINGS = [word for setting in QUIET for word in ("--set", setting)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples, a small video, and the dataset that the commands of the page make of it."""
    folder = write_examples(tmp_path_factory.mktemp("extending"))
    (folder / "my-videos").mkdir()
    draw_scenes(folder / "my-videos/one.mp4", scene_frames=(30, 25), seed=3)
    named = ["--set", "caption.captioner=bright.py:Bright", "--set", "split.detector=steep.py:Steep"]
    hdvg(folder, "run", "demo", "--links", "my-videos", "--out", "ran", "--runner", "serial", *named, *SETTINGS)
    return folder


def hdvg(folder: Path, *words: str) -> str:
    """Run a command in the folder; what it says. Raises with its words if it fails."""
    program = [sys.executable, "-c", "from hdvg.cli import main; main()", *words]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_example_keeps_its_contract(tmp_path: Path) -> None:
    write_examples(tmp_path)
    make(tmp_path / "my-dataset", [[Clip(0, 2500, b"one" * 100), Clip(2500, 5000, b"two" * 100)]])
    program = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-n0", "."]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True)
    tests = sum(text.count("def test_") for text in examples().values())
    assert f"{tests} passed" in done.stdout, done.stdout


def test_a_captioner_and_a_detector_run(folder: Path) -> None:
    with Dataset.open(folder / "ran").manifest() as manifest:
        rows = manifest.rows("select n_frames, caption from dataset where keep order by start_pts")
    assert [row["n_frames"] for row in rows] == [30, 25]
    assert {row["caption"] for row in rows} <= {"a bright picture", "a dark picture"}
    assert {path.name for path in folder.glob("ran/plugins/*/*")} == {"bright.py", "steep.py"}


def test_a_measure_is_taken_of_a_dataset_that_is_there_and_rules_judge_by_it(folder: Path) -> None:
    own = ["--set", "measure.own.vignette=vignette.py:Vignette", "--set", "measure.own.mood=vignette.py:Mood"]
    parts = {path.name for path in folder.glob("ran/parts/*/*.parquet")}
    hdvg(folder, "run", "ran", "--runner", "serial", *own, "--set", "keep.corners=vignette >= 0.0", "--new-rule")
    new = {path.parent.name for path in folder.glob("ran/parts/*/*.parquet") if path.name not in parts}
    assert new == {"remeasure", "shard"}
    with Dataset.open(folder / "ran").manifest() as manifest:
        rows = manifest.rows("select vignette, mood, is_dark, keep from dataset where duration_s >= 0.4")
    assert rows
    assert all(row["keep"] and row["vignette"] > 0 and row["mood"] in ("dark", "light") for row in rows)
    assert len(list(folder.glob("ran/plugins/*/vignette.py"))) == 1


def test_an_export_is_written_once_and_anew_for_other_code(folder: Path) -> None:
    words = ("export", "ran", "--to", "listing.py:Listing", "--out", "my-listing", "--json")
    assert json.loads(hdvg(folder, *words))["files_written"] == 1
    rows = list(csv.reader((folder / "my-listing/clips-00000.csv").open(encoding="utf-8")))
    assert len(rows) == 2
    assert all(caption in ("a bright picture", "a dark picture") for _, caption in rows)
    assert json.loads(hdvg(folder, *words))["files_written"] == 0
    (folder / "listing.py").write_text(examples()["listing.py"] + "\n# other\n", encoding="utf-8")
    assert json.loads(hdvg(folder, *words))["files_written"] == 1


def test_a_published_set_is_imported(folder: Path) -> None:
    (folder / "talks.csv").write_text(
        "url,start,end,text\nhttps://talks.example/1.mp4,1.5,4,A talk.\n", encoding="utf-8"
    )
    hdvg(folder, "import", "talks.py:Talks", "talks.csv", "--out", "my-talks")
    given = duckdb.sql(f"select origin, caption from '{folder}/my-talks/given/*.parquet'").fetchall()
    assert given == [("talks", "A talk.")]


def test_a_list_on_a_site_is_read_in_the_guarded_child(folder: Path) -> None:
    film = {"link": "https://museum.example/1.mp4", "title": "One", "licence": "CC0"}
    with web.HostileServer() as server:
        server.add("/api/films", by_query(lambda query: answer_json({"films": [film], "next": None})))
        text = examples()["museum.py"].replace("https://museum.example", server.url(""))
        (folder / "museum.py").write_text(text, encoding="utf-8")
        allow = ("--set", "fetch.private_links=allow")
        said = json.loads(
            hdvg(folder, "run", "demo", "--links", "museum.py:Museum:birds", "--list-only", "--json", *allow)
        )
    ((row,),) = (one["rows"] for one in said)
    assert (row["url"], row["title"], row["licence_class"]) == (film["link"], "One", "cc0")


@pytest.mark.slow
def test_encoders_fill_the_latent_store(folder: Path) -> None:
    named = ("--set", "data.codec=encoders.py:Averages", "--set", "data.text=encoders.py:Letters")
    said = json.loads(hdvg(folder, "encode", "ran", *named, "--json"))
    assert said["encoded"] == 2
    assert (said["codec"].split("@")[0], said["text"].split("@")[0]) == ("Averages", "Letters")
    assert json.loads(hdvg(folder, "encode", "ran", *named, "--json"))["encoded"] == 0
    assert len(list(folder.glob("ran/plugins/*/encoders.py"))) == 1


@pytest.mark.slow
def test_a_trained_run_carries_its_encoders(folder: Path) -> None:
    named = ("--set", "data.codec=encoders.py:Averages", "--set", "data.text=encoders.py:Letters")
    hdvg(folder, "train", "ran", "--recipe", "tiny", *named, "--set", "run.steps=2", "--out", "trained")
    (folder / "encoders.py").unlink()
    (folder / "ran").rename(folder / "gone")
    hdvg(folder, "sample", "trained", "a dog", "--out", "dog.mp4")
    assert (folder / "dog.mp4").stat().st_size > 0
    (folder / "gone").rename(folder / "ran")
    write_examples(folder)


@pytest.mark.slow
@pytest.mark.ray
def test_plugins_by_file_run_on_ray(folder: Path, tmp_path: Path) -> None:
    named = ["--set", "caption.captioner=bright.py:Bright", "--set", "split.detector=steep.py:Steep"]
    hdvg(
        folder,
        "run",
        "demo",
        "--links",
        "my-videos",
        "--out",
        str(tmp_path / "d"),
        "--runner",
        "ray",
        *named,
        *SETTINGS,
    )
    hdvg(folder, "export", str(tmp_path / "d"), "--to", "listing.py:Listing", "--out", str(tmp_path / "out"))
    rows = list(csv.reader((tmp_path / "out/clips-00000.csv").open(encoding="utf-8")))
    assert len(rows) == 2
