"""A supposition changes just the bounds it names."""

import pytest

from hdvg.config.recipe import parse_recipe
from hdvg.config.rules import Bound
from hdvg.errors import UsageError
from hdvg.filtering.edit import changes, set_bound, suppose

KEEP = {
    "too_short": "duration_s >= 2",
    "too_long": "duration_s <= 20",
    "wide": "1.7 < aspect <= 1.8",
    "dark": "luma_mean > 16 or black_share < 0.1",
    "still": "motion_px_s >= quantile(0.25)",
}


@pytest.mark.parametrize(
    ("expression", "changed"),
    [
        ("duration_s>=3", {"too_short": "duration_s >= 3"}),
        ("duration_s<15.5", {"too_long": "duration_s < 15.5"}),
        ("3 <= duration_s < 15", {"too_short": "duration_s >= 3", "too_long": "duration_s < 15"}),
        ("aspect >= 1.5", {"wide": "1.5 <= aspect <= 1.8"}),
        ("aspect<2", {"wide": "1.7 < aspect < 2"}),
        ("motion_px_s > quantile(0.5)", {"still": "motion_px_s > quantile(0.5)"}),
        ("motion_px_s <= 400", {"motion_px_s": "motion_px_s <= 400"}),
        ("1e-05 < sharpness <= quantile(0.9)", {"sharpness": "1e-05 < sharpness <= quantile(0.9)"}),
        ("luma_mean >= 20", {"luma_mean": "luma_mean >= 20"}),  # the condition `dark` is no bound
        ("not duplicate", {"duplicate": "not duplicate"}),
        ("sharpness > 3 or fps > 20", {"sharpness": "sharpness > 3 or fps > 20"}),
    ],
)
def test_a_bound_takes_the_place_of_those_on_its_side_and_anything_else_is_added(expression, changed):
    assert suppose(KEEP, expression) == KEEP | changed


def test_several_bounds_on_one_side_become_one():
    keep = {"a": "duration_s >= 2", "b": "3 <= duration_s <= 9", "c": "duration_s > 1"}
    assert suppose(keep, "duration_s >= 5") == {"a": "duration_s >= 5", "b": "duration_s <= 9"}


def test_a_new_rule_takes_no_name_that_is_taken():
    assert suppose({"duration_s": "fps >= 20"}, "duration_s >= 2") == {
        "duration_s": "fps >= 20", "duration_s_2": "duration_s >= 2",
    }  # fmt: skip


def test_a_bound_is_taken_away_with_the_rule_that_had_no_other():
    assert set_bound(KEEP, "duration_s", "low", None) == {name: KEEP[name] for name in KEEP if name != "too_short"}
    assert set_bound(KEEP, "aspect", "low", None)["wide"] == "aspect <= 1.8"
    assert set_bound(KEEP, "fps", "low", None) == KEEP


@pytest.mark.parametrize("number", [0.1, 1e-7, 123456789.125, -2.5, 0.30000000000000004])
def test_a_number_stays_the_same_number_in_text(number):
    keep = set_bound({}, "sharpness", "high", Bound("sharpness", closed=True, number=number))
    (rule,) = parse_recipe({"keep": keep}).rules
    assert rule.high == Bound("sharpness", closed=True, number=number)


@pytest.mark.parametrize(
    ("expression", "said"),
    [("duration>=3", "did you mean `duration_s`"), ("duration_s", "not true or false"), ("", "")],
)
def test_what_is_no_rule_is_refused(expression, said):
    with pytest.raises(UsageError, match="--what-if") as error:
        suppose(KEEP, expression)
    assert said in str(error.value)


def test_changes_make_the_one_of_the_other():
    after = suppose(suppose({name: KEEP[name] for name in KEEP if name != "dark"}, "fps >= 20"), "duration_s >= 3")
    said = changes(KEEP, after)
    assert said == ["keep.dark=null", "keep.too_short=duration_s >= 3", "keep.fps=fps >= 20"]
    assert parse_recipe({"keep": KEEP}, said).keep == after
    assert changes(KEEP, KEEP) == []
