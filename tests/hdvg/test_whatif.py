"""What-if counts against counts by hand, and against what the views say once the rules are really changed."""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from hdvg.config.recipe import parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.plan import Plan
from hdvg.dataset.seals import sealed
from hdvg.dataset.snapshot import measures
from hdvg.dataset.stages import part_schema
from hdvg.filtering import whatif
from hdvg.filtering.edit import suppose
from hdvg.reports.status import status
from pipelines.run import Task, decide, run
from pipelines.where import Where
from schemas.measures import POOL
from tests.footage import BUNDLED
from tests.told import plan_with, told
from tests.videos import draw_scenes

KEEP = {"too_short": "duration_s >= 2", "blurry": "sharpness >= 20", "drawn": "diverse_draw < 0.5"}

CLIPS = {
    #            a     b     c     d     e     f     g     h     i
    "duration_s": [1.0, 1.5, 3.0, 5.0, 2.0, 4.0, 1.0, 10.0, 8.0],
    "sharpness": [10.0, 30.0, 15.0, 20.0, 50.0, None, None, 100.0, 40.0],
    "diverse_draw": [0.9, 0.1, 0.1, 0.4, 0.2, 0.3, 0.1, None, None],
    "pool_status": ["ok", "ok", "ok", "ok", "ok", "ok", "ok", None, "ok"],
}
"""a breaks all; b, c only one; d, e none; f and g lack sharpness; h was not drawn; i was, without a number."""


def what_if(*given: Any) -> dict[str, Any]:
    """The figures as JSON has them."""
    return asdict(whatif.what_if(*given))


def counts(rule: dict) -> tuple[int, ...]:
    return tuple(rule[name] for name in ("breaks", "alone", "alone_so_far", "unmeasured", "not_taken"))


def test_counts_are_those_by_hand():
    said = what_if(told(**CLIPS), plan_with(KEEP), KEEP)
    assert said["all"] == {"clips": 9, "share": 1.0, "hours": pytest.approx(35.5 / 3600)}
    assert said["before"] == said["after"] == {"clips": 2, "share": 2 / 9, "hours": pytest.approx(7 / 3600)}  # d, e
    assert {rule["rule"]: counts(rule) for rule in said["rules"]} == {
        "too_short": (3, 1, 1, 0, 0),  # a, b, g; alone b; so far g
        "blurry": (2, 1, 0, 2, 0),  # a, c; alone c; f, g
        "drawn": (1, 0, 0, 2, 1),  # a; h, i; h
    }
    assert said["rules"][0]["share"] == pytest.approx(3 / 9)
    assert said["overlap"] == [[3, 1, 1], [1, 2, 1], [1, 1, 1]]
    assert said["to_measure"] == {
        "clips": 1,
        "share": 1 / 9,
        "hours": pytest.approx(10 / 3600),
        "measures": {"pool": 1},
    }
    assert [(row["reason"], row["clips"]) for row in said["dropped"]] == [
        ("too_short", 3), ("blurry", 2), ("unmeasured:blurry", 2), ("unmeasured:drawn", 2), ("drawn", 1),
    ]  # fmt: skip
    assert said["sets"] == []


def test_other_rules_keep_and_drop_other_clips():
    after = suppose(suppose(KEEP, "duration_s>=3"), "sharpness>=15")
    said = what_if(told(**CLIPS), plan_with(KEEP), after)
    assert said["before"]["clips"] == 2  # d, e
    assert said["after"] == {"clips": 2, "share": 2 / 9, "hours": pytest.approx(8 / 3600)}  # c, d
    assert said["newly_kept"] == {"clips": 1, "share": 1 / 9, "hours": pytest.approx(3 / 3600)}
    assert said["newly_dropped"] == {"clips": 1, "share": 1 / 9, "hours": pytest.approx(2 / 3600)}
    assert [(rule["asks"], rule["was"]) for rule in said["rules"]] == [
        ("duration_s >= 3", "duration_s >= 2"), ("sharpness >= 15", "sharpness >= 20"), ("diverse_draw < 0.5",) * 2,
    ]  # fmt: skip
    assert said["sets"] == ["keep.too_short=duration_s >= 3", "keep.blurry=sharpness >= 15"]
    assert "copies and draws" in said["notes"][0]


def test_quantiles_are_over_the_clips_that_pass_all_other_rules():
    clips = told(duration_s=[1.0, 3.0, 3.0, 3.0, 3.0, 3.0], sharpness=[0.0, 10.0, 20.0, 30.0, 40.0, None])
    keep = {"too_short": "duration_s >= 2", "blurry": "sharpness > quantile(0.5)"}
    said = what_if(clips, plan_with(keep, {"sharpness:0.5": 15.0}), keep)
    assert said["rules"][1]["threshold"] == [25.0]  # between 20 and 30; the short clip's 0 does not count
    assert (said["before"]["clips"], said["after"]["clips"]) == (3, 2)  # by the 15 it is now, and by 25
    nothing = what_if(clips, plan_with({}), {"too_short": "duration_s >= 9", "blurry": "sharpness > quantile(0.5)"})
    assert nothing["rules"][1]["threshold"] == [None]
    assert "blurry" in nothing["notes"][0]


def test_no_rules_and_no_clips_are_fine():
    said = what_if(told(**CLIPS), plan_with({}), {})
    assert (said["before"]["clips"], said["after"]["clips"], said["rules"], said["overlap"]) == (9, 9, [], [])
    empty = what_if(told(duration_s=[]), plan_with(KEEP), KEEP)
    assert (empty["all"]["clips"], empty["after"]["clips"], empty["overlap"]) == (0, 0, [[0] * 3] * 3)
    assert what_if(told(duration_s=[]), plan_with({}), {})["after"] == {"clips": 0, "share": 0.0, "hours": 0.0}


def test_more_rules_than_a_word_has_bits_are_fine():
    keep = {f"r{number}": f"duration_s > {number}" for number in range(70)}
    said = what_if(told(duration_s=[0.5, 68.5, 100.0]), plan_with({}), keep)
    assert said["after"]["clips"] == 1
    assert [said["rules"][place]["breaks"] for place in (0, 1, 69)] == [0, 1, 2]
    assert said["overlap"][69][68] == 1


def test_nearest_clips_are_those_with_the_least_margin_by_the_spread():
    durations = [1.0, 2.9, 3.5, 8.0]
    aspects = [1.0, 1.79, 1.82, 2.5]
    keep = {"too_short": "duration_s >= 3", "wide": "1.7 <= aspect <= 1.8"}
    said = what_if(told(duration_s=durations, aspect=aspects), plan_with({}), keep)["nearest"]
    spread = {"duration_s": np.std(durations), "aspect": np.std(aspects)}
    truth = sorted(
        [(abs(value - 3) / spread["duration_s"], "too_short", value - 3) for value in durations]
        + [(abs(m) / spread["aspect"], "wide", m) for m in (1.0 - 1.7, 1.8 - 1.79, 1.8 - 1.82, 1.8 - 2.5)]
    )
    assert [(near["distance"], near["rule"], near["margin"]) for near in said] == [
        (pytest.approx(distance), rule, pytest.approx(margin)) for distance, rule, margin in truth
    ]
    assert [(near["clip_id"], near["kept"], near["kept_before"]) for near in said[:3]] == [
        ("b", False, True), ("c", False, True), ("b", False, True),
    ]  # fmt: skip


def test_a_crowd_on_a_threshold_does_not_hide_what_is_beside_it():
    heights = [720] * 50 + [719, 721] * 30  # a standard deviation of 0.74: 719 stands 1.35 of it outside
    durations = [10.0 * place for place in range(10)] + [None] * 100  # of 28.7: 90 stands 1.39 of it inside
    clips = told(clip_id=[str(place) for place in range(110)], height=heights, duration_s=durations)
    said = what_if(clips, plan_with({}), {"low": "height >= 720", "short": "duration_s >= 50"})["nearest"]
    assert [near["distance"] for near in said] == sorted(near["distance"] for near in said)
    assert sorted(near["value"] for near in said if near["rule"] == "short") == durations[:10]
    assert [near["value"] for near in said if near["rule"] == "low"] == [720] * 8 + [719] * 2  # 20 clips in all


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Real footage and drawn videos, one of a single frame (no motion can be told), of which some clips have been drawn."""
    folder = tmp_path_factory.mktemp("whatif")
    (folder / "videos").mkdir()
    (folder / "videos" / "cockatoo.mp4").symlink_to(BUNDLED / "cockatoo.mp4")
    draw_scenes(folder / "videos" / "a.mp4", scene_frames=(20, 16, 40))
    draw_scenes(folder / "videos" / "b.mp4", scene_frames=(1,), seed=1)
    recipe = parse_recipe({"caption": {"captioner": "none"}, "keep": {"too_short": "duration_s >= 0.7"}})
    for stage in ("download", "split"):
        task = Task(links=[str(folder / "videos")], stage=stage, where=Where(runner="serial"))
        assert run(folder / "d", recipe, task, Console(file=io.StringIO()))
    made = Dataset.open(folder / "d")
    with made.manifest() as manifest:
        clips = manifest.rows("select clip_id, video_id from measured order by clip_id")
        assert manifest.one("select count(*) from measured where motion_px_s is null") == 1
    rows = [
        {
            **clip,
            "status": "ok",
            "generation": 1,
            "attempt": 1,
            "diverse_draw": None if place == 1 else place / len(clips),
        }
        for place, clip in enumerate(clips[1:])
    ]
    schema = part_schema(POOL)
    table = schema.empty_table().from_pylist(rows, schema=schema)
    (made.root / "parts" / POOL / f"some-{made.plan.fingerprints[POOL]}-1.parquet").write_bytes(sealed(table))
    return made


@pytest.mark.parametrize(
    "rules",
    [
        ["duration_s>=0.9"],
        ["motion_px_s >= 1"],
        ["motion_px_s >= 1 or duration_s > 1", "sharpness >= quantile(0.4)"],
        ["diverse_draw<0.6", "quantile(0.1) <= luma_mean < quantile(0.8)", "static_share<=0.9"],
        ["diverse_draw<0.6", "duration_s>=1.5", "motion_px_s >= quantile(0.5)"],
    ],
)
def test_counts_equal_those_of_the_views(dataset, rules):
    keep = dict(dataset.plan.recipe.keep)
    for rule in rules:
        keep = suppose(keep, rule)
    with measures(dataset, [], lambda said: None) as connection:
        said = what_if(connection, dataset.plan, keep)
    now = figures(dataset)
    assert (said["all"]["clips"], said["before"]["clips"], said["before"]["hours"]) == now[:3]
    recipe = dataset.plan.recipe.model_copy(update={"keep": keep})
    quantiles = {
        bound.key: threshold
        for rule, row in zip(recipe.rules, said["rules"], strict=True)
        for bound, threshold in zip(rule.bounds, row["threshold"], strict=True)
        if bound.share is not None and threshold is not None
    }
    then = Dataset(dataset.root, Plan(recipe, dataset.plan.fingerprints, dataset.plan.measures, quantiles))
    assert (said["all"]["clips"], said["after"]["clips"], said["after"]["hours"], said["dropped"]) == figures(then)


def test_counts_equal_those_after_the_rules_were_changed(dataset):
    before = dict(dataset.plan.recipe.keep)
    keep = suppose(suppose(before, "sharpness >= quantile(0.3)"), "motion_px_s >= quantile(0.2)")
    with measures(dataset, [], lambda said: None) as connection:
        said = what_if(connection, dataset.plan, keep)
    changed = decide(dataset.root, dataset.plan.recipe.model_copy(update={"keep": keep}))
    assert (said["all"]["clips"], said["after"]["clips"], said["after"]["hours"], said["dropped"]) == figures(changed)
    assert 0 < said["after"]["clips"] < said["before"]["clips"]
    decide(dataset.root, dataset.plan.recipe)


def figures(dataset: Dataset) -> tuple:
    """Clips, kept clips and hours, and reasons, as `hdvg status` says."""
    said = status(dataset)
    funnel = {row["stage"]: row for row in said.funnel}
    hours = funnel["kept"]["hours"] or 0.0
    return funnel["clips"]["items"], funnel["kept"]["items"], pytest.approx(hours), said.dropped
