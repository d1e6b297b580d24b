"""What a node must have as the others have it, and what is said where it has not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hdvg.config.recipe import parse_recipe
from hdvg.errors import UsageError
from pipelines.node_traits import OURS, code, differences, refuse_other_code, traits
from pipelines.session import opened

ROOT = Path(__file__).parents[2]
CAPTIONLESS = {"caption": {"captioner": "none"}}


def test_a_node_that_has_the_same_differs_in_nothing_and_another_folder_is_seen(tmp_path):
    (tmp_path / "tmp" / "run").mkdir(parents=True)
    here = traits(str(tmp_path), "run", CAPTIONLESS)
    assert differences(here, traits(str(tmp_path), "run", CAPTIONLESS)) == []
    assert differences(here, traits(str(tmp_path), "another run", CAPTIONLESS)) == [
        "the dataset's folder: another one of that path there, seen here"
    ]
    assert differences(here, traits(str(tmp_path / "no"), "run", CAPTIONLESS)) == [
        "the dataset's folder: missing there, seen here"
    ]


def test_versions_are_named_and_a_missing_package_of_an_extra_is_left_to_what_the_recipe_needs():
    here = {"av": "17.0.0", "torch": "2.9.1", "what the recipe needs": "complete"}
    assert differences(here, here | {"av": "16.0.1", "torch": "missing"}) == ["av: 16.0.1 there, 17.0.0 here"]
    assert differences(here, here | {"av": "missing", "torch": "2.8.0"}) == [
        "av: missing there, 17.0.0 here",
        "torch: 2.8.0 there, 2.9.1 here",
    ]


def test_a_model_that_a_node_lacks_or_has_otherwise_is_named(tmp_path):
    (tmp_path / "tmp" / "run").mkdir(parents=True)
    model = tmp_path / "captioner.py"
    model.write_text("class Mine:\n    def prepare(self, shot): ...\n    def write(self, prepared): ...\n")
    recipe = parse_recipe({"caption": {"captioner": f"{model}:Mine"}}).model_dump(mode="json", exclude_none=True)
    here = traits(str(tmp_path), "run", recipe)
    model.write_text(model.read_text() + "# another\n")
    (one,) = differences(here, traits(str(tmp_path), "run", recipe))
    assert one.startswith("the model of caption: ")
    model.unlink()
    found = differences(here, traits(str(tmp_path), "run", recipe))
    assert str(model) in found[0], found


def test_other_code_is_known_by_its_digest(tmp_path):
    for package in OURS:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "built"))

    def code_there() -> str:
        words = [sys.executable, "-c", "from pipelines.node_traits import code; print(code())"]
        there = {**os.environ, "PYTHONPATH": str(tmp_path)}
        return subprocess.run(words, env=there, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    assert code_there() == code()
    refuse_other_code(code())
    refuse_other_code("")
    changed = tmp_path / "hdvg" / "ids.py"
    changed.write_text(changed.read_text() + "\n")
    assert code_there() != code()
    with pytest.raises(UsageError, match=r"hdvg: 0.1.0, code \w+ there, 0.1.0, code \w+ here; install the same"):
        refuse_other_code(code_there())


def test_an_address_where_nothing_answers_is_named_at_once():
    with pytest.raises(UsageError, match=r"--address 127.0.0.1:9: nothing answers there .*port 6379"):
        opened("127.0.0.1:9").__enter__()
