"""Write the small datasets that a version of hdvg leaves, packed: what later versions must go on reading.

With that version's own code, into a file named after its commit:

    git archive b6dcfbb | tar -x -C OLD
    PYTHONPATH=OLD:. python tests/data/write_datasets.py tests/data/b6dcfbb.tar.xz      # in OLD, so that its tests are found
"""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
from pathlib import Path

from typer.testing import CliRunner

from hdvg.cli import app
from tests.servers import serve_folder
from tests.videos import draw_scenes

WORK = Path("/tmp/hdvg-datasets")
"""Stands in the links of local files."""

RECIPE = """
name = "kept"
keep = {too_short = "duration_s >= 0.7", copies = "not duplicate"}
measure = {also = ["watermark"]}
caption = {captioner = "title"}
cut = {preset = "veryfast"}
fetch = {private_links = "allow", tries = 2, max_wait_s = 0.2}
run = {runner = "serial"}
"""
SIZE = (128, 72)
SMALL = {"preset": "veryfast", "crf": "36", "g": "12"}


def call(*words: object) -> None:
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == 0, (words, result.output)


def linked() -> None:
    """Four links: two videos of two scenes, one that is no video, and one that was taken down."""
    videos = WORK / "videos"
    videos.mkdir()
    for number, name in enumerate(("dogs run over grass", "birds on a lake", "gone")):
        draw_scenes(videos / f"{name}.mp4", scene_frames=(15, 25, 30), size=SIZE, options=SMALL, seed=number)
    (videos / "broken.mp4").write_bytes(b"no video at all")
    call("run", WORK / "recipe.toml", "--links", videos, "--out", WORK / "linked")
    call("forget", WORK / "linked", "--video", videos / "gone.mp4")
    call("run", WORK / "linked")


def imported() -> None:
    """A published set's scenes of two videos: by parents and frames, one of them over the end."""
    site = WORK / "site"
    site.mkdir()
    with serve_folder(site) as server:
        told = {}
        for number, name in enumerate(("zebrazebra1", "lagoonlago2")):
            draw_scenes(site / f"{name}.mp4", scene_frames=(30, 40), size=SIZE, options=SMALL, seed=10 + number)
            scenes = {f"{name}.0_0": [0, 25], f"{name}.0_1": [25, 60], f"{name}.0_2": [300, 330]}
            split = [{"scene_cut": cut, "clip_id": key, "caption": f"{key} café"} for key, cut in scenes.items()]
            parent = {"span": ["00:00:00.000", "00:00:02.800"], "fps": 25.0, "scene_split": split}
            told[name] = {"url": server.url(f"/{name}.mp4"), "clip": {f"{name}.0.mp4": parent}}
        (WORK / "hdvg_0.json").write_text(json.dumps(told), encoding="utf-8")
        settings = ("--set", "fetch.private_links=allow", "--set", "cut.preset=veryfast", "--set", "run.runner=serial")
        call("import", "hd-vg", WORK / "hdvg_0.json", "--out", WORK / "imported", *settings)
        call("run", WORK / "imported")


def main(packed: Path) -> None:
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir()
    (WORK / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    linked()
    imported()
    with tarfile.open(packed, "w:xz") as tar:
        for name in ("linked", "imported"):
            for path in sorted((WORK / name).rglob("*")):
                if path.is_file() and path.name != "run.lock" and not path.is_relative_to(WORK / name / "cache"):
                    tar.add(path, path.relative_to(WORK), filter=_nobody)
    shutil.rmtree(WORK)


def _nobody(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """The entry without what tells of the machine."""
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
