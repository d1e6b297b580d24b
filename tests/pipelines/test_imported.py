"""Published metadata go in, become clips, come out in the same layout, and are forgotten: each by the command a user types."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hdvg.cli import app
from tests.pipelines.test_forget import hits
from tests.pipelines.test_run import ask
from tests.servers import HostileServer, serve_folder
from tests.videos import draw_scenes

SETTINGS = ("fetch.private_links=allow", "cut.preset=ultrafast", "cut.verify_share=0")


def call(*words: object) -> str:
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == 0, result.output
    return result.stdout


def published(server: HostileServer) -> dict[str, Any]:
    """Two videos of 25 frames a second: a parent of two scenes, written in the other order, and one that is whole."""

    def scene(name: str, cut: list[int], caption: str) -> dict[str, Any]:
        return {"scene_cut": cut, "clip_id": name, "caption": caption}

    return {
        name: {
            "url": server.url(f"/{name}.mp4"),
            "clip": {
                f"{name}.0.mp4": {
                    "span": ["00:00:00.000", "00:00:02.000"],
                    "fps": 25.0,
                    "scene_split": [
                        scene(f"{name}.0_1", [25, 45], f"{name} second, café"),
                        scene(f"{name}.0_0", [0, 25], f"{name} first"),
                    ],
                },
                f"{name}.1.mp4": {
                    "span": ["00:00:02.000", "00:00:04.000"],
                    "fps": 25.0,
                    "scene_split": [scene(f"{name}.1_0", [0, -1], f"{name} whole")],
                },
            },
        }
        for name in ("zebrazebra1", "lagoonlago2")
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HostileServer, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("site")
    draw_scenes(folder / "zebrazebra1.mp4", scene_frames=(30, 70), seed=1)
    draw_scenes(folder / "lagoonlago2.mp4", scene_frames=(30, 70), seed=2)
    with serve_folder(folder) as server:
        yield server, published(server)


@pytest.fixture(scope="module")
def finished(site: tuple[HostileServer, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Imported with an entry that is broken, and run."""
    folder = tmp_path_factory.mktemp("imported")
    told = copy.deepcopy(site[1])
    told["zebrazebra1"]["clip"]["zebrazebra1.2.mp4"] = {"span": ["00:00:05.000", "00:00:01.000"], "fps": 25.0} | {
        "scene_split": [{"scene_cut": [0, -1], "clip_id": "zebrazebra1.2_0", "caption": "backwards"}]
    }
    told["zebrazebra1"]["clip"]["zebrazebra1.3.mp4"] = {"span": ["00:00:01.000", "00:00:02.000"], "fps": 25.0} | {
        "scene_split": [{"scene_cut": [0, -1], "clip_id": "zebrazebra1.3_0", "caption": 7}]
    }
    (folder / "hdvg_0.json").write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    call("import", "hd-vg", folder / "hdvg_0.json", "--out", folder / "d", *settings)
    call("run", folder / "d", "--runner", "serial")
    return folder / "d"


@pytest.fixture
def dataset(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "d"))


def test_scenes_are_the_clips_with_their_captions_and_the_bad_entry_is_named(finished):
    """The scripts drop a scene's first frame, but copy a parent that is whole."""
    rows = ask(finished, "select given_id, start_frame, end_frame, caption, captioner from dataset order by 1")
    assert rows == [
        row
        for name in ("lagoonlago2", "zebrazebra1")
        for row in [
            (f"{name}.0_0", 1, 25, f"{name} first", "given"),
            (f"{name}.0_1", 26, 45, f"{name} second, café", "given"),
            (f"{name}.1_0", *whole(finished, f"{name}.1_0"), f"{name} whole", "given"),
        ]
    ]
    rejected = ask(finished, "select given_id, reason from rejected order by place")
    assert rejected == [("zebrazebra1.2_0", "bad_input"), ("zebrazebra1.3_0", "bad_input")]
    call("verify", finished)


def whole(root: Path, name: str) -> tuple[int, int]:
    """Frames of a whole parent: from the key frame before 2 s, which is `given_shift_frames` earlier, to the video's end."""
    ((shift,),) = ask(root, f"select given_shift_frames from dataset where given_id = '{name}'")
    return 50 - shift, 100


def test_same_layout_comes_out(finished, site, tmp_path):
    call("export", finished, "--to", "hd-vg", "--out", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "hdvg_0.json").read_text(encoding="utf-8")) == site[1]


def test_forgotten_video_is_in_no_file_and_no_later_import_brings_it_back(dataset, site, tmp_path):
    server, told = site
    call("encode", dataset, "--recipe", "tiny", "--set", "data.buckets=[[2, 16, 16]]", "--set", "data.fps=4")
    assert any(dataset.glob("latents/*/*.npy"))
    call("forget", dataset, "--video", server.url("/zebrazebra1.mp4"), "--purge")
    assert hits(dataset, {b"zebrazebra1"}) == []
    assert ask(dataset, "select count(*) from dataset where keep") == [(3,)]

    server.hits.clear()
    again = copy.deepcopy(told)
    again["zebrazebra1"]["clip"]["zebrazebra1.1.mp4"]["fps"] = 0
    (tmp_path / "hdvg_1.json").write_text(json.dumps(again), encoding="utf-8")
    said = json.loads(call("import", "hd-vg", tmp_path / "hdvg_1.json", "--out", dataset, "--json"))["files"]
    assert [(file["forgotten"], file["new_videos"], file["known"]) for file in said] == [(1, 0, 3)]
    call("run", dataset, "--runner", "serial")
    assert [path for path in server.hits if "zebra" in str(path)] == []
    call("export", dataset, "--to", "hd-vg", "--out", tmp_path / "out", "--all-given")
    assert hits(tmp_path / "out", {b"zebrazebra1"}) == hits(dataset, {b"zebrazebra1"}) == []
    call("verify", dataset)
