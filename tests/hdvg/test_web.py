"""The built pages are those of the sources beside them, small, and safe to stand within a page."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hdvg import web
from hdvg.web import BUILT, built

SOURCE = Path(web.__file__).parent / "source"
SHIPPED_KB = 500
NO_NETWORK = re.compile(r"ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|ENETUNREACH|network")


def test_every_built_page_is_there_and_all_scripts_together_are_small():
    assert sorted(path.name for path in (SOURCE.parent / "built").iterdir()) == sorted(BUILT)
    assert sum(len(built(name).encode()) for name in BUILT if name.endswith(".js")) <= SHIPPED_KB * 1000
    with pytest.raises(KeyError):
        built("../source/package.json")


def test_built_scripts_can_stand_within_a_page_and_make_no_markup_from_text():
    for name in BUILT:
        text = built(name)
        assert "</script" not in text.lower() or name == "licences.txt", name
        assert "</style" not in text.lower(), name
        assert "sourceMappingURL" not in text, name


def test_sources_put_no_strings_into_markup_or_code():
    found = [
        f"{path.relative_to(SOURCE)}: {line.strip()}"
        for path in [*SOURCE.rglob("*.ts"), *SOURCE.rglob("*.tsx")]
        if "node_modules" not in path.parts
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\(.style", line)
    ]
    assert found == []


def test_sources_keep_the_bounds_of_the_house():
    files = [
        path
        for path in SOURCE.rglob("*")
        if path.suffix in {".ts", ".tsx", ".css", ".mjs"} and "node_modules" not in path.parts
    ]
    lines = {str(path.relative_to(SOURCE)): path.read_text(encoding="utf-8").count("\n") for path in files}
    assert {name: many for name, many in lines.items() if many > 300} == {}
    assert [
        path.name for path in files if not path.read_text(encoding="utf-8").startswith(("//", "/*", "declare"))
    ] == []


def test_packages_are_pinned_exactly_and_locked_by_their_content():
    package = json.loads((SOURCE / "package.json").read_text(encoding="utf-8"))
    pins = package["dependencies"] | package["devDependencies"]
    assert [f"{name} {pin}" for name, pin in pins.items() if not re.fullmatch(r"\d+\.\d+\.\d+", pin)] == []
    locked = json.loads((SOURCE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in pins} == pins
    assert [name for name, entry in locked.items() if name and "integrity" not in entry] == []


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs node with npm (.ci/run installs it)")
def test_pages_are_built_from_these_sources_byte_for_byte(tmp_path: Path):
    source = tmp_path / "source"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("node_modules"))
    run(source, "npm", "ci", "--no-audit", "--no-fund", "--prefer-offline")
    run(source, "npm", "run", "build")
    again = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "built").iterdir()}
    assert sorted(again) == sorted(BUILT)
    assert [name for name in BUILT if again[name] != built(name)] == [], "make web"


def run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode and not os.environ.get("CI") and NO_NETWORK.search(done.stderr):
        pytest.skip("needs the package registry of npm")
    assert done.returncode == 0, done.stdout + done.stderr
