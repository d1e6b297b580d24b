"""What clips are of is counted by topic, word and group, as they are and as they are drawn evenly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hdvg.cli import app
from hdvg.reports import concepts
from tests.synthetic import draw_dataset

CLIPS = {
    "text": "case when i % 4 = 0 then 'A dog, a dog and its Dogs' else 'a red bird in the video' end",
    "cluster": "case when i % 4 = 0 then 1 when i % 4 < 3 then 0 end",
    "cluster_group": "case when i % 4 = 0 then 1 when i % 4 < 3 then 0 end",
    "balance_weight": "case when i % 4 = 0 then 1.5 when i % 4 < 3 then 0.75 end",
    "duplicate": "false",
    "text_area": "0.0",
    "duration_s": "case when i < 80 then 5.0 else 0.5 end",
}
"""Of every four kept clips one is of a dog, two of a bird, and one of a bird without an embedding: weights 1.5, 0.75, 0.75, 1."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_dataset(
        tmp_path_factory.mktemp("c") / "d",
        100,
        keep={"too_short": "duration_s >= 2", "like": "diverse_draw >= 0"},
        clips=CLIPS,
    ).root


def test_concepts_are_counted_over_the_kept_clips_before_and_after_balance(dataset):
    said = CliRunner().invoke(app, ["status", str(dataset), "--concepts", "--json"])
    assert said.exit_code == 0, said.output
    found = {(row["kind"], row["name"]): row for row in json.loads(said.output)["concepts"]}
    dog, bird = found["word", "dog"], found["word", "bird"]
    assert (dog["clips"], bird["clips"], found["word", "dogs"]["clips"]) == (20, 60, 20)
    assert (dog["share"], dog["even_share"]) == pytest.approx((1 / 4, 1.5 / 4))
    assert (bird["share"], bird["even_share"]) == pytest.approx((3 / 4, 2.5 / 4))
    assert found["group of clusters", "0"]["even_share"] == pytest.approx(1.5 / 4)
    assert {name for kind, name in found if kind == "word"} == {"dog", "dogs", "red", "bird"}
    assert not any(kind == "topic" for kind, _ in found)
    table = CliRunner().invoke(app, ["status", str(dataset), "--concepts"]).output
    assert "what kept clips are of" in table
    assert "what kept clips are of" not in CliRunner().invoke(app, ["status", str(dataset)]).output


def test_a_sample_of_many_clips_has_their_shares(dataset, monkeypatch):
    from hdvg.dataset.dataset import Dataset

    monkeypatch.setattr(concepts, "SAMPLE", 50)
    with Dataset.open(dataset).manifest() as manifest:
        some = concepts.concepts(manifest.rows, "dataset")
    (bird,) = (row for row in some if row["name"] == "bird")
    assert 0.55 < bird["share"] < 0.95
    assert 20 < bird["clips"] / bird["share"] < 80
