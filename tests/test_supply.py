"""What hdvg depends on is pinned, hashed where pip can hold hashes, under licences that are fine, and looked at by `doctor`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from hdvg.reports import supply
from hdvg.reports.supply import Finding, ffmpegs, is_forbidden, licence, outdated
from tests.supply import FREE, LOCK, READ, ROOT, listed, locked, pinned, plain


def test_every_dependency_has_its_licence_listed_and_none_is_forbidden():
    rows = listed()
    assert rows.keys() == pinned().keys(), "python -m tests.supply licences"
    assert not {name: text for name, text in rows.items() if is_forbidden(text) or not text.strip()}


def test_listed_licences_are_those_that_the_packages_say():
    rows, looked = listed(), 0
    for name, pin in pinned().items():
        try:
            if version(name).partition("+")[0] != pin:
                continue
        except PackageNotFoundError:
            continue
        looked += 1
        assert (licence(name) or READ.get(name, "")).replace("|", "/") == rows[name], "python -m tests.supply licences"
    assert looked > 20


@pytest.mark.parametrize(
    "text",
    ["AGPL-3.0-only", "GNU Affero General Public License v3", "GPL-2.0-or-later", "GNU General Public License (GPL)", "SSPL-1.0",
     "CC-BY-NC-4.0 non-commercial", "AGPL-3.0; GPL-3.0"],
)  # fmt: skip
def test_licence_that_binds_what_imports_it_is_forbidden(text):
    assert is_forbidden(text)


@pytest.mark.parametrize(
    "text",
    ["MIT", "LGPL-2.1-or-later", "GNU Lesser General Public License v3 or later (LGPLv3+)", "MPL-2.0 AND MIT", "GPL-2.0 OR MIT", "Unlicense"],
)  # fmt: skip
def test_licence_that_leaves_us_free_is_fine(text):
    assert not is_forbidden(text)


def test_lock_holds_the_pins_with_hashes():
    pins, lock = pinned(), locked()
    text = LOCK.read_text(encoding="utf-8")
    assert text.count("==") == len(lock)  # no row that the pattern does not see
    assert not re.search(r"https?://|file:|@ |/(?:root|home|opt|work)/", text)
    assert {name: found for name, (found, _) in lock.items()}.items() <= pins.items(), "make lock"
    left_out = {name for name in pins.keys() - lock.keys() if not FREE.fullmatch(name)}
    assert len(left_out) <= 3, left_out  # such as are published without a wheel
    assert not any(FREE.fullmatch(name) for name in lock)


def test_pip_reads_the_lock_and_asks_for_hashes(tmp_path: Path):
    name, (found, _) = next(iter(locked().items()))
    (tmp_path / "r.txt").write_text(f"{name}=={found} --hash=sha256:{'0' * 64}\n")
    (tmp_path / "empty").mkdir()
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--no-index",
        "--find-links",
        str(tmp_path / "empty"),
    ]
    said = subprocess.run([*command, "-r", str(LOCK)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "No matching distribution found for" in said.stderr  # it could be read; nothing lies in an empty folder
    assert "hash" not in said.stderr.lower()


def test_every_direct_dependency_is_pinned():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(line for lines in project["optional-dependencies"].values() for line in lines),
    ]
    names = {plain(Requirement(line).name) for line in wanted} - {"hdvg"}
    assert not names - pinned().keys()


def test_ffmpegs_in_wheels_are_named_with_version_use_and_age():
    found = {one.check: one.found for one in ffmpegs()}
    assert re.search(r"^\d+\.\d.*libavcodec \d+\..*in av \d+", found["FFmpeg in PyAV"])
    for name in ("FFmpeg in imageio-ffmpeg", "FFmpeg in OpenCV"):
        assert re.search(r"built 20\d\d-\d\d-\d\d, \d+ days ago", found[name]), found[name]


def test_old_builds_are_named_with_what_to_update(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(supply, "OLD_DAYS", -1)
    found = {one.check: one for one in ffmpegs()}["FFmpeg in imageio-ffmpeg"]
    assert found.state == "note"
    assert "update it: " in found.found
    assert "imageio-ffmpeg" in found.found


def test_package_outside_of_what_hdvg_wants_is_bad(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(supply, "_required", lambda: [("yt-dlp", "2020.1.1", SpecifierSet(">=2026.10.26"))])
    (finding,) = outdated()
    assert (finding.check, finding.state) == ("version of yt-dlp", "bad")
    assert "hdvg wants >=2026.10.26" in finding.found
    monkeypatch.undo()
    assert all(isinstance(one, Finding) for one in outdated())


def test_sbom_is_made_by_one_command():
    text = (ROOT / "Makefile").read_text()
    assert "cyclonedx-py environment" in text.partition("\nsbom:")[2].partition("\n\n")[0]


@pytest.mark.network
def test_sbom_names_every_installed_package(tmp_path: Path):
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "tool")], check=True)
    subprocess.run([str(tmp_path / "tool/bin/pip"), "install", "-q", "cyclonedx-bom"], check=True)
    command = [
        str(tmp_path / "tool/bin/cyclonedx-py"),
        "environment",
        sys.executable,
        "-o",
        str(tmp_path / "sbom.json"),
    ]
    subprocess.run(command, check=True)
    sbom = json.loads((tmp_path / "sbom.json").read_text())
    assert sbom["bomFormat"] == "CycloneDX"
    assert {"av", "yt-dlp", "duckdb"} <= {one["name"] for one in sbom["components"]}
