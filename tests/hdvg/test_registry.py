"""Names of classes: ours first, then files, modules and entry points; each told apart by its code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hdvg import registry
from hdvg.captioners import CAPTIONER
from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.dataset.plugins import keep, locate
from hdvg.dataset.store import Store
from hdvg.errors import UsageError
from hdvg.exporting import EXPORTER
from hdvg.latents import CODEC, TEXT
from hdvg.measures.keyframed import KEYFRAME_MEASURE
from hdvg.plugins import load_file, locate_name, read_reference
from hdvg.published.sets import PUBLISHED_SET
from hdvg.shots import DETECTOR
from hdvg.sources.lists import READER
from hdvg.sources.lists.source import list_source

REGISTRIES = (CAPTIONER, DETECTOR, READER, PUBLISHED_SET, EXPORTER, CODEC, TEXT, KEYFRAME_MEASURE)
MINE = """
class Mine:
    def __init__(self, settings):
        self.name, self.model, self.batch = "mine", "mine 1", 1

    def prepare(self, shot): ...

    def write(self, prepared):
        return []
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An installed package `plugged_in` of two modules, with an entry point `pluggy` that is a captioner."""
    folder = tmp_path / "site/plugged_in"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "mine.py").write_text(MINE)
    (folder / "beside.py").write_text("NUMBER = 1\n")
    (tmp_path / "site/plugged_in-1.dist-info").mkdir()
    (tmp_path / "site/plugged_in-1.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: plugged-in\nVersion: 1\n"
    )
    entry = "[hdvg.captioners]\npluggy = plugged_in.mine:Mine\ntags = plugged_in.mine:Mine\n"
    (tmp_path / "site/plugged_in-1.dist-info/entry_points.txt").write_text(entry)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    registry._entry_points.cache_clear()
    yield folder
    registry._entry_points.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "plugged_in"]:
        del sys.modules[name]


def test_each_of_ours_is_found_and_lacks_nothing_of_its_contract() -> None:
    assert len({one.group for one in REGISTRIES}) == len(REGISTRIES)
    for one in REGISTRIES:
        for name in one.classes:
            assert one.problem(name) is None
            assert not one.is_plugin(name)
            assert one.code(name) == ""


@pytest.mark.parametrize("one", REGISTRIES, ids=lambda one: one.group)
def test_an_unknown_name_is_refused_with_the_near_one_and_all(one: registry.Registry) -> None:
    near = next(iter(one.classes))
    with pytest.raises(
        UsageError, match=rf"is no {one.called}; did you mean `{near}`\?.*known: {near}.*file\.py:Class"
    ):
        one.find(near + "x")


def test_an_entry_point_is_a_name_and_stands_as_its_class_in_a_dataset(package: Path, tmp_path: Path) -> None:
    assert CAPTIONER.names()[-1] == "pluggy"
    assert CAPTIONER.find("pluggy").__name__ == "Mine"
    recipe = keep(parse_recipe({"caption": {"captioner": "pluggy"}}), Store(tmp_path))
    assert recipe.caption.captioner == "plugged_in.mine:Mine"
    with pytest.raises(UsageError, match="did you mean `pluggy`"):
        CAPTIONER.find("plugy")


def test_ours_go_before_an_entry_point_of_the_same_name(package: Path) -> None:
    assert not CAPTIONER.is_plugin("tags")
    assert CAPTIONER.names().count("tags") == 1


def test_a_module_is_told_by_all_files_of_its_package(package: Path) -> None:
    before = CAPTIONER.code("plugged_in.mine:Mine")
    assert CAPTIONER.code("pluggy") == before
    (package / "beside.py").write_text("NUMBER = 2\n")
    assert CAPTIONER.code("plugged_in.mine:Mine") != before


def test_a_fingerprint_changes_with_code_class_and_version_but_not_with_the_place(tmp_path: Path) -> None:
    def digits(text: str, name: str = "Mine", folder: str = "a") -> str:
        path = tmp_path / folder / "mine.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return CAPTIONER.fingerprint(f"{path}:{name}", None)

    first = digits(MINE)
    assert digits(MINE, folder="b") == first
    other = MINE + "\nclass Other(Mine): ...\n"
    assert len({first, digits(other), digits(other, "Other"), digits(MINE + "\n    version = 2\n")}) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_module_here\n", "No module named 'no_such_module_here'.*stands alone"),
        ("from . import beside\n", "stands alone"),
        ("def broken(:\n", "invalid syntax"),
    ],
)
def test_a_file_that_cannot_be_loaded_says_why(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(text)
    for _ in range(2):  # the second time is no half-made module
        with pytest.raises(UsageError, match=said):
            load_file(tmp_path / "bad.py")
    assert list(tmp_path.iterdir()) == [tmp_path / "bad.py"]


def test_a_plugins_missing_packages_are_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MINE + '\n    needs = {"no_such_module_here": "nothing-like-it"}\n')
    with pytest.raises(UsageError, match="needs nothing-like-it: install it where hdvg is"):
        CAPTIONER.find(f"{path}:Mine")


def test_an_object_that_lacks_what_the_contract_asks_for_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    made = CAPTIONER.find(f"{path}:Mine")(None)
    del made.batch
    with pytest.raises(UsageError, match=r"lacks batch: docs/extending\.md"):
        CAPTIONER.checked(f"{path}:Mine", made)


def test_a_module_in_the_current_folder_is_told_how_to_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_here.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    with pytest.raises(UsageError, match=r"mine_here\.py is here: name it mine_here\.py:Mine"):
        CAPTIONER.find("mine_here:Mine")


def test_settings_keep_files_and_find_them_where_the_folder_is(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "d").mkdir()
    text = f"{tmp_path}/mine.py:Mine"
    table = {"captioner": text, "also": {"second": {"captioner": text}, "third": {"captioner": "title"}}}
    kept = keep(Recipe.model_validate({"caption": table}), Store(tmp_path / "d"))
    name = kept.caption.captioner
    assert {writer.captioner for writer in kept.caption.also.values()} == {name, "title"}
    assert keep(kept, Store(tmp_path / "d")) == kept
    here = locate(kept, tmp_path / "d").caption
    assert (
        here.captioner == here.also["second"].captioner == f"{tmp_path}/d/{name}" == locate_name(name, tmp_path / "d")
    )
    assert here.also["third"].captioner == "title"


@pytest.mark.parametrize(
    "text", ["https://a.org/x.py:Mine:q", "list:https://a.org/Mine:x", "ytsearch5:one two", "a/links.txt"]
)
def test_what_is_a_link_or_a_file_of_links_is_no_plugins_list(text: str) -> None:
    source = list_source(text)
    assert source is None or source.kind == "list"


def test_references_are_read_as_they_are_written() -> None:
    found = [read_reference(text) for text in ("a/b c.py:Mine", "a.b:Mine", "tags", "a.b:", "plain text:Mine x")]
    assert [one and (one.where, one.is_file) for one in found] == [("a/b c.py", True), ("a.b", False), None, None, None]


def test_reading_a_recipe_imports_no_plugin(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise SystemExit('was run')\n" + MINE)
    program = (
        "from hdvg.config.recipe import parse_recipe\n"
        "parse_recipe({'caption': {'captioner': 'mine.py:Mine'}, 'split': {'detector': 'mine.py:Mine'}})\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
