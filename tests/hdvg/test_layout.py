"""Files of a dataset are found through one index, tables that no stage makes are kept like all else, layouts have numbers."""

from __future__ import annotations

import ast
import re
import tomllib
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hdvg.dataset import layout, tables
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import LAYOUT, files, newest_generation, part_name, pattern, piece_name, seed_name, unit_of
from hdvg.dataset.migrations import MIGRATIONS, migrate
from hdvg.dataset.plan import read_plan
from hdvg.dataset.stages import STAGES, resolve
from hdvg.dataset.tables import TABLES, Table, write_rows
from hdvg.errors import UsageError
from hdvg.reports.verify import verify
from schemas.columns import STR, column, table

ROOT = Path(__file__).parent.parent.parent

NOTES = Table(
    "notes", table([column("video_id", STR, "the video"), column("note", STR, "what was said")]), ("video_id",)
)


def test_every_name_is_found_again_by_the_index(tmp_path):
    names = {
        "parts": part_name("cut", "a" * 16, "f" * 12, 3),
        "pieces": piece_name("cut", "a" * 16, "f" * 12, run="9" * 32, number=7),
        "inputs": layout.list_name(4, "c" * 32),
        "tables": layout.table_name("notes", "d" * 32),
    }
    for name in (*names.values(), seed_name("cut", "f" * 12), seed_name("shard", None)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for sort, name in names.items():
        assert tmp_path / name in files(tmp_path, sort)
        assert (tmp_path / name).full_match(tmp_path / pattern(sort)) if hasattr(Path, "full_match") else True
    mine = files(tmp_path, "parts", stage="cut", unit="a" * 16, fingerprint="f" * 12)
    assert [path.name for path in mine] == [Path(names["parts"]).name]
    assert (unit_of(mine[0]), newest_generation(mine), newest_generation([])) == ("a" * 16, 3, -1)
    assert files(tmp_path, "parts", stage="split") == []
    assert [path.name for path in files(tmp_path, "parts", stage="shard")] == ["seed.parquet"]
    assert unit_of(tmp_path / seed_name("shard", None)) == "seed"


def test_no_other_module_lists_the_folders_of_a_dataset():
    """Folders by name in a glob; derived files (cache/, latents/), and other folders than a dataset's, are their modules' own."""
    folders = re.compile(r"\b(?:inputs|given|rejected|parts|media|shards|tombstones|tables)/|^(?:inputs|given|shards)$")
    found = []
    for path in sorted(path for package in ("hdvg", "pipelines") for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr in {"glob", "rglob", "iterdir"}:
                told = [
                    one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)
                ]
                found += [f"{path.relative_to(ROOT)}:{node.lineno}" for text in told if folders.search(text)]
    assert [place for place in found if not place.startswith("hdvg/dataset/layout.py")] == []


def test_everything_that_the_table_of_stages_names_is_there():
    for entry in STAGES.values():
        assert resolve(entry.schema)
        assert callable(resolve(entry.shaped_by))
        assert resolve(entry.views)(entry).entry is entry


def test_layouts_have_a_step_each_from_the_one_before():
    assert set(MIGRATIONS) == set(range(2, LAYOUT + 1))


def test_steps_after_a_layout_are_taken_in_order_and_the_table_stays_as_it_was():
    steps = {
        3: lambda table: table | {"recipe": table["recipe"] + ["third"]},
        2: lambda table: table | {"recipe": table["recipe"] + ["second"]},
    }
    told = {"recipe": ["first"]}
    assert migrate(told, 1, steps=steps) == {"recipe": ["first", "second", "third"]}
    assert migrate(told, 2, steps=steps) == {"recipe": ["first", "third"]}
    assert migrate(told, 3, steps=steps) == told == {"recipe": ["first"]}


def test_settings_of_an_earlier_layout_are_read_through_the_steps_and_written_with_the_new_number(
    new_dataset, monkeypatch
):
    old = new_dataset.plan.to_toml().replace("min_height_px", "least_height_px")
    assert "layout" not in tomllib.loads(old)

    def renamed(table: dict) -> dict:
        fetch = table["recipe"]["fetch"]
        fetch["min_height_px"] = fetch.pop("least_height_px")
        return table

    with pytest.raises(UsageError, match="least_height_px"):
        read_plan(old, where="here")
    monkeypatch.setitem(MIGRATIONS, 2, renamed)
    monkeypatch.setattr(layout, "LAYOUT", 2)
    monkeypatch.setattr("hdvg.dataset.plan.LAYOUT", 2)
    plan = read_plan(old, where="here")
    assert plan == new_dataset.plan
    assert tomllib.loads(plan.to_toml())["layout"] == 2
    assert read_plan(plan.to_toml(), where="here") == plan


@pytest.mark.parametrize("number", [LAYOUT + 1, 0, '"new"'])
def test_a_later_layout_is_refused(new_dataset, number):
    with pytest.raises(UsageError, match=r"here: layout .*; this hdvg reads 1 to"):
        read_plan(f"layout = {number}\n{new_dataset.plan.to_toml()}", where="here")


@pytest.fixture
def noted(new_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A dataset, and a declared table."""
    monkeypatch.setitem(TABLES, "notes", NOTES)
    return new_dataset


def rows(dataset: Dataset) -> list[dict]:
    with dataset.manifest() as manifest:
        return manifest.rows("select video_id, note from notes order by video_id")


def test_the_newest_row_of_a_key_counts(noted):
    assert rows(noted) == []
    write_rows(noted.store, "notes", [{"video_id": "a", "note": "dull"}, {"video_id": "b", "note": "fine"}])
    write_rows(noted.store, "notes", [{"video_id": "a", "note": "fine"}])
    assert rows(noted) == [{"video_id": "a", "note": "fine"}, {"video_id": "b", "note": "fine"}]
    assert len(files(noted.root, "tables", of="notes")) == 2


def test_times_are_utc(noted):
    place = write_rows(noted.store, "notes", [{"video_id": "a", "note": "dull"}])
    (at,) = pq.read_table(noted.root / place)["written_at"].to_pylist()
    assert datetime.fromisoformat(at).utcoffset().total_seconds() == 0


def test_a_changed_bit_of_a_table_is_seen(noted):
    path = noted.root / write_rows(noted.store, "notes", [{"video_id": "a", "note": "dull"}])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert [(one.check, one.key) for one in verify(noted)] == [("corrupt", str(path.relative_to(noted.root)))]


def test_what_is_not_declared_is_refused(noted):
    with pytest.raises(UsageError, match="table marks: not declared"):
        write_rows(noted.store, "marks", [])
    with pytest.raises(UsageError, match="table notes: colour, video_id: unknown or missing"):
        write_rows(noted.store, "notes", [{"note": "x", "colour": "red"}])


def test_a_table_is_read_with_a_column_that_its_files_lack(noted, monkeypatch):
    write_rows(noted.store, "notes", [{"video_id": "a", "note": "dull"}])
    wider = pa.schema([*NOTES.schema, column("by", STR, "who said it", later=True)])
    monkeypatch.setitem(tables.TABLES, "notes", Table("notes", wider, ("video_id",)))
    with noted.manifest() as manifest:
        assert manifest.rows('select note, "by" from notes') == [{"note": "dull", "by": None}]
