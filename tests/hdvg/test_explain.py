"""Every kind of rule is explained whole: what it asks, the value, the number it comes to, the margin, and whether it is passed."""

from __future__ import annotations

import io
from dataclasses import asdict

import pytest
from rich.console import Console

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.errors import UsageError
from hdvg.reports.explain import explain
from pipelines.run import Task, decide, run
from pipelines.where import Where
from tests.videos import draw_scenes

RULES = {
    "range": "0.5 <= duration_s <= 0.75",
    "still": "sharpness >= quantile(0.5)",
    "middling": "quantile(0.25) <= luma_mean < 1000",
    "odd": "luma_mean > 300 or height < 200",
    "lively": "motion_px_s >= 0.001",
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Clips of 20 and 16 frames at 25 frames a second, and one of a single frame, of which no motion can be told."""
    folder = tmp_path_factory.mktemp("explain")
    (folder / "videos").mkdir()
    draw_scenes(folder / "videos" / "a.mp4", scene_frames=(20, 16))
    draw_scenes(folder / "videos" / "b.mp4", scene_frames=(1,), seed=1)
    recipe = parse_recipe({"caption": {"captioner": "none"}})
    for stage in ("download", "split"):
        task = Task(links=[str(folder / "videos")], stage=stage, where=Where(runner="serial"))
        assert run(folder / "d", recipe, task, Console(file=io.StringIO()))
    return Dataset.open(folder / "d")


def rules_of(dataset: Dataset, frames: int) -> dict[str, dict]:
    with dataset.manifest() as manifest:
        clip = manifest.one("select clip_id from clips where n_frames = ?", [frames])
    said = [asdict(rule) for rule in explain(dataset, clip).rules]
    return {rule.pop("rule"): rule for rule in said}


def with_rules(dataset: Dataset, keep: dict[str, str]) -> Dataset:
    return decide(dataset.root, dataset.plan.recipe.model_copy(update={"keep": keep}))


def test_a_rule_says_what_it_asks_its_value_threshold_margin_and_outcome(dataset):
    changed = with_rules(dataset, {name: RULES[name] for name in ("range", "still", "middling", "odd", "lively")})
    with changed.manifest() as manifest:
        ((sharp, sharpness, luma, low),) = manifest.connection.execute(
            "select quantile_cont(sharpness, 0.5) filter (fine), max(sharpness) filter (n_frames = 20), "
            "max(luma_mean) filter (n_frames = 20), quantile_cont(luma_mean, 0.25) filter (fine) "
            "from (select *, duration_s between 0.5 and 0.75 and motion_px_s >= 0.001 and height < 200 as fine from measured)"
        ).fetchall()
    said = rules_of(changed, 20)
    assert said["range"] == {
        "asks": RULES["range"], "value": 0.8, "threshold": [0.5, 0.75], "margin": pytest.approx(-0.05), "passes": False,
    }  # fmt: skip
    assert said["still"] == {
        "asks": RULES["still"], "value": sharpness, "threshold": sharp, "margin": sharpness - sharp, "passes": sharpness >= sharp,
    }  # fmt: skip
    assert said["middling"]["threshold"] == [low, 1000]
    assert said["middling"]["margin"] == pytest.approx(min(luma - low, 1000 - luma))
    assert said["odd"] == {
        "asks": RULES["odd"], "value": {"luma_mean": luma, "height": 108}, "threshold": None, "margin": None, "passes": True,
    }  # fmt: skip


def test_what_is_not_known_is_not_passed_and_has_no_margin(dataset):
    said = rules_of(
        with_rules(dataset, {"lively": RULES["lively"], "none": "duration_s > 99", "still": RULES["still"]}), 1
    )
    assert said["lively"] == {
        "asks": RULES["lively"], "value": None, "threshold": 0.001, "margin": None, "passes": None,
    }  # fmt: skip
    unknown = {"threshold": None, "margin": None, "passes": None}
    assert said["still"] | unknown == said["still"]  # no clip is longer than 99 s: the quantile is over nothing


def test_an_id_must_name_one_clip(dataset):
    for start, said in (("x", "no clip"), ("", "several clips")):
        with pytest.raises(UsageError, match=said):
            explain(dataset, start)
