"""Conditions are told by what a list says; what it does not say drops nothing, or all if that is asked for."""

from __future__ import annotations

import datetime

import pytest

from hdvg.errors import UsageError
from hdvg.sources.lists.entries import ENTRY, entry_row, language_code, timestamp
from hdvg.sources.lists.entry_file import FILE, Entries, read_entries
from hdvg.sources.lists.filter import Choice, check_conditions, choose_entries

FREE = "Creative Commons Attribution 4.0"
SAID = {"title": "A walk", "duration": 90, "height": 720, "license": FREE, "timestamp": 1704103200, "language": "en-GB"}


def row(url: str = "https://a.org/1", **changed: object) -> dict:
    return entry_row(url, SAID | {"view_count": 1000} | changed)


def passes(condition: str, *, strict: bool = False, **changed: object) -> bool:
    check_conditions([condition])
    return bool(choose_entries([row(**changed)], Choice(conditions=(condition,), strict=strict)).rows)


@pytest.mark.parametrize(
    ("holds", "fails"),
    [
        ("url like 'https://a.org/%'", "url like '%.mp4'"),
        ("title ilike '%WALK%'", "title = 'a walk'"),
        ("duration_s between 10 and 1200", "duration_s > 90"),
        ("height >= 720", "height < 720"),
        ("licence = 'Creative Commons Attribution 4.0'", "licence = 'CC0'"),
        ("licence_class in ('cc0', 'cc-by')", "licence_class = 'unknown'"),
        ("open_licence", "not open_licence"),
        ("upload_date >= '2024-01-01' and upload_date < '2024-02-01'", "upload_date < '2024-01-01'"),
        ("year(upload_date) = 2024", "upload_date is null"),
        ("language = 'en'", "language in ('de', 'fr')"),
        ("view_count >= 1000", "view_count is null"),
    ],
)
def test_every_column_can_be_a_condition(holds, fails):
    assert passes(holds)
    assert not passes(fails)


def test_the_columns_are_these():
    assert ENTRY.names == [
        *(
            "url",
            "title",
            "duration_s",
            "height",
            "licence",
            "licence_class",
            "open_licence",
            "upload_date",
            "language",
        ),
        "view_count",
    ]


@pytest.mark.parametrize("name", ["duration", "height", "license", "timestamp", "language"])
def test_what_a_list_does_not_say_drops_nothing_unless_that_is_asked_for(name):
    conditions = {
        "duration": "duration_s > 9999",
        "height": "height > 9999",
        "license": "open_licence",
        "timestamp": "upload_date > '2030-01-01'",
        "language": "language = 'xx'",
    }
    assert passes(conditions[name], **{name: None})
    assert not passes(conditions[name], strict=True, **{name: None})
    assert not passes(f"coalesce({conditions[name]}, false)", **{name: None})


def test_drops_are_counted_by_the_first_condition_that_fails():
    rows = [row(f"https://a.org/{place}", duration=length, height=height) for place, (length, height) in
            enumerate([(5, 100), (50, 100), (None, 100), (None, 900), (50, None), (50, 900)])]  # fmt: skip
    conditions = ("duration_s > 10", "height > 500")
    chosen = choose_entries(rows, Choice(conditions=conditions))
    assert [row["url"][-1] for row in chosen.rows] == ["3", "4", "5"]
    assert chosen.dropped == {"duration_s > 10": 1, "height > 500": 2}
    assert chosen.unknown == {"duration_s > 10": 1, "height > 500": 1}
    chosen = choose_entries(rows, Choice(conditions=conditions, strict=True))
    assert [row["url"][-1] for row in chosen.rows] == ["5"]
    assert chosen.dropped == {"duration_s > 10": 3, "height > 500": 2}
    assert chosen.unknown == {"duration_s > 10": 2, "height > 500": 1}


def test_a_condition_that_only_needs_one_of_two_things_is_known():
    assert passes("height > 100 or duration_s > 100", duration=None, strict=True)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("duration > 3", "did you mean `duration_s`"),
        ("motion_px_s > 3", "a list says nothing of `motion_px_s`; there are: url, title"),
        ("duration_s", "not true or false"),
        ("duration_s >", "syntax error"),
        ("true) or (duration_s > 100000", "not one SQL condition"),
        ("1 = 1", "no column in it"),
        ("title in (select title from entries)", "without a query"),
        ("random() < 0.5 or open_licence", "random"),
        ("upload_date > 'yesterday'", "date"),
    ],
)
def test_what_is_no_condition_is_said_before_anything_is_asked(condition, words):
    with pytest.raises(UsageError, match=rf"(?i)--where.*{words}"):
        check_conditions([condition])


def test_a_condition_that_fails_on_a_value_is_a_mistake_of_the_condition():
    with pytest.raises(UsageError, match="--where"):
        choose_entries([row(title="no number")], Choice(conditions=("title::int > 3",)))


# What a list says


def test_names_and_addresses_of_people_are_masked():
    told = row(title="Jane Doe: mail jane@a.org", uploader="Jane Doe", license="by Jane Doe")
    assert (told["title"], told["licence"]) == ("<name>: mail <email>", "by <name>")


def test_a_licence_that_is_not_named_is_unknown_only_where_licences_are_named():
    assert (row(license=None)["licence_class"], row(license=None)["open_licence"]) == (None, None)
    assert (row(license="")["licence_class"], row(license="")["open_licence"]) == ("unknown", False)


@pytest.mark.parametrize(
    "said",
    [
        {"duration": "long"},
        {"duration": float("nan"), "height": float("inf"), "view_count": -1},
        {"height": True, "view_count": "many", "timestamp": 1e30, "upload_date": "20249999"},
        {"title": ["a"], "license": {"a": 1}, "language": 5, "uploader": 7, "timestamp": "x"},
        {"height": 10**400, "view_count": 2**80},
    ],
)
def test_whatever_a_list_says_becomes_a_row(tmp_path, said):
    entries = Entries(tmp_path, 9)
    assert entries.add("https://a.org/1", said)
    (found,) = read_entries(tmp_path / FILE).rows
    assert choose_entries([found], Choice(conditions=("duration_s > 1",))).rows == [found]


@pytest.mark.parametrize(
    ("said", "code"),
    [("en", "en"), ("en-GB", "en"), ("pt_BR", "pt"), ("eng", "en"), ("deu", "de"), ("German", "de"), (["fre"], "fr"),
     ("xx-large", "xx"), ("Klingon", None), (["eng", "deu"], None), ("", None), (None, None), (5, None), ("12", None)],
)  # fmt: skip
def test_a_language_is_a_code_or_nothing(said, code):
    assert language_code(said) == code


def test_a_time_without_a_zone_is_utc():
    assert (
        timestamp("1970-01-01 00:01:00")
        == timestamp("1970-01-01T01:01:00+01:00")
        == timestamp("1970-01-01T00:01:00Z")
        == 60
    )
    assert (timestamp("yesterday"), timestamp(None)) == (None, None)
    assert row(timestamp=None, upload_date="20230405")["upload_date"] == datetime.date(2023, 4, 5)


# Their file


def test_entries_go_on_where_an_earlier_process_stopped(tmp_path):
    first = Entries(tmp_path, 5)
    assert [first.add(f"https://a.org/{n}", {}) for n in (1, 2)] == [True, True]
    first.turn("page 2")
    first.add("https://a.org/3", {})
    second = Entries(tmp_path, 5)
    assert second.cursor == "page 2"
    assert [second.add(f"https://a.org/{n}", {}) for n in (3, 4)] == [False, True]
    second.skip("no link")
    assert second.full
    second.turn("page 3")
    found = read_entries(tmp_path / FILE)
    assert [row["url"][-1] for row in found.rows] == ["1", "2", "3", "4"]
    assert (found.cursor, found.skipped) == ("page 2", {"no link": 1})


def test_a_list_that_is_read_again_from_its_start_counts_again(tmp_path):
    first = Entries(tmp_path, 3)
    first.skip("no link")
    first.add("https://a.org/1", {})
    again = Entries(tmp_path, 3)
    again.rewind()
    again.skip("no link")
    assert [again.add(f"https://a.org/{n}", {}) for n in (1, 2)] == [False, True]
    assert again.full
    assert read_entries(tmp_path / FILE).skipped == {"no link": 1}
