"""What was written by hand of real footage is whole, and a text is told right or wrong by it."""

from __future__ import annotations

import itertools

import pytest

from tests.shown import is_right, named, shown, spans, truth


def test_every_thing_has_words_and_every_word_list_a_use() -> None:
    things = {thing for span in spans() for thing in span.things}
    things |= {thing for some in truth()["pictures"].values() for thing in some}
    assert things == set(truth()["words"])
    assert all(len(words) == len(set(words)) >= 1 for words in truth()["words"].values())


def test_spans_follow_each_other_and_no_film_is_in_both_parts() -> None:
    assert len(spans()) == 87
    for file, some in itertools.groupby(spans(), key=lambda span: span.file):
        each = list(some)
        assert len({span.part for span in each}) == 1, file
        assert all(span.start_s < span.end_s and span.things for span in each), file
        assert all(one.end_s <= other.start_s for one, other in itertools.pairwise(each)), file
    assert len({span.file for span in spans()}) == len([1 for _ in itertools.groupby(spans(), key=lambda s: s.file)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "A sulphur-crested cockatoo in a scene of orange and black tones as the camera moves.",
            ["sulphur-crested cockatoo"],
        ),
        ("a person and a screen in a dark scene with text in the picture", ["person", "screen"]),
        (
            "what looks like a building or other structure in a scene of mostly blue tones",
            ["building or other structure"],
        ),
        ("a scene of mostly grey tones with little motion", []),
        ("", []),
    ],
)
def test_named_is_each_thing_once_by_its_longest_name(text: str, expected: list[str]) -> None:
    assert named(text) == expected


@pytest.mark.parametrize(
    ("noun", "things", "right"),
    [
        ("parrot", ["cockatoo", "room"], True),
        ("samoyed dog", ["dog"], True),
        ("dog or wolf", ["dog"], True),
        ("dogsled", ["dog"], False),
        ("building or other structure", ["rocket", "pad"], True),
        ("vehicle", ["cockatoo"], False),
        ("parrot", [], False),
    ],
)
def test_noun_is_right_if_it_is_a_word_for_what_is_seen_or_ends_in_one(
    noun: str, things: list[str], right: bool
) -> None:
    assert is_right(noun, things) == right


def test_clip_shows_what_its_spans_do_and_nothing_is_known_of_one_outside_of_them() -> None:
    assert shown("intel_car-detection.mp4", 5.0, 9.0) == ["car", "road"]
    assert shown("intel_car-detection.mp4", 4.6, 9.6) == ["car", "road"]
    assert shown("intel_car-detection.mp4", 0.0, 9.8) == ["road", "car", "road"]
    assert shown("tree.avi", 0.0, 9.0) == []
    assert shown("unknown.mp4", 0.0, 1.0) == []
