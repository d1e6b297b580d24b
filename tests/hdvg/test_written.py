"""What is written is read: lines drawn over real footage in the scripts that the reader knows, and nothing where there is none."""

from __future__ import annotations

from difflib import SequenceMatcher

import cv2
import numpy as np
import pytest

from hdvg.config.recipe import parse_recipe
from hdvg.config.sections import Measure
from hdvg.keyframes import Shot
from hdvg.measures.textlines import Line, Reader, line_of, script_of
from hdvg.measures.written import Written, _add
from schemas.measures import WRITTEN
from tests.tools import need
from tests.writing import Ink, Picture, clean_windows, jpeg, written

need("onnxruntime", "rapidocr")

LOW = Ink(0.06, 0.5, 0.8)
READ = {
    "I never said that you could take it": "latin",
    "We have only three hours left\nbefore the storm reaches us": "latin",
    "Où étiez-vous à Noël?": "latin",
    "Guten Morgen, wie geht es Ihnen?": "latin",
    "DO NOT TRAIN ON THIS VIDEO": "latin",
    "你昨天晚上去哪里了": "han",
    "最后的旅程": "han",
    "ひらがなとカタカナ": "kana",
}


@pytest.fixture(scope="module")
def reader() -> Written:
    return Written(Measure())


def ground(number: int) -> Picture:
    windows = clean_windows()
    return windows[number % len(windows)][1]


def read(reader: Written, *pictures: Picture) -> dict:
    (row,) = reader.measure(
        [Shot("a", dict(zip(("first", "middle", "last"), map(jpeg, pictures), strict=False)), {})], []
    )
    return row


@pytest.mark.parametrize("number", range(len(READ)))
def test_drawn_lines_are_read_in_the_scripts_that_the_reader_knows(reader, number):
    text, script = list(READ.items())[number]
    row = read(reader, written(ground(2 * number), text, LOW)[0])
    assert SequenceMatcher(None, row["text_written"], text).ratio() >= 0.95
    assert row["text_script"] == script
    assert row["text_confidence"] >= 0.9


def test_nothing_is_read_where_nothing_is_written(reader):
    rows = reader.measure([Shot(str(at), {"middle": jpeg(ground(at))}, {}) for at in range(0, 15, 2)], [])
    assert [row["text_written"] for row in rows] == [""] * len(rows)
    assert {row["text_confidence"] for row in rows} == {row["text_script"] for row in rows} == {None}


@pytest.mark.parametrize(
    "text", ["Я не знаю, что с этим делать", "مرحبا بالعالم", "한국어 자막입니다", "Ποτάμι και θάλασσα"]
)
def test_scripts_that_it_does_not_know_are_not_made_up(reader, text):
    assert read(reader, written(ground(1), text, LOW)[0])["text_written"] == ""


def test_a_line_in_several_keyframes_stands_once_and_others_beside_it(reader):
    pictures = [
        written(ground(3), text, LOW)[0] for text in ("the first line here", "the first line here", "and another one")
    ]
    assert read(reader, *pictures)["text_written"].splitlines() == ["the first line here", "and another one"]


def test_of_two_readings_the_surer_stays():
    lines = [Line("the rwer behind the house", 0.8)]
    _add(lines, Line("the river behind the house", 0.9))
    _add(lines, Line("the nver behind the house", 0.7))
    assert lines == [Line("the river behind the house", 0.9)]


def test_a_turned_line_is_turned_back():
    page = written(np.full((200, 400, 3), 60, np.uint8), "turned by thirty", Ink(0.14, 0.5, 0.55))[0]
    matrix = cv2.getRotationMatrix2D((200, 100), 25, 0.8)
    turned = cv2.warpAffine(page, matrix, (400, 200), borderValue=(60, 60, 60))
    corners = np.array([[60, 75, 1], [340, 75, 1], [340, 120, 1], [60, 120, 1]]) @ matrix.T
    network = Reader()
    (line,) = network.read(turned, corners.astype(np.float32)[None])
    assert line.text == "turned by thirty"
    for start in range(4):
        again = line_of(turned, np.roll(corners, start, axis=0).astype(np.float32))
        assert again.shape == line_of(turned, corners.astype(np.float32)).shape


def test_scripts_are_told_by_their_letters():
    assert script_of("abc, 12") == "latin"
    assert script_of("12:30") is None
    assert script_of("最后") == "han"
    assert script_of("東京の天気予報") == "kana", "Japanese is written in both"
    assert script_of("привет") == "other"


def test_columns_are_the_schemas_and_null_without_keyframes(reader):
    assert list(reader.columns) == [field.name for field in WRITTEN]
    (row,) = reader.measure([Shot("a", {}, {})], [])
    assert row["text_written"] is None


def test_rules_may_ask_for_words():
    for rule in (
        "text_written = ''",
        "not regexp_matches(text_written, '(?i)do not train')",
        "contains(text_written, '最后')",
    ):
        assert parse_recipe({"name": "a", "keep": {"words": rule}}).homes == {"written"}
