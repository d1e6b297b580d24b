"""What is told of a text from the text alone, against counts by hand."""

from __future__ import annotations

import pytest

from hdvg.captioners import clean
from hdvg.captioners.quality import wording


@pytest.mark.parametrize(
    ("text", "words", "repeated", "trigrams"),
    [
        ("", 0, 0, 0),
        ("a dog", 2, 0, 0),
        ("a dog runs", 3, 0, 0),
        ("a man in a suit", 5, 1 / 5, 0),
        ("a man A man a man", 6, 4 / 6, 2 / 4),
        ("no no no no no no", 6, 5 / 6, 3 / 4),
        ("the well-known cat's toy, the well-known cat's toy", 8, 4 / 8, 2 / 6),
        ("ein größerer Hund", 3, 0, 0),
    ],
)
def test_words_and_repetition_are_counted(text, words, repeated, trigrams):
    told = wording(text)
    assert (told["words"], told["repeated_words"], told["repeated_trigrams"]) == pytest.approx(
        (words, repeated, trigrams)
    )


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        ("a dog, 3 cats & one “bird”.", 0),
        ("собака бежит", 0),
        ("犬がボールで遊ぶ", 0),
        ("café", 0),
        ("कुत्ता दौड़ता है", 0),
        ("ab##", 2 / 4),
        ("dog😀", 1 / 4),
        ("dogж", 1 / 4),
    ],
)
def test_odd_characters_are_those_of_no_caption_or_of_a_second_script(text, odd):
    assert wording(text)["odd_characters"] == pytest.approx(odd)


@pytest.mark.parametrize(
    ("text", "is_boilerplate"),
    [
        ("I'm sorry, but I can't help with that", True),
        ("I’m sorry, I can’t make this out", True),
        ("I can’t tell what this is", True),
        ("I'm unable to tell what this is", True),
        ("I am not able to tell", True),
        ("As an AI language model I see a dog", True),
        ("there is no image provided", True),
        ("Here is a caption: a dog runs", True),
        ("please subscribe to my channel", True),
        ("a royalty-free stock photo of a dog", True),
        ("a man looks sorry while it rains", False),
        ("a model walks on a stage", False),
        ("a man holds up an image of a cat", False),
        ("a sailor on a ship", False),
    ],
)
def test_refusals_and_platform_phrases_are_boilerplate(text, is_boilerplate):
    assert wording(text)["boilerplate"] is is_boilerplate


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("كلبٌ بنيٌّ يركض على العشب، ثم يقف.", 7),
        ("כלב חום רץ על הדשא בפארק, ואז עוצר.", 8),
        ("一只棕色的狗在草地上奔跑，然后停下。", 6),
        ("茶色い犬が草の上を走る。", 4),
        ("२ कुत्ते घास पर दौड़ते हैं।", 6),
        ("a dog 🐕 runs over the green grass", 7),
    ],
)
def test_captions_of_any_script_are_long_enough_and_hold_nothing_odd(text, words):
    told = wording(text)
    assert told["words"] == words
    assert told["odd_characters"] <= 0.1
    assert told["repeated_trigrams"] == 0
    assert clean(clean(text, lower_case=False), lower_case=False) == clean(text, lower_case=False)


def test_repetition_is_found_without_spaces():
    assert wording("狗跑了狗跑了狗跑了狗跑了狗跑了")["repeated_trigrams"] > 0.5
