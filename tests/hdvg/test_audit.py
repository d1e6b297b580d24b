"""An audit's questions tell no verdict and are a fair sample wherever one stops; answers are kept, and rates are shown at the end."""

from __future__ import annotations

import io
import json
import random
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from hdvg.audit import sitting as audits
from hdvg.audit.draw import Drawing, draw
from hdvg.audit.results import agreement, rates, results, standing
from hdvg.audit.sitting import Sitting
from hdvg.audit.thresholds import suggest
from hdvg.audit.topics import question, topics
from hdvg.cli import app
from hdvg.config.recipe import parse_recipe
from hdvg.config.rules import parse_rule
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.intake import accept
from hdvg.dataset.stages import part_schema
from hdvg.errors import UsageError
from hdvg.ids import digest
from hdvg.planning import make_plan
from pipelines.forget import forget
from tests.products import Clip, make

KEEP = {"blurry": "sharpness >= 20", "short": "duration_s >= 2"}
VIDEOS, A_VIDEO = 60, 6


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of random sharpness, not to be changed; a clip is truly blurred if its sharpness is below 30, hdvg says below 20."""
    folder = tmp_path_factory.mktemp("audited") / "d"
    folder.mkdir()
    dataset = Dataset(folder, make_plan(parse_recipe({"caption": {"captioner": "none"}, "keep": KEEP})))
    dataset.store.begin()
    dataset.prepare()
    links = folder.parent / "links.txt"
    links.write_text("\n".join(f"https://a.org/{number}.mp4" for number in range(VIDEOS)))
    accept(dataset, str(links))
    with dataset.manifest() as manifest:
        units = manifest.rows(
            "select unit, list(video_id order by video_id) as videos from inputs group by unit order by unit"
        )
    for row in units:
        publish(dataset, row["unit"], row["videos"], random.Random(row["unit"]))
    return folder


def publish(dataset: Dataset, unit: str, videos: list[str], drawn: random.Random) -> None:
    """Clips of these videos, of 3 s each."""
    base = {"status": "ok", "generation": 0, "attempt": 1, "keyframes": "0" * 64}
    downloads = [{**base, "video_id": video, "sha256": video * 2} for video in videos]
    splits = [{**base, "video_id": video} for video in videos]
    splits += [
        {
            **base,
            "video_id": video,
            "clip_id": digest(video, place),
            "duration_s": 3.0,
            "sharpness": drawn.uniform(0, 120),
        }
        for video in videos
        for place in range(A_VIDEO)
    ]
    for stage, rows in (("download", downloads), ("split", splits)):
        table = pa.Table.from_pylist(rows, schema=part_schema(stage))
        dataset.store.publish_table(f"parts/{stage}/{unit}-{dataset.plan.fingerprints[stage]}-0.parquet", table)


@pytest.fixture
def dataset(root: Path, tmp_path: Path) -> Dataset:
    return Dataset.open(shutil.copytree(root, tmp_path / "d"))


def last(dataset: Dataset) -> Sitting:
    return audits.sittings(dataset)[-1]


def sharpness(dataset: Dataset) -> dict[str, float]:
    with dataset.manifest() as manifest:
        return {row["clip_id"]: row["sharpness"] for row in manifest.rows("select clip_id, sharpness from measures")}


def answer(dataset: Dataset, author: str = "ada", most: int = 10_000) -> Sitting:
    """As a person who sees what is blurred, and no cut that is not clean."""
    true = sharpness(dataset)
    rows = last(dataset).left(author)[:most]
    said = {row["question"]: "yes" if row["topic"] == "cut" or true[row["clip_id"]] < 30 else "no" for row in rows}
    audits.record(dataset, last(dataset), author, said)
    return last(dataset)


def test_two_rates_of_a_rule_are_found_as_planted(dataset):
    draw(dataset, ["blurry"], Drawing(120, seed=1))
    sitting = answer(dataset)
    audits.end(dataset, sitting, "ada")
    found = {row["side"]: row for row in results(dataset)}
    values = np.array(list(sharpness(dataset).values()))
    kept = values[values >= 20]
    assert found["dropped"]["errors"] == 0
    assert found["dropped"]["low"] == 0
    truth = (kept < 30).mean()
    assert found["kept"]["low"] <= truth <= found["kept"]["high"]
    assert found["kept"]["high"] - found["kept"]["low"] < 0.14
    assert found["kept"]["clips"] == len(kept)
    assert "should have dropped" in found["kept"]["sentence"]


def test_no_question_tells_a_verdict_a_rule_or_a_number(dataset, tmp_path):
    draw(dataset, ["blurry", "cut"], Drawing(60, seed=2))
    held = io.StringIO()
    audits.write_questions(held, last(dataset).left("ada"), "d")
    text = held.getvalue()
    assert not {"sharpness", "blurry", "20"} & set(re.findall(r"[a-z]+|\b20\b", text))
    assert text.splitlines()[0] == "question,clip_id,asked,look,answer"
    asked = {row["side"]: row["asked"] for row in last(dataset).questions if row["topic"] == "blurry"}
    assert asked["kept"] == asked["dropped"]


def test_every_beginning_of_the_questions_holds_a_fair_share_of_each_group(dataset):
    draw(dataset, ["blurry"], Drawing(120, seed=3))
    rows = last(dataset).questions
    whole = Counter((row["side"], row["stratum"]) for row in rows)
    for end in (30, 60, 90):
        part = Counter((row["side"], row["stratum"]) for row in rows[:end])
        for group, count in whole.items():
            assert abs(part[group] - count * end / len(rows)) <= 2


def test_no_group_asks_about_a_video_twice(dataset):
    draw(dataset, ["blurry"], Drawing(300, seed=4))
    asked = [(row["side"], row["stratum"], row["video_id"]) for row in last(dataset).questions]
    assert len(asked) == len(set(asked))
    assert len({row["stratum"] for row in last(dataset).questions}) <= 5


def test_two_draws_ask_about_other_clips_and_a_seed_gives_the_same(dataset):
    clips = []
    for seed in (5, 5, 6):
        draw(dataset, ["blurry"], Drawing(40, seed=seed))
        clips.append([row["clip_id"] for row in last(dataset).questions])
    assert clips[0] == clips[1] != clips[2]


def test_answers_are_resumed_and_those_of_others_are_not_asked_for_again_but_a_fifth(dataset):
    draw(dataset, ["blurry"], Drawing(100, seed=7))
    before = last(dataset).left("ada")
    sitting = answer(dataset, "ada", most=50)
    assert sitting.left("ada") == before[50:]
    assert sitting.answered == 50
    shared = [row["question"] for row in sitting.left("bob") if row["question"] in sitting.answers]
    assert 2 <= len(shared) <= 25
    audits.record(dataset, sitting, "ada", {before[0]["question"]: None})
    assert last(dataset).left("ada")[0] == before[0]


def test_rates_are_hidden_until_the_end_and_no_answer_is_taken_after_it(dataset):
    draw(dataset, ["blurry"], Drawing(40, seed=8))
    sitting = answer(dataset, most=30)
    assert results(dataset) == []
    assert not {"share", "low", "errors"} & standing(dataset, sitting, "ada").keys()
    audits.end(dataset, sitting, "ada")
    assert results(dataset)
    with pytest.raises(UsageError, match="has ended"):
        audits.record(dataset, last(dataset), "bob", {sitting.questions[0]["question"]: "yes"})


def test_unsure_counts_as_no_answer_and_is_told(dataset):
    draw(dataset, ["cut"], Drawing(40, seed=9))
    sitting = answer(dataset)
    audits.record(dataset, sitting, "ada", {sitting.questions[0]["question"]: "unsure"})
    (rate,) = rates(dataset, last(dataset))
    assert (rate.unsure, rate.asked, rate.errors) == (1, len(sitting.questions) - 1, 0)


def test_of_two_who_answer_apart_the_first_counts_and_kappa_is_told_from_fifty(dataset):
    rows = tuple({"question": f"{number:012x}"} for number in range(60))
    given = {row["question"]: {"ada": "yes" if n % 2 else "no", "bob": "yes" if n % 2 or n < 8 else "no"} for n, row in enumerate(rows)}  # fmt: skip
    sitting = Sitting("a", rows, given, has_ended=False)
    assert sitting.answer(rows[0]["question"]) == "no"
    found = agreement(sitting)
    assert found.doubles == 60
    assert found.agreed == pytest.approx(56 / 60)
    assert found.kappa == pytest.approx(1 - (4 / 60) / 0.5, abs=0.01)
    assert found.low < found.kappa < found.high <= 1
    few = Sitting("a", rows, dict(list(given.items())[:49]), has_ended=False)
    assert agreement(few).kappa is None


def test_an_audit_until_a_width_says_when_it_is_enough(dataset):
    draw(dataset, ["cut"], Drawing(200, until=0.3, seed=10))
    sitting = answer(dataset, most=5)
    assert not standing(dataset, sitting, "ada")["enough"]
    sitting = answer(dataset)
    assert standing(dataset, sitting, "ada")["enough"]
    (rate,) = rates(dataset, sitting)
    assert rate.how == "anytime"
    assert rate.low == 0
    assert 0 < rate.high <= 0.3


def test_a_threshold_is_suggested_once_from_fresh_answers(dataset):
    draw(dataset, ["blurry"], Drawing(400, seed=11))
    sitting = answer(dataset)
    with pytest.raises(UsageError, match="goes on"):
        suggest(dataset, sitting, "blurry", most=0.1, author="ada")
    audits.end(dataset, sitting, "ada")
    found = suggest(dataset, last(dataset), "blurry", most=0.1, author="ada")
    assert found.fresh
    assert found.bound == ">="
    assert 20 <= found.threshold <= 35  # at 30 nothing is blurred; at 20 a tenth of what is kept
    again = suggest(dataset, last(dataset), "blurry", most=0.05, author="ada")
    assert not again.fresh
    assert "same answers" in again.sentence
    with pytest.raises(UsageError, match="no rule with one bound"):
        suggest(dataset, last(dataset), "none", most=0.1, author="ada")


def test_a_rate_of_a_rule_that_has_changed_says_so(dataset):
    draw(dataset, ["blurry"], Drawing(30, seed=12))
    audits.end(dataset, answer(dataset), "ada")
    other = make_plan(parse_recipe({"caption": {"captioner": "none"}, "keep": {"blurry": "sharpness >= 30"}}))
    changed = Dataset(dataset.root, other, dataset.store)
    assert all(row["is_current"] for row in results(dataset))
    assert not any(row["is_current"] for row in results(changed))


def test_a_take_down_takes_questions_and_answers_along(dataset):
    draw(dataset, ["blurry"], Drawing(60, seed=13))
    sitting = answer(dataset)
    gone = sitting.questions[0]["video_id"]
    forget(dataset.root, [("video", gone)])
    left = audits.sittings(Dataset.open(dataset.root))[-1]
    assert gone not in {row["video_id"] for row in left.questions}
    assert len(left.questions) < len(sitting.questions)


def test_questions_are_of_the_fault_that_a_rule_drops_for():
    rules = {
        "watermark < 0.5 or watermark is null": "watermark",
        "text_persistent is distinct from true": "watermark",
        "not title_card": "title card",
        "sharpness >= 20": "blurred",
    }
    for text, word in rules.items():
        assert word in (question(parse_rule("r", text), {}) or ""), text
    for text in (
        "screen >= 0.5",
        "duration_s >= 2",
        "not duplicate",
        "2 <= sharpness <= 9",
        "sharpness > 3 or width > 5",
    ):
        assert question(parse_rule("r", text), {}) is None, text


def test_only_what_an_eye_can_judge_is_asked_unless_it_is_named(dataset):
    assert [topic.name for topic in topics(dataset.plan)] == ["cut", "blurry"]
    assert "short (duration_s >= 2)" in topics(dataset.plan, ["short"])[0].asked
    with pytest.raises(UsageError, match="did you mean `blurry`"):
        topics(dataset.plan, ["blury"])


def cli(*words: Any) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_asks_by_csv_and_tells_at_the_end(dataset, tmp_path):
    path = tmp_path / "q.csv"
    cli("audit", dataset.root, "--topics", "cut", "--clips", "30", "--questions", path, "--author", "ada")
    path.write_text("".join(f"{line.rstrip()}y\n" if n else line for n, line in enumerate(path.open())))
    assert "30 of 30" in cli("audit", dataset.root, "--answers", path, "--author", "ada")
    found = json.loads(cli("audit", dataset.root, "--end", "--json", "--author", "ada"))
    assert found["rates"][0]["share"] == 0
    assert cli("audit", dataset.root, "--result", "--json") == json.dumps(found, ensure_ascii=False, indent=2) + "\n"


def test_the_card_and_the_description_of_an_export_have_the_rates(tmp_path):
    need_clips = [[Clip(0, 5000, b"x" * 5000, "a clip")], [Clip(0, 4000, b"y" * 5000, "another")]]
    dataset = make(tmp_path / "d", need_clips)

    def go(out: str) -> tuple[str, dict[str, Any]]:
        cli("export", dataset.root, "--to", "datasets", "--out", tmp_path / out)
        return (tmp_path / out / "README.md").read_text(), json.loads((tmp_path / out / "croissant.json").read_text())

    card, described = go("before")
    assert "How right it is" not in card
    assert "rai:dataLimitations" not in described
    draw(dataset, ["cut"], Drawing(10, seed=14))
    audits.record(dataset, last(dataset), "ada", {row["question"]: "no" for row in last(dataset).questions})
    audits.end(dataset, last(dataset), "ada")
    card, described = go("before")
    assert "kept clips whose cut is not clean: 100.0%" in card
    assert "kept clips whose cut is not clean: 100.0%" in described["rai:dataLimitations"][0]
    cli("report", dataset.root, "-o", tmp_path / "r.html", "--card", tmp_path / "r.md")
    assert "kept clips whose cut is not clean: 100.0%" in (tmp_path / "r.md").read_text()
    assert "kept clips whose cut is not clean" in (tmp_path / "r.html").read_text()
