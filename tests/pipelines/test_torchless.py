"""The base install, without torch, curates a folder of videos by the demo recipe, from anywhere."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

import hdvg
from tests.installs import PACKAGES, ROOT, build_wheel, call_outside, installed, linked, project

PAGES = "hdvg/web/source/"
CLIP = ROOT / "pipelines/demo/media/cockatoo.mp4"


def curate(python: Path, folder: Path, *more: str) -> None:
    """What a stranger does first; `folder` is outside of the repository."""
    assert subprocess.run([python, "-c", "import torch"], capture_output=True, cwd=folder).returncode != 0
    (folder / "clips").mkdir()
    shutil.copy(CLIP, folder / "clips")
    run = call_outside(python, folder, "run", "demo", "--links", "clips", "--out", "ds", *more)
    assert run.returncode == 0, run.stderr
    asked = call_outside(python, folder, "query", "ds", "select caption from dataset where keep", "--json")
    captions = [row["caption"] for row in json.loads(asked.stdout)]
    assert any("parrot" in caption for caption in captions)
    assert list(folder.glob("ds/shards/*.parquet"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return linked(tmp_path_factory.mktemp("base"))


def test_base_packages_run_the_demo_recipe(base: Path, tmp_path: Path) -> None:
    curate(base, tmp_path, "--runner", "serial")


def test_what_a_recipe_wants_is_what_stops_it(base: Path, tmp_path: Path) -> None:
    """The column `wants` says nothing of recipes that start, and the others name packages that are missing indeed."""
    program = (
        "import json\n"
        "from hdvg.planning import make_plan\n"
        "from hdvg.errors import UsageError\n"
        "from hdvg.reports.wants import wants\n"
        "from hdvg.shots import preload\n"
        "from pipelines.recipes import find_recipe, shipped\n"
        "for recipe in map(find_recipe, shipped()):\n"
        "    try:\n"
        "        make_plan(recipe); preload(recipe.split.detector); said = None\n"
        "    except UsageError as error:\n"
        "        said = str(error)\n"
        "    print(json.dumps([recipe.name, wants(recipe), said]))\n"
    )
    lines = subprocess.run([base, "-I", "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    found = [json.loads(line) for line in lines.splitlines()]
    assert {name for name, wanted, _ in found if not wanted} == {"demo", "vimeo25m_like"}
    for name, wanted, said in found:
        assert (said is None) == (not wanted), (name, said)
        assert said is None or "pip install" in said or any(one.removeprefix("measure.") in said for one in wanted), (
            said
        )


def test_hint_of_a_wheel_names_packages_that_an_index_has(base: Path, tmp_path: Path) -> None:
    run = call_outside(base, tmp_path, "run", "hd_vg_130m", "--links", CLIP, "--out", "ds")
    assert run.returncode == 2, run.stderr
    (command,) = re.findall(r"PyTorch and transformers: \S+ -m pip install (.*)", run.stderr)
    wanted = {re.split("[<>=~]", word)[0] for word in shlex.split(command)}
    assert wanted == {re.split("[<>=~]", one)[0] for one in project()["optional-dependencies"]["caption"]}


def test_a_wheel_holds_every_module_and_file_of_the_packages_and_says_what_it_is(tmp_path: Path) -> None:
    with zipfile.ZipFile(build_wheel(tmp_path)) as wheel:
        names = set(wheel.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        said = wheel.read(metadata).decode()
    kinds = (".py", ".typed", ".txt", ".toml", ".sql", ".mp4", ".webm", ".js", ".css")
    tree = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in kinds and not path.is_relative_to(ROOT / PAGES)
    }
    assert tree <= names
    assert [name for name in names if name.startswith(PAGES)] == [], (
        "built pages are shipped, what they are built from is not"
    )
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == set(PACKAGES)
    assert f"Version: {project()['version']}\n" in said
    assert hdvg.__version__ == project()["version"]
    assert "Requires-Python: >=3.11" in said


@pytest.mark.slow
def test_wheel_runs_the_demo_recipe_in_a_clean_environment(tmp_path: Path) -> None:
    curate(installed(tmp_path), tmp_path)
