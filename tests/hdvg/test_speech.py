"""The words of a clip are those that begin in it: each word of a line belongs to one clip, to the tick."""

from itertools import pairwise

import pytest

from hdvg.captioners import load
from hdvg.captioners.speech import cut_line
from hdvg.config.caption import Writer
from hdvg.keyframes import Shot


def line(text, start_s=10.0, end_s=20.0, words=None):
    return {"text": text, "start_s": start_s, "end_s": end_s, "word_starts_s": words}


TENTHS = "0 2 4 6 8"
"""Nine letters in ten seconds: words begin at 10, 12.2, 14.4, 16.7 and 18.9 s."""


@pytest.mark.parametrize(
    ("start_s", "end_s", "said"),
    [
        (0, 30, "0 2 4 6 8"), (10, 20, "0 2 4 6 8"), (20, 30, ""), (0, 10, ""), (12, 17, "2 4 6"), (12.3, 14, ""),
        (12.3, 14.5, "4"), (19, 30, ""), (18, 30, "8"), (0, 10.001, "0"),
    ],
)  # fmt: skip
def test_without_times_of_words_a_line_is_cut_in_proportion(start_s, end_s, said):
    assert cut_line(line(TENTHS), start_s, end_s) == said


@pytest.mark.parametrize(
    ("start_s", "end_s", "said"),
    [
        (10, 11, "so"),
        (11, 12, "the"),
        (10.999, 11, ""),
        (11.0, 11.001, "the"),
        (12, 20, "earth, turns"),
        (13, 20, "turns"),
    ],
)
def test_word_belongs_to_the_clip_in_which_it_begins(start_s, end_s, said):
    assert cut_line(line("so the earth, turns", words=[10.0, 11.0, 12.0, 13.0]), start_s, end_s) == said


def test_clips_that_touch_share_no_word_and_lose_none():
    text = "one of the many words that are said while pictures change"
    for known in (None, [10 + 0.7 * place for place in range(len(text.split()))]):
        borders = [10, 11.3, 12.9, 14.0, 17.5, 20]
        told = [cut_line(line(text, words=known), *pair) for pair in pairwise(borders)]
        assert " ".join(filter(None, told)) == text


def test_scripts_without_spaces_are_cut_between_letters():
    assert cut_line(line("今日は月が出る日だよ"), 12, 15) == "は月が"
    assert cut_line(line("今日は 月が", words=[10.0, 15.0]), 15, 20) == "月が"


def shot(**told):
    spoken = [line("Hello there.", 0.5, 2.0), line("It turns.", 2.0, 3.0)]
    defaults = {"start_s": 0.0, "end_s": 3.0, "spoken": spoken, "subtitles_language": "pt-BR",
                "subtitles_origin": "automatic", "extractor": "youtube"}  # fmt: skip
    return Shot("clip", {}, defaults | told)


def test_text_says_language_origin_and_site():
    speech = load(Writer(captioner="speech", lower_case=False))
    (written,) = speech.write([speech.prepare(shot())])
    assert written.texts == {"speech": "Hello there. It turns."}
    assert (written.language, written.silent) == ("pt", False)
    assert written.model == f"automatic youtube {speech.model.split()[-1]}"


@pytest.mark.parametrize("told", [{"spoken": None}, {"spoken": []}, {"end_s": 0.4}])
def test_clip_in_which_nothing_is_said_is_silent_not_failed(told):
    speech = load(Writer(captioner="speech"))
    (written,) = speech.write([speech.prepare(shot(**told))])
    assert (written.silent, "".join(written.texts.values())) == (True, "")


def test_language_that_is_not_known_is_not_guessed():
    assert load(Writer(captioner="speech")).prepare(shot(subtitles_language=None)).language is None
