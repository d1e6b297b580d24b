"""`hdvg report` without a browser: figures, card, comparison, what it refuses, how it stays small."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hdvg.cli import app
from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.snapshot import measures
from hdvg.errors import UsageError
from hdvg.page import report, rows
from hdvg.page.gallery import shown_source
from hdvg.page.write import written
from hdvg.reports.beside import note_written, written_that_may_show
from pipelines.recipes import find_recipe
from tests.products import Clip, make
from tests.synthetic import draw_dataset

CLIPS = 3000
KEEP = {"too_short": "duration_s >= 2", "moves": "4 <= motion_px_s < 400"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return draw_dataset(tmp_path_factory.mktemp("report") / "drawn", CLIPS, keep=KEEP)


@pytest.fixture(scope="module")
def whole(dataset: Dataset) -> tuple[Path, dict]:
    """The page, and its figures."""
    path = dataset.root.parent / "whole.html"
    return path, written(dataset, out=path, say=lambda said: None)


def counts(dataset: Dataset, where: str) -> tuple[int, float]:
    with dataset.manifest() as manifest:
        row = manifest.rows(
            f"select count(*) as clips, coalesce(sum(duration_s), 0) / 3600 as hours from dataset where {where}"
        )[0]
    return row["clips"], row["hours"]


def held(path: Path, name: str = "data") -> dict:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', path.read_text(encoding="utf-8"))
    assert found is not None
    return json.loads(found[1])


def test_figures_are_those_of_the_views_and_what_is_left_after_the_last_rule_is_kept(dataset, whole):
    path, found = whole
    clips, hours = counts(dataset, "keep")
    assert (found["totals"]["kept"], found["totals"]["kept_hours"]) == (clips, pytest.approx(hours))
    assert (found["rules"][-1]["left"], found["rules"][-1]["left_hours"]) == (clips, pytest.approx(hours))
    left, _ = counts(dataset, "coalesce(not duplicate and text_area <= 0.9, false)")
    assert [rule["left"] for rule in found["rules"][:2]][-1] == left
    assert sum(row["kept"] for row in found["resolutions"]) == clips == sum(row["kept"] for row in found["licences"])
    assert {row["category"] for row in found["categories"]} == {"Nature", "Sports"}
    assert sum(row["clips"] for row in found["copies"]) == counts(dataset, "duplicate")[0] > 0
    assert json.dumps(found, allow_nan=False)
    assert held(path)["figures"]["totals"] == found["totals"]


def test_a_shelf_has_the_clips_nearest_to_a_threshold_on_both_sides(dataset, whole):
    shelves = {(one["rule"], one["threshold"]): one for one in held(whole[0])["shelves"]}
    assert set(shelves) == {
        ("copy", None),
        ("little_text", 0.9),
        ("too_short", 2.0),
        ("moves", 4.0),
        ("moves", 400.0),
    } & set(shelves)
    with dataset.manifest() as manifest:
        near = "select clip_id from dataset where {} and not duplicate and text_area <= 0.9 and 4 <= motion_px_s and motion_px_s < 400 order by {} limit 6"
        for side, where, order in (
            ("passing", "duration_s >= 2", "duration_s"),
            ("broken", "duration_s < 2", "duration_s desc"),
        ):
            values = [row["value"] for row in shelves["too_short", 2.0][side]]
            wanted = manifest.rows(near.format(where, order).replace("select clip_id", "select duration_s"))
            assert values == [row["duration_s"] for row in wanted]
    assert all(row["value"] < 4 for row in shelves["moves", 4.0]["broken"])


def test_another_recipe_judges_the_same_clips(dataset):
    other = parse_recipe({"name": "longer", "keep": {**KEEP, "too_short": "duration_s >= 5", "copy": "not duplicate"}})
    found = written(dataset, compare=other, say=lambda said: None)["compared"]
    sides = {side["name"]: side for side in found["sides"]}
    a, _ = counts(dataset, "keep and not duration_s >= 5")
    b, hours = counts(
        dataset, "not keep and not duplicate and 4 <= motion_px_s and motion_px_s < 400 and duration_s >= 5"
    )
    assert (sides["kept by A only"]["clips"], sides["kept by B only"]["clips"]) == (a, b)
    assert sides["kept by B only"]["hours"] == pytest.approx(hours)
    assert sum(side["clips"] for side in sides.values()) == CLIPS
    assert {row["rule"] for row in found["rules"]} == {"too_short", "little_text"}


def test_another_dataset_is_compared_by_spans_and_verdicts(dataset, tmp_path):
    other = draw_dataset(
        tmp_path / "other",
        CLIPS // 2,
        keep={"too_short": "duration_s >= 1", "moves": KEEP["moves"]},
        clips={"clip_id": "md5('again' || i)"},
    )
    found = written(dataset, out=tmp_path / "r.html", compare=other, say=lambda said: None)["compared"]
    sides = {side["name"]: side["clips"] for side in found["sides"]}
    assert sides["only in A"] == CLIPS // 2
    assert sides["only in B"] == 0
    assert sum(sides.values()) == CLIPS
    both = sides["kept in B only"] + sides["kept in both"]
    assert both == counts(other, "keep")[0]
    assert "; 0 have the same clip_id" in found["by"]
    shown = held(tmp_path / "r.html")["compared"]["clips"]
    assert all(row["clip_id"] in shown for side in found["sides"] for row in side["rows"])


@pytest.mark.slow
def test_more_clips_than_a_page_holds_are_a_sample_with_exact_totals(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "ROWS_MOST", 1000)
    written(dataset, out=tmp_path / "r.html", say=lambda said: None)
    data = held(tmp_path / "r.html")
    assert data["held"] == {"rows": 1000, "clips": CLIPS}
    assert all(sum(measure["counts"]) == CLIPS for measure in data["measures"])
    with measures(dataset, [], lambda said: None) as connection:
        rows.hold(connection)
        inside = f"place in (select place from {rows.HELD})"
        worst, least = connection.execute(
            f"select max(draw) filter ({inside}), min(draw) filter (not {inside}) from clip_measures"
        ).fetchall()[0]
    assert worst < least


@pytest.mark.slow
def test_a_page_that_would_be_too_large_says_what_gave_way(dataset, whole, tmp_path, monkeypatch):
    size = whole[0].stat().st_size
    monkeypatch.setattr(report, "BYTES_MOST", size - 50_000)
    written(dataset, out=tmp_path / "less.html", say=lambda said: None)
    assert (tmp_path / "less.html").stat().st_size <= size - 50_000
    data = held(tmp_path / "less.html")
    assert data["left_out"][0] == "measures without a rule have 255 steps"
    assert all(sum(measure["counts"]) == CLIPS for measure in data["measures"])
    monkeypatch.setattr(report, "BYTES_MOST", 10_000)
    written(dataset, out=tmp_path / "least.html", say=lambda said: None)
    least = held(tmp_path / "least.html")
    assert [measure["held"] for measure in least["measures"]] == [measure["ruled"] for measure in least["measures"]]


def test_a_card_holds_the_figures_no_markup_of_strangers_and_no_path_of_this_machine(tmp_path):
    rude = "[x](http://evil.example) ![y](http://evil.example/y.png) <img src=x> | `a` \u202e"
    made = draw_dataset(tmp_path / "d", 40, keep=KEEP, videos={"categories": f"['{rude}']"}, name="a|b`c")
    found = written(made, out=tmp_path / "r.html", card=tmp_path / "card.md", say=lambda said: None)
    for name in ("r.html", "card.md"):
        assert str(tmp_path) not in (tmp_path / name).read_text(encoding="utf-8")
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert f"{found['totals']['kept']} of 40 clips kept" in text
    outside = re.sub(r"```toml.*?```", "", text, flags=re.DOTALL)
    assert "](http" not in outside.replace("\\]\\(", "")
    assert "<img" not in outside
    assert "\u202e" not in outside
    for line in outside.splitlines():
        if line.startswith("| \\[x"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 6  # five cells


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "say where the report goes"),
        (["-o", "report.pdf"], "a report is FILE.html, a card FILE.md"),
        (["-o", "r.html", "--card", "card.html"], "card.html: a report is FILE.html, a card FILE.md"),
        (["-o", "no/such/folder/r.html"], "name a file in a folder that is there"),
        (["-o", "r.html", "--compare", "no_such_recipe"], "no recipe `no_such_recipe`"),
    ],
)
def test_a_slip_is_answered_with_what_would_be_fine(dataset, words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(app, ["report", str(dataset.root), *words])
    assert isinstance(answer.exception, UsageError)
    assert says in str(answer.exception)


def test_of_a_local_file_only_its_name_is_shown():
    assert shown_source("file:///srv/somebody/My%20Films/a%20film.mp4") == "a film.mp4"
    assert shown_source("https://videos.example/watch?v=1") == "https://videos.example/watch?v=1"


def test_a_dataset_without_clips_has_a_report_and_a_card(tmp_path):
    empty = make(tmp_path / "empty", [[]])
    written(empty, out=tmp_path / "r.html", card=tmp_path / "r.md", compare=find_recipe("demo"), say=print)
    assert "0 of 0 clips kept" in (tmp_path / "r.md").read_text()
    assert (tmp_path / "r.html").stat().st_size > 10_000


def test_what_is_written_is_noted_and_a_take_down_names_what_shows_a_clip_or_may(tmp_path):
    dataset = make(tmp_path / "d", [[Clip(0, 3000, b"x", "a zebra")], [Clip(0, 1000, b"y", "a boat")]])
    written(dataset, out=tmp_path / "there.html", card=tmp_path / "card.md", say=lambda said: None)
    note_written(dataset, "report", [tmp_path / "sent.html"])
    note_written(dataset, "sheet", [tmp_path / "sheet.png"])
    (tmp_path / "sheet.png").write_bytes(b"")
    with dataset.manifest() as manifest:
        video = manifest.one("select video_id from clips limit 1")
    words = ["forget", str(dataset.root), "--video", video, "--dry-run"]
    found = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)["written"]
    assert {Path(path).name: text.partition(", ")[2] or text.partition(": ")[2] for path, text in found.items()} == {
        "there.html": "which shows one of its clips",
        "sent.html": "which is not there any more: it was removed, moved or sent",
        "sheet.png": "look whether it shows one of its clips",
    }
    assert f"out of reach: {tmp_path / 'there.html'}, report of 20" in CliRunner().invoke(app, words).stdout
    others = written_that_may_show(dataset, ["0" * 32])
    assert [Path(path).name for path in others] == ["sent.html", "sheet.png"]


def test_a_report_is_written_where_it_cannot_be_noted(tmp_path):
    dataset = make(tmp_path / "d", [[]])
    (dataset.root / "tables").touch()
    note_written(dataset, "report", [tmp_path / "r.html"])
    assert (dataset.root / "tables").is_file()
