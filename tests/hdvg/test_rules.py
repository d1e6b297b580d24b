"""Thresholds become named reasons; nothing passes by luck."""

import duckdb
import pytest

from hdvg.config import Filter
from hdvg.rules import RULES, active_rules, reasons_sql

MEASURES = {
    "duration_s": 5.0, "width": 1280, "height": 720, "aspect": 16 / 9, "fps": 25.0, "motion_px_s": 20.0,
    "static_share": 0.1, "black_share": 0.0, "luma_mean": 100.0, "sharpness": 80.0,
}  # fmt: skip


def reasons(settings: Filter, **changes: float | None) -> list[str]:
    values = MEASURES | changes
    columns = ", ".join(f"?::double as {name}" for name in values)
    row = duckdb.execute(
        f"select list_filter({reasons_sql(settings)}, lambda x: x is not null) from (select {columns})",
        list(values.values()),
    )
    return row.fetchall()[0][0]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.setting)
def test_every_rule_keeps_its_bound_and_drops_beyond_it_by_its_name(rule):
    column = "height" if "least" in rule.column else rule.column
    bound = 0.5 if "share" in column else 100 if column == "height" else 40.0
    settings = Filter(**{rule.setting: bound})
    step = 1 if column == "height" else 0.25
    beyond = bound - step if rule.side == "min" else bound + step
    assert reasons(settings, **{column: bound}) == []
    assert reasons(settings, **{column: beyond}) == [rule.reason]
    assert rule.passes(bound, bound)
    assert not rule.passes(beyond, bound)


def test_clip_without_measure_is_not_kept():
    assert reasons(Filter(min_motion_px_s=1.0), motion_px_s=None) == ["unmeasured:low_motion"]


def test_all_failed_rules_are_listed_in_order():
    assert reasons(Filter(min_s=6, max_static_share=0.05, min_height_px=1080)) == [
        "too_short",
        "low_resolution",
        "static",
    ]


def test_no_rules_keep_everything():
    assert reasons(Filter()) == []


def test_every_filter_setting_has_its_rule():
    assert [rule.setting for rule in RULES] == list(Filter.model_fields)
    assert active_rules(Filter(max_s=3))[0][1] == 3.0
