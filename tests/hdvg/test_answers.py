"""Which of its answers a question got, and how likely each was, is read out of texts and of likely tokens."""

from __future__ import annotations

import math

import pytest

from hdvg.learned.answers import said, shares

YES_NO = ("yes", "no")
LEVELS = ("excellent", "good", "fair", "poor", "bad")


def steps(*places: dict[str, float]) -> tuple[tuple[tuple[str, float], ...], ...]:
    """The likely tokens of each place with their probabilities, the written one first."""
    return tuple(tuple((token, math.log(share)) for token, share in place.items()) for place in places)


@pytest.mark.parametrize(
    ("answer", "answers", "expected"),
    [
        ("Yes", YES_NO, "yes"),
        ("no.", YES_NO, "no"),
        ("**Yes**, there is a logo; no doubt.", YES_NO, "yes"),
        ("The answer is: NO", YES_NO, "no"),
        ("<think>yes or no? It is no.</think>\nyes", YES_NO, "yes"),
        ("Nothing can be seen.", YES_NO, None),
        ("It may be yes, it may be no.", YES_NO, None),
        ("", YES_NO, None),
        ("not excellent, but good", LEVELS, None),
        ("The quality is fair.", LEVELS, "fair"),
        ("wide shot", ("wide", "wide shot"), "wide shot"),
        ("It is a wide shot of a street", ("wide", "wide shot"), "wide shot"),
        ("近景", ("近景", "远景"), "近景"),
        ("这是近景。", ("近景", "远景"), "近景"),
        ("C++", ("C", "C++"), "C++"),
    ],
)
def test_an_answer_is_found_in_a_text(answer: str, answers: tuple[str, ...], expected: str | None) -> None:
    assert said(answer, answers) == expected


def test_the_chance_of_yes_is_its_share_of_both() -> None:
    found = shares(steps({"Yes": 0.6, "No": 0.2, " yes": 0.1, "no": 0.05, "Maybe": 0.05}), YES_NO)
    assert found == pytest.approx({"yes": 0.7 / 0.95, "no": 0.25 / 0.95})


def test_words_before_the_answer_begin_it_anew_and_marks_do_not() -> None:
    before = steps({"The": 0.9, "No": 0.1}, {" answer": 1.0}, {" is": 1.0}, {" no": 0.8, " yes": 0.2})
    assert shares(before, YES_NO) == pytest.approx({"yes": 0.2, "no": 0.8})
    marked = steps({"**": 0.5, "Yes": 0.5}, {"No": 0.6, "Yes": 0.4}, {"**": 1.0})
    assert shares(marked, YES_NO) == pytest.approx({"yes": 0.7, "no": 0.3})


def test_answers_of_several_tokens_are_told_apart_where_they_part() -> None:
    answers = ("wide shot", "wide angle", "close-up")
    told = steps({"wide": 0.8, "close": 0.2}, {" shot": 0.75, " angle": 0.25})
    assert shares(told, answers) == pytest.approx({"wide shot": 0.6, "wide angle": 0.2, "close-up": 0.2})
    nested = steps({"no": 0.9, "yes": 0.1}, {"": 1.0})
    assert shares(nested, ("no", "no one", "yes")) == pytest.approx({"no": 0.9, "no one": 0.0, "yes": 0.1})


def test_what_is_thought_aloud_is_no_answer() -> None:
    told = steps({"<think>": 1.0}, {"yes": 0.9, "no": 0.1}, {"</think>": 1.0}, {"\n": 1.0}, {"no": 0.7, "yes": 0.3})
    assert shares(told, YES_NO) == pytest.approx({"yes": 0.3, "no": 0.7})


@pytest.mark.parametrize(
    "told", [(), steps({"Perhaps": 0.9, "yes": 0.1}), steps({"yes": 0.2, "Sure": 0.5}), ((),)], ids=str
)
def test_steps_that_say_little_of_the_answers_say_nothing(told: tuple[tuple[tuple[str, float], ...], ...]) -> None:
    assert shares(told, YES_NO) is None
