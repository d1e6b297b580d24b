"""A recipe's rules become named reasons; nothing passes by luck, and no rule reads more than a clip's measures."""

import duckdb
import pytest

from hdvg.config.rules import Verdicts, parse_rule, parse_rules

MEASURES = {
    "duration_s": 5.0,
    "width": 1280,
    "height": 720,
    "motion_px_s": 20.0,
    "static_share": 0.1,
    "duplicate": False,
}


def reasons(keep: dict[str, str], *, quantiles: dict[str, float] | None = None, status: str | None = "ok", **changes):
    values = MEASURES | changes | {"pool_status": status}
    columns = ", ".join(f"? as {name}" for name in values)
    verdicts = Verdicts(parse_rules(keep), (), quantiles or {})
    row = duckdb.execute(f"select {verdicts.reasons()} from (select {columns})", list(values.values())).fetchall()
    return row[0][0]


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [
        ("duration_s >= 5", [5, 6], [4.99]),
        ("duration_s > 5", [5.01], [5, 4]),
        ("duration_s <= 5", [5, 4], [5.01]),
        ("duration_s < 5", [4.99], [5]),
        ("2 <= duration_s < 20", [2, 19.9], [1.9, 20]),
        ("-1e0 < duration_s <= .5", [0, 0.5], [-1, 0.51]),
        ("duration_s between 2 and 3 or duration_s > 10", [2, 3, 11], [4]),
        ("duration_s * 24 >= 48", [2], [1.9]),
    ],
)
def test_a_rule_keeps_what_it_says_and_drops_the_rest_by_its_name(rule, inside, outside):
    assert [reasons({"odd": rule}, duration_s=float(value)) for value in inside] == [[]] * len(inside)
    assert [reasons({"odd": rule}, duration_s=float(value)) for value in outside] == [["odd"]] * len(outside)


def test_clip_without_measure_is_not_kept():
    assert reasons({"low_motion": "motion_px_s >= 1"}, motion_px_s=None) == ["unmeasured:low_motion"]
    assert reasons({"low_motion": "not (motion_px_s < 1)"}, motion_px_s=None) == ["unmeasured:low_motion"]


def test_all_broken_rules_are_listed_in_order():
    keep = {
        "too_short": "duration_s >= 6",
        "static": "static_share <= 0.05",
        "wide": "width >= 640",
        "still": "motion_px_s > 20",
    }
    assert reasons(keep) == ["too_short", "static", "still"]
    assert reasons(keep, static_share=None) == ["too_short", "unmeasured:static", "still"]


def test_a_measure_not_taken_is_a_reason_only_where_there_is_no_other():
    keep = {"copy": "not duplicate", "short": "duration_s >= 2"}
    assert reasons(keep, status=None, duplicate=None) == ["unmeasured:copy"]
    assert reasons(keep, status=None, duplicate=None, duration_s=1.0) == ["short"]
    assert reasons(keep, duplicate=None, duration_s=1.0) == ["unmeasured:copy", "short"]
    assert reasons(keep, duplicate=True) == ["copy"]


def test_a_quantile_holds_once_it_is_known():
    keep = {"still": "motion_px_s >= quantile(0.25)"}
    assert reasons(keep) == ["unmeasured:still"]
    assert reasons(keep, quantiles={"motion_px_s:0.25": 20.0}) == []
    assert reasons(keep, quantiles={"motion_px_s:0.25": 20.5}) == ["still"]


def test_no_rules_keep_everything():
    assert reasons({}) == []


def test_margins_are_to_the_nearer_bound():
    rule = parse_rule("length", "2 <= duration_s <= 20")
    assert [rule.margin(value, {}) for value in (1.5, 3.0, 18.0, 21.0, None)] == [-0.5, 1.0, 2.0, -1.0, None]
    assert parse_rule("odd", "duration_s * 2 > 3").margin(4.0, {}) is None


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("short", "duration >= 2", "did you mean `duration_s`"),
        ("Short", "duration_s >= 2", "small letters"),
        ("short", "duration_s >=", "duration_s >="),
        ("short", "duration_s", "not true or false"),
        ("short", "duration_s >= quantile(25)", "between 0 and 1"),
        ("short", "duplicate >= 1", "not duplicate"),
        ("short", "1 = 1", "no column"),
        ("short", "duration_s > (select 1)", "without a query"),
        ("short", "exists (select 1) and duration_s > 1", "without a query"),
        ("short", "random() < duration_s", "does not give the same answer"),
        ("short", "t.duration_s < 1", "no measure"),
        ("short", "unnest(phashes) > 3", "does not give the same answer"),
        ("short", "avg(duration_s) > 3", "GROUP BY"),
        ("short", "row_number() over (order by duration_s) > 3", "without a window"),
        ("short", "phash > 3 and nonsense(3)", "nonsense"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_name(name, text, said):
    with pytest.raises(ValueError, match=r"rule '?(short|Short)'?") as error:
        parse_rule(name, text)
    assert said in str(error.value)


UNBALANCED = (
    "true) or (duration_s > 100000",
    "true) from read_text('/etc/passwd') where (true",
    "duration_s > 1); drop table x; select (1",
    "duration_s > 1; select 1",
    "duration_s < 1) as x, (true",
    "duration_s > 1 as x",
    "duration_s > 1, fps > 1",
    "duration_s > 1 order by 1",
    "duration_s > 1 union select true",
    "duration_s > 1 -- no more",
    "duration_s > 1 /*",
    "((duration_s > 1)",
    "duration_s is null" + " or duration_s > 1" * 2000,
)


@pytest.mark.parametrize("text", UNBALANCED)
def test_a_condition_is_one_expression_by_itself(text):
    with pytest.raises(ValueError, match=r"not one SQL condition|characters"):
        parse_rule("short", text)


@pytest.mark.parametrize("text", ["(duration_s > 1) or (fps > 1)", "duration_s > 1 -- why\n", "duration_s in (1, 2)"])
def test_a_condition_may_have_brackets_and_comments_of_its_own(text):
    assert "duration_s" in parse_rule("short", text).columns


def test_a_condition_that_takes_too_long_is_refused_as_it_is_read(monkeypatch):
    monkeypatch.setattr("hdvg.config.conditions.LIMIT_S", 0.05)
    slow = f"duration_s > levenshtein('{'a' * 9000}', '{'b' * 9000}')"  # one step, which DuckDB does not interrupt
    with pytest.raises(ValueError, match=r"takes longer than 0\.05 s"):
        parse_rule("short", slow)
