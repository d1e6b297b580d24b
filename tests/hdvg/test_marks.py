"""What people say of clips: written at once, used by rules at once, kept by reruns, taken down with their video."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from hdvg.cli import app
from hdvg.config.recipe import parse_recipe
from hdvg.dataset.annotations import annotate
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.layout import files
from hdvg.dataset.shards import in_turn, write_shards
from hdvg.dataset.snapshot import snapshot_name
from hdvg.errors import UsageError
from hdvg.filtering.supposition import supposed
from hdvg.planning import make_plan
from hdvg.reports.verify import verify
from pipelines.forget import forget
from tests.hdvg.test_snapshot import add_unit
from tests.products import Clip, make, shard_rows

KEEP = {"short": "duration_s >= 2", "by_hand": "not marked_drop"}


@pytest.fixture
def dataset(new_dataset: Dataset) -> Dataset:
    """Clips of 1, 2 and 3 s of one video, and one of another."""
    add_unit(new_dataset, 1, [1.0, 2.0, 3.0])
    add_unit(new_dataset, 2, [4.0])
    return new_dataset


def by_rule(dataset: Dataset, keep: dict[str, str]) -> Dataset:
    recipe = parse_recipe({"keep": keep, "caption": {"captioner": "none"}})
    return Dataset(dataset.root, make_plan(recipe), dataset.store)


def say(dataset: Dataset, clip_id: str, author: str = "ada", **said: str | None) -> dict:
    with dataset.manifest() as manifest:
        (row,) = manifest.rows("select video_id from clips where clip_id = ?", [clip_id])
    return annotate(dataset, [{"clip_id": clip_id, "video_id": row["video_id"], "author": author, **said}])[0]


def kept(dataset: Dataset, *, unit: str | None = None) -> list[str]:
    with dataset.manifest(unit=unit) as manifest:
        return [row["clip_id"] for row in manifest.rows("select clip_id from verdicts where keep order by 1")]


def unit_of(dataset: Dataset, clip_id: str) -> str:
    with dataset.manifest() as manifest:
        return str(manifest.one("select unit from clips join inputs using (video_id) where clip_id = ?", [clip_id]))


def test_a_mark_changes_the_verdict_at_once_and_so_does_taking_it_back(dataset):
    ruled = by_rule(dataset, KEEP)
    assert kept(ruled) == ["1-1", "1-2", "2-0"]
    say(ruled, "1-1", mark="drop")
    assert kept(ruled) == ["1-2", "2-0"]
    assert kept(ruled, unit=unit_of(ruled, "1-1")) == ["1-2"]  # as the jobs of a run see it
    say(ruled, "1-1", mark=None)
    assert kept(ruled) == ["1-1", "1-2", "2-0"]


def test_a_broken_rule_on_marks_is_named_and_a_clip_without_marks_is_not_unmeasured(dataset):
    ruled = by_rule(dataset, {"chosen": "marked_keep or duration_s >= 4"})
    say(ruled, "1-0", mark="keep")
    with ruled.manifest() as manifest:
        rows = manifest.rows("select clip_id, reasons, marked_keep from dataset order by 1")
    assert [(row["clip_id"], row["reasons"], row["marked_keep"]) for row in rows] == [
        ("1-0", [], True),
        ("1-1", ["chosen"], False),
        ("1-2", ["chosen"], False),
        ("2-0", [], False),
    ]


def test_marks_of_several_authors_stand_beside_each_other(dataset):
    say(dataset, "1-0", "ada", mark="drop")
    say(dataset, "1-0", "bob", mark="flag")
    say(dataset, "1-0", "bob", mark="keep")
    with dataset.manifest() as manifest:
        (row,) = manifest.rows("select marked_keep, marked_drop, marked_flag from dataset where clip_id = '1-0'")
    assert row == {"marked_keep": True, "marked_drop": True, "marked_flag": False}


def test_what_is_not_said_anew_stays(dataset):
    say(dataset, "1-0", mark="flag", caption="A red boat.")
    row = say(dataset, "1-0", note=" two\nlines ")
    assert (row["mark"], row["caption"], row["note"]) == ("flag", "A red boat.", "two lines")


def test_nothing_but_marks_and_plain_text_is_taken(dataset):
    for said, words in (
        ({"mark": "drp"}, "keep, drop, flag"),
        ({"note": "a\x1b[2J"}, "no text"),
        ({"caption": "x" * 10_001}, "at most"),
    ):
        with pytest.raises(UsageError, match=words):
            say(dataset, "1-0", **said)
    assert files(dataset.root, "tables") == []


def test_what_if_counts_with_marks_and_a_mark_makes_no_snapshot_anew(dataset):
    name = snapshot_name(dataset)
    assert supposed(dataset, {}, ["not marked_drop"], goal=(None, None), say=print).after.clips == 4
    say(dataset, "1-2", mark="drop")
    assert supposed(dataset, {}, ["not marked_drop"], goal=(None, None), say=print).after.clips == 3
    assert snapshot_name(dataset) == name


def test_marks_shape_no_stage(dataset):
    assert by_rule(dataset, KEEP).plan.fingerprints == by_rule(dataset, {}).plan.fingerprints


def test_the_views_for_a_shell_have_the_first_mark_too(dataset):
    say(dataset, "1-0", mark="flag")
    assert "tables/annotations/*.parquet" in (dataset.root / "manifest.sql").read_text("utf-8")
    assert {problem.check for problem in verify(dataset)} <= {"missing", "unfinished"}  # its media, which nobody wrote


def test_a_take_down_hides_marks_and_a_purge_removes_them(dataset):
    say(dataset, "1-0", mark="flag", note="mine")
    say(dataset, "2-0", mark="drop")
    with dataset.manifest() as manifest:
        gone = manifest.one("select video_id from clips where clip_id = '1-0'")
    forget(dataset.root, [("video", gone)])
    with Dataset.open(dataset.root).manifest() as manifest:
        assert manifest.rows("select clip_id from annotations") == [{"clip_id": "2-0"}]
    assert kept(by_rule(Dataset.open(dataset.root), {"by_hand": "not marked_drop"})) == []
    forget(dataset.root, [], purged=True)
    held = [row for path in files(dataset.root, "tables") for row in pq.read_table(path).to_pylist()]
    assert [row["clip_id"] for row in held] == ["2-0"]


def test_a_persons_caption_stands_for_its_clip_where_it_has_a_weight_and_shapes_no_stage(tmp_path):
    plain = make(tmp_path / "d", [[Clip(0, 3000, b"x", "a boat in a port"), Clip(3000, 6000, b"y", "a red boat")]])
    with plain.manifest() as manifest:
        first, second = [row["clip_id"] for row in manifest.rows("select clip_id from clips order by start_pts")]
    recipe = plain.plan.recipe.model_copy(
        update={"caption": plain.plan.recipe.caption.model_copy(update={"weights": {"short": 0.5, "person": 1.0}})}
    )
    weighed = Dataset(plain.root, make_plan(recipe), plain.store)
    assert weighed.plan.fingerprints == plain.plan.fingerprints
    before = snapshot_name(weighed)
    say(plain, first, caption="an older text")
    say(plain, first, "bob", caption="two boats at night")
    texts = {first: "two boats at night", second: "a red boat"}
    asked = "select clip_id, caption, captioner from dataset"
    for unit in (None, unit_of(plain, first)):
        with weighed.manifest(unit=unit) as manifest:
            rows = manifest.rows(asked)
        assert {row["clip_id"]: row["caption"] for row in rows} == texts
    assert {row["captioner"] for row in rows} == {"person", "title"}
    with plain.manifest() as manifest:
        assert {row["caption"] for row in manifest.rows(asked)} == {"a boat in a port", "a red boat"}
        assert manifest.rows("select kind from captions where kind = 'person'") == []
    assert snapshot_name(weighed) != before
    write_shards(weighed, in_turn(weighed, lambda rows: {}))
    assert {name: row["caption"] for name, row in shard_rows(weighed).items()} == texts


def cli(*words: str | Path) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_marks_and_lists(dataset):
    said = cli("annotate", dataset.root, "1-1", "--mark", "drop", "--note", "dull", "--author", "ada")
    assert "keep.by_hand=not marked_drop" in said
    (row,) = json.loads(cli("annotate", dataset.root, "--json"))
    assert (row["clip_id"], row["mark"], row["note"], row["author"]) == ("1-1", "drop", "dull", "ada")
    cli("annotate", dataset.root, "1-1", "--mark", "none", "--author", "ada")
    (row,) = json.loads(cli("annotate", dataset.root, "--json"))
    assert (row["mark"], row["note"]) == (None, "dull")
