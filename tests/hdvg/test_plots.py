"""Histograms and funnels count what DuckDB counts, thresholds stand between their bins, and plots are files that open."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import pytest
from PIL import Image
from typer.testing import CliRunner

from hdvg.cli import app
from hdvg.config.rules import parse_rules
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.snapshot import SOURCE
from hdvg.errors import UsageError
from hdvg.filtering.histograms import Axis, Spread, _histogram, spread
from hdvg.filtering.whatif import Judge
from hdvg.page.plots import plot_spread
from hdvg.training.journal import Journal
from tests.layouts import VERSIONS, asked, call, unpack

OPERATORS = (">=", ">", "<=", "<")
ODD = ["null", "'nan'::double", "'inf'::double", "'-inf'::double", "0", "-0.0"]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    unpack(VERSIONS[0], folder)
    return folder / "linked"


def table(values: list[str]) -> duckdb.DuckDBPyConnection:
    """Clips with these values of a measure, in SQL."""
    connection = duckdb.connect()
    connection.execute(f"create table {SOURCE} as select unnest([{', '.join(values)}])::double as sharpness")
    connection.execute(f"alter table {SOURCE} add column short_px bigint")
    connection.execute(f"update {SOURCE} set short_px = try_cast(sharpness as bigint)")
    return connection


@pytest.mark.parametrize(
    "draw", [lambda: random.gauss(0, 3), lambda: random.lognormvariate(0, 4), lambda: random.randint(-3, 9)]
)
@pytest.mark.parametrize("seed", range(4))
def test_clips_on_the_passing_side_of_the_line_are_those_that_pass(draw, seed):
    random.seed(seed)
    values = [repr(draw()) for _ in range(400)]
    connection = table(values + ODD)
    for operator in OPERATORS:
        for bound in (random.choice(values), repr(draw())):
            rule = f"sharpness {operator} {bound}"
            one = _histogram(connection, Axis("sharpness", False, 40), Judge(parse_rules({"r": rule}), {}), None)
            (line,) = one.thresholds
            where = f"from {SOURCE} where not isnan(sharpness)"
            (known,) = connection.execute(f"select count(*) {where}").fetchone()
            (passes,) = connection.execute(f"select count(*) {where} and {rule}").fetchone()
            assert (sum(one.clips), one.without) == (known, 2)
            assert line.at in one.edges
            assert one.edges == sorted(set(one.edges))
            at = one.edges.index(line.at)
            assert sum(one.clips[at:] if line.above else one.clips[:at]) == passes
            assert one.kept == [clips * ((number >= at) == line.above) for number, clips in enumerate(one.clips)]


@pytest.mark.parametrize("bound", [7, 7.3])
@pytest.mark.parametrize("operator", OPERATORS)
def test_whole_numbers_stand_between_lines(operator, bound):
    connection = table([str(number % 12) for number in range(100)])
    rule = f"short_px {operator} {bound}"
    (column,) = {one.column for one in parse_rules({"r": rule})}
    one = _histogram(connection, Axis(column, True, 40), Judge(parse_rules({"r": rule}), {}), None)
    (line,) = one.thresholds
    assert line.at in (6.5, 7.5)
    assert one.edges == [number - 0.5 for number in range(13)]
    (passes,) = connection.execute(f"select count(*) from {SOURCE} where {rule}").fetchone()
    assert sum(one.kept) == passes == sum(one.clips[round(line.at + 0.5) :] if line.above else one.clips[: round(line.at + 0.5)])  # fmt: skip


def test_of_no_value_at_all_there_is_a_histogram_of_nothing():
    one = _histogram(table(["null", "'nan'::double"]), Axis("sharpness", False, 40), Judge((), {}), None)
    assert (sum(one.clips), sum(one.kept), one.without) == (0, 0, 2)


def test_the_funnel_and_the_histograms_of_a_dataset_are_what_a_query_says(root):
    found = spread(Dataset.open(root), say=lambda text: None)
    (counts,) = asked(
        root, "select count(*) as n, count(*) filter (keep) as kept, sum(duration_s) / 3600 as hours from dataset"
    )
    assert found.steps[0].passed.clips == counts["n"]
    assert found.steps[0].passed.hours == pytest.approx(counts["hours"])
    assert found.steps[-1].passed.clips == counts["kept"]
    left = [one.passed.clips for one in found.steps]
    assert left == sorted(left, reverse=True)
    for one in found.histograms:
        assert sum(one.clips) + one.without == counts["n"]
        assert sum(one.kept) == counts["kept"]


def test_what_is_supposed_stands_beside_what_is(root):
    now = spread(Dataset.open(root), say=lambda text: None)
    then = spread(Dataset.open(root), supposed={"long": "duration_s >= 1e9"}, say=lambda text: None)
    assert then.before == now.steps
    assert then.steps[-1].passed.clips == 0
    by_name = {one.measure: one for one in then.histograms}
    assert by_name.keys() >= {one.measure for one in now.histograms}
    for one in now.histograms:
        assert [line.asks for line in by_name[one.measure].before] == [line.asks for line in one.thresholds]


@pytest.mark.parametrize("words", [["status"], ["filter", "--what-if", "duration_s >= 0.5"]])
def test_a_plot_is_a_picture_or_a_drawing_with_its_words_and_the_same_again(root, tmp_path, words):
    for name in ("a.png", "a.svg", "b.svg"):
        call(words[0], root, *words[1:], "--plot", tmp_path / name)
    with Image.open(tmp_path / "a.png") as image:
        assert image.width > 1000
        assert len(image.convert("RGB").getcolors(2**24)) > 3
    texts = set(ElementTree.parse(tmp_path / "a.svg").getroot().itertext())
    rules = json.loads(call("filter", root, "--what-if", "duration_s >= 0.5", "--json"))["rules"]
    for rule in rules:
        assert rule["rule"] in {text.split(" (")[0] for text in texts}
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_names_are_drawn_as_they_are(tmp_path):
    title = "$\\frac{1}{0}$ <script>alert(1)</script> & $x"
    plot_spread(Spread([], [], []), tmp_path / "a.svg", title=title)
    drawn = ElementTree.parse(tmp_path / "a.svg").getroot()
    assert title in list(drawn.itertext())
    assert [one for one in drawn.iter() if one.tag.endswith("script")] == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["status", "ROOT", "--plot", "a.pdf"], "a plot is a .png or .svg file"),
        (["status", "ROOT", "--plot", "no/such/a.png"], "no such folder"),
        (["filter", "ROOT", "--plot", "a.png"], "goes with --what-if or --target-keep"),
        (["train", "RUN", "--plot", "a.png"], "has no loss yet"),
    ],
)
def test_what_makes_no_plot_is_said(root, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    with Journal(tmp_path / "run") as journal:
        journal.write(1, {"minutes": 1.0})
    words = [{"ROOT": str(root), "RUN": "run"}.get(word, word) for word in words]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, UsageError)
    assert says in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_without_matplotlib_the_command_that_brings_it_is_named(root, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = CliRunner().invoke(app, ["status", str(root), "--plot", str(tmp_path / "a.png")])
    assert "--plot needs matplotlib: " in str(result.exception)
    assert "install" in str(result.exception)


def test_the_losses_of_a_run_are_drawn_after_the_fact(tmp_path):
    with Journal(tmp_path / "run") as journal:
        for step in range(10, 60, 10):
            journal.write(step, {"loss": 1 / step})
        journal.write(60, {"validation": 0.5, "validation_low": 0.4, "validation_high": 0.6})
        journal.write(70, {"validation": 0.4})
    for name in ("a.png", "a.svg"):
        call("train", tmp_path / "run", "--plot", tmp_path / name)
    texts = list(ElementTree.parse(tmp_path / "a.svg").getroot().itertext())
    assert {"step", "loss", "validation", "validation's interval", "run"} <= set(texts)
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (1440, 540)


def test_histograms_stand_on_the_terminal_and_in_json(root):
    shown, report = call("status", root, "--histograms"), json.loads(call("status", root, "--histograms", "--json"))
    assert "histograms" not in json.loads(call("status", root, "--json"))
    for one in report["histograms"]:
        for line in one["thresholds"]:
            assert line["asks"] in shown
            assert any(row.strip().startswith("▸") for row in shown.splitlines())
    counts = [row.split()[-2:] for row in shown.splitlines() if row.split()[-2:-1] and row.split()[-1].isdigit()]
    assert counts
