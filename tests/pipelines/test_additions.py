"""README's table "Add a thing" is true: each row is enough, nothing of it is needless, and what it names is there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.additions import ADDITIONS, named_files, performed, rows
from tests.layouts import ROOT, VERSIONS, unpack


def test_every_performed_row_stands_in_the_readme() -> None:
    assert set(ADDITIONS) <= set(rows())


@pytest.mark.parametrize("thing", rows())
def test_files_and_tables_that_a_row_names_are_there(thing: str) -> None:
    files = named_files(rows()[thing])
    assert files
    for name in files:
        path = ROOT / name
        assert path.parent.is_dir() if path.stem == "x" else path.is_file(), name
    texts = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in files if not name.endswith("/x.py"))
    for table in re.findall(r"`([A-Z_]+)`", rows()[thing]):
        assert re.search(rf"^{table}\b.*[=:]", texts, re.MULTILINE), table


DEAR = {"a column", "a measure", "a stage"}
"""Seconds of work; test_growth.py, test_alone.py and test_stage_table.py hold the like by default."""


@pytest.mark.parametrize(
    "thing", [pytest.param(thing, marks=[pytest.mark.slow] if thing in DEAR else []) for thing in ADDITIONS]
)
def test_row_is_enough_and_no_file_of_it_is_needless(thing: str, tmp_path: Path) -> None:
    addition = ADDITIONS[thing]
    assert addition.touched == named_files(rows()[thing])
    unpack(VERSIONS[0], tmp_path / "old")
    dataset = Path(shutil.copytree(tmp_path / "old/linked", tmp_path / "ds"))
    addition.shows(performed(addition, tmp_path / "tree"), dataset, tmp_path)
