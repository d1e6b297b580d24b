"""Thresholds for a keep rate, against counts by hand and by plain numpy."""

import numpy as np
import pytest

from hdvg.config.recipe import parse_recipe
from hdvg.errors import UsageError
from hdvg.filtering.tune import Axis, parse_axes, tune
from hdvg.filtering.whatif import what_if
from tests.told import plan_with, told

KEEP = {"short": "duration_s >= 2", "wide": "1.7 <= aspect <= 1.8", "dim": "luma_mean > 16 or black_share < 0.1"}


def bounds(tuned) -> list[float]:
    return [bound["threshold"] for bound in tuned.found["bounds"]]


def test_one_bound_moves_to_the_quantile():
    clips = told(duration_s=[float(value) for value in range(10)])
    tuned = tune(
        clips,
        KEEP | {"wide": "fps is null or fps > 0", "dim": "fps is null"},
        [Axis("duration_s", "low")],
        target_share=0.3,
    )
    assert tuned.keep["short"] == "duration_s >= 7"
    assert (tuned.found["kept"], tuned.found["target_clips"], tuned.found["pool"]) == (3, 3, 10)
    assert tuned.found["bounds"][0]["drops_of_pool"] == 0.7


def test_bounds_are_equally_strict_over_the_clips_that_pass_the_others():
    rng = np.random.default_rng(7)
    count, outside = 1000, 200
    text, motion, sharp = rng.random((3, count))
    fps = [10.0] * outside + [25.0] * (count - outside)
    clips = told(
        clip_id=[str(n) for n in range(count)], static_share=text, motion_px_s=motion, sharpness=sharp, fps=fps
    )
    keep = {"slow": "fps >= 20", "text": "static_share <= 0.5", "still": "motion_px_s > 0.1"}
    axes = parse_axes("static_share,motion_px_s,sharpness>=", keep)
    tuned = tune(clips, keep, axes, target_share=0.31)
    high, low, third = bounds(tuned)
    pool = np.array(fps) >= 20
    passes = [text <= high, motion >= low, sharp >= third]
    assert int((pool & np.logical_and.reduce(passes)).sum()) == 310
    dropped = [int((pool & ~one).sum()) for one in passes]
    assert max(dropped) - min(dropped) <= 1
    assert [round(bound["drops_of_pool"] * 800) for bound in tuned.found["bounds"]] == dropped
    assert list(tuned.keep) == ["slow", "text", "still", "sharpness"]
    assert what_if(clips, plan_with(keep), tuned.keep).after.clips == 310


def test_equal_values_go_together_and_the_nearer_side_is_taken():
    heights = [480] * 4 + [720] * 5 + [1080]
    clips = told(height=heights)
    kept = {
        share: tune(clips, {}, [Axis("height", "low")], target_share=share).found["kept"]
        for share in (0.2, 0.4, 0.7, 0.9)
    }
    assert kept == {0.2: 1, 0.4: 6, 0.7: 6, 0.9: 10}


def test_a_clip_without_a_value_is_not_kept():
    clips = told(motion_px_s=[1.0, 2.0, 3.0, 4.0, None, None])
    tuned = tune(clips, {}, [Axis("motion_px_s", "low")], target_share=0.5)
    assert (tuned.keep, tuned.found["kept"]) == ({"motion_px_s": "motion_px_s >= 2"}, 3)
    assert tuned.found["bounds"][0]["unmeasured"] == 2
    with pytest.raises(UsageError, match=r"5 of 6 clips, but .* keep 6, and 4 of these have all tuned measures"):
        tune(clips, {}, [Axis("motion_px_s", "low")], target_share=0.83)


def test_what_cannot_be_reached_is_said_with_numbers():
    clips = told(duration_s=[1.0] * 8 + [3.0] * 2, sharpness=list(map(float, range(10))))
    with pytest.raises(UsageError, match=r"5 of 10 clips, but the rules that are not tuned keep 2, .* at most 0\.2000"):
        tune(clips, {"short": "duration_s >= 2"}, [Axis("sharpness", "low")], target_share=0.5)
    with pytest.raises(UsageError, match="1 of 0 clips"):
        tune(told(duration_s=[]), {}, [Axis("sharpness", "low")], target_share=0.5)


def test_other_quantiles_follow_the_bounds_that_move():
    rng = np.random.default_rng(3)
    sharp, motion = rng.random((2, 500))
    clips = told(clip_id=[str(n) for n in range(500)], sharpness=sharp, motion_px_s=motion)
    keep = {"still": "motion_px_s >= quantile(0.25)", "blurry": "sharpness >= 0.1"}
    tuned = tune(clips, keep, parse_axes("sharpness", keep), target_share=0.3)
    assert abs(tuned.found["kept"] - 150) <= 1
    assert what_if(clips, plan_with(keep), tuned.keep).after.clips == tuned.found["kept"]
    assert (sharp >= bounds(tuned)[0]).sum() == pytest.approx(200, abs=2)  # of which the livelier three quarters stay


def test_thresholds_are_short_numbers_between_the_clips():
    clips = told(sharpness=[1 / 3, 2 / 3, 4 / 3, 7 / 3])
    tuned = tune(clips, {}, [Axis("sharpness", "high")], target_share=0.5)
    assert tuned.keep == {"sharpness": "sharpness <= 0.7"}
    near = told(sharpness=[0.123456789, 0.123456788, 0.5])
    assert tune(near, {}, [Axis("sharpness", "low")], target_share=0.66).keep == {
        "sharpness": "sharpness >= 0.123456789"
    }


@pytest.mark.parametrize(
    ("text", "axes"),
    [
        ("duration_s", [Axis("duration_s", "low")]),
        (" duration_s , aspect<= ", [Axis("duration_s", "low"), Axis("aspect", "high")]),
        ("aspect>=,aspect<=", [Axis("aspect", "low"), Axis("aspect", "high")]),
    ],
)
def test_a_side_is_that_of_the_rule_or_written(text, axes):
    assert parse_axes(text, KEEP) == axes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("aspect", "on both sides.*'aspect<=' or 'aspect>='"),
        ("luma_mean", "no rule bounds it; say which side"),
        ("duration", "did you mean `duration_s`"),
        ("duplicate>=", "no number"),
        ("duration_s>=3", "write measures with commas"),
        ("", "write measures with commas"),
        ("duration_s,duration_s>=", "twice"),
    ],
)
def test_what_is_no_axis_is_refused(text, said):
    with pytest.raises(UsageError, match=said):
        parse_axes(text, KEEP)


def test_the_found_rules_are_a_recipes():
    clips = told(duration_s=[1.0, 2.0, 3.0, 4.0], aspect=[1.75, 1.76, 1.77, 1.5], luma_mean=[99.0] * 4)
    tuned = tune(clips, KEEP, parse_axes("aspect<=", KEEP), target_share=0.25)
    assert tuned.keep["wide"] == "1.7 <= aspect <= 1.76"  # clip a is too short, b is kept
    assert parse_recipe({"keep": tuned.keep}).keep == tuned.keep
