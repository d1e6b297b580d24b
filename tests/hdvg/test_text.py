"""Text is found on real footage and not dreamt up, covers what was drawn, and is told by whether and where it stays."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from hdvg.config.sections import Measure
from hdvg.errors import UsageError
from hdvg.keyframes import Shot
from hdvg.measures.text import Text, alike, has_caption
from hdvg.measures.textboxes import GROWTH, Boxes, Detector, covered_share, network_input, weights
from hdvg.networks.files import shipped
from hdvg.networks.onnx import Network
from schemas.measures import TEXT
from tests.tools import need
from tests.writing import Ink, Picture, Rect, clean_windows, jpeg, written

need("onnxruntime", "rapidocr")

CAPTIONS = (
    "I never said that you could take it",
    "We have only three hours left\nbefore the storm reaches us",
    "Guten Morgen, wie geht es Ihnen?",
    "Where were you last night?",
    "Я не знаю, что с этим делать",
    "你昨天晚上去哪里了",
)
TITLES = (
    "THE LAST VOYAGE",
    "Chapter One",
    "Summer 2019",
    "BREAKING NEWS",
    "How to bake bread\nin ten minutes",
    "最后的旅程",
)
WHITE, YELLOW, RED, BLACK = (255, 255, 255), (40, 230, 255), (40, 40, 220), (15, 15, 15)
COLOURS = ((WHITE, BLACK), (YELLOW, BLACK), (BLACK, WHITE), (RED, WHITE))  # letters and their edge
MARK = Ink(0.05, 0.95, 0.1, weight=600, opacity=0.8)


@pytest.fixture(scope="module")
def text() -> Text:
    return Text(Measure())


@pytest.fixture(scope="module")
def detector() -> Detector:
    given = Measure()
    return Detector(given.text_side_px, given.text_min_score, given.text_max_softness_px)


def shot(pictures: Sequence[Picture], clip_id: str = "clip") -> Shot:
    return Shot(clip_id, dict(zip(("first", "middle", "last"), map(jpeg, pictures), strict=False)), {})


def caption_ink(draw: random.Random) -> Ink:
    fill, edge = draw.choice(COLOURS[:3])
    return Ink(draw.uniform(0.045, 0.065), 0.5, draw.uniform(0.84, 0.87), fill, edge, draw.choice(("sans", "italic")))


def title_ink(draw: random.Random) -> Ink:
    fill, edge = draw.choice(COLOURS)
    weight = draw.choice((400, 600, 800))
    return Ink(
        draw.uniform(0.07, 0.11), draw.choice((0.05, 0.5, 0.95)), draw.uniform(0.2, 0.5), fill, edge, "sans", weight
    )


def area(rects: Sequence[Rect], picture: Picture) -> float:
    """Share of the picture inside the rectangles (which do not overlap)."""
    return sum((right - left) * (bottom - top) for left, top, right, bottom in rects) / (
        picture.shape[0] * picture.shape[1]
    )


# --- truth: drawn text over real footage against the same footage without


@pytest.fixture(scope="module", params=[3, pytest.param(1, marks=pytest.mark.slow)], ids=["a third", "all"])
def measured(text: Text, request: pytest.FixtureRequest) -> dict[str, list[tuple[dict[str, object], float]]]:
    """Rows of windows as they are, with a caption and with a title, and the share of the picture drawn upon."""
    draw = random.Random(4)
    made: dict[str, list[tuple[dict[str, object], float]]] = {"clean": [], "caption": [], "title": []}
    for number, window in enumerate(clean_windows()[:: request.param]):
        made["clean"].append((text.measure([shot(window)], [])[0], 0.0))
        for kind, texts, ink_of in (("caption", CAPTIONS, caption_ink), ("title", TITLES, title_ink)):
            line, ink = texts[number % len(texts)], ink_of(draw)
            drawn = [written(picture, line, ink) for picture in window]
            row = text.measure([shot([picture for picture, _ in drawn])], [])[0]
            made[kind].append((row, area(drawn[0][1], window[0])))
    return made


def test_text_is_told_from_the_same_footage_without(measured: dict[str, list[tuple[dict[str, object], float]]]) -> None:
    false = np.mean([row["text_boxes"] > 0 for row, _ in measured["clean"]])
    for kind in ("caption", "title"):
        recall = np.mean([row["text_boxes"] > 0 for row, _ in measured[kind]])
        precision = recall / (recall + false)
        print(f"{kind}: precision {precision:.3f}, recall {recall:.3f}")
        assert recall >= 0.95
        assert precision >= 0.95


def test_captions_and_only_captions_are_subtitles(measured: dict[str, list[tuple[dict[str, object], float]]]) -> None:
    true = np.mean([row["subtitle"] for row, _ in measured["caption"]])
    false = np.mean([row["subtitle"] for kind in ("clean", "title") for row, _ in measured[kind]])
    print(f"subtitle: recall {true:.3f}, false {false:.3f}")
    assert true >= 0.95
    assert true / (true + false) >= 0.95


def test_area_is_what_was_drawn(measured: dict[str, list[tuple[dict[str, object], float]]]) -> None:
    ratios = np.array([row["text_area"] / drawn for kind in ("caption", "title") for row, drawn in measured[kind]])
    print("area over drawn area:", np.quantile(ratios, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]).round(2))
    assert 0.85 <= np.median(ratios) <= 1.15
    assert np.quantile(ratios, 0.05) >= 0.65
    assert np.quantile(ratios, 0.95) <= 1.5


def test_text_that_stays_is_stable(measured: dict[str, list[tuple[dict[str, object], float]]]) -> None:
    assert np.mean([row["text_stable"] for kind in ("caption", "title") for row, _ in measured[kind]]) >= 0.95


# --- where it stays


def test_stable_text_stays_and_changing_text_does_not(text: Text) -> None:
    moving, elsewhere = clean_windows()[0], clean_windows()[10]
    title, caption = Ink(0.1, 0.5, 0.4), Ink(0.055, 0.5, 0.86)

    def row(pictures: Sequence[Picture], *lines: str, ink: Ink) -> dict[str, object]:
        drawn = [
            written(picture, line, ink)[0] if line else picture for picture, line in zip(pictures, lines, strict=False)
        ]
        return text.measure([shot(drawn)], [])[0]

    other_scenes = [moving[0], elsewhere[1], clean_windows()[-1][2]]
    other_scenes = [cv2.resize(picture, (1280, 720)) for picture in other_scenes]
    assert row(moving, *[TITLES[0]] * 3, ink=title)["text_stable"] is True
    assert row(other_scenes, *[TITLES[0]] * 3, ink=title)["text_stable"] is True
    assert row(moving, CAPTIONS[0], CAPTIONS[2], CAPTIONS[3], ink=caption)["text_stable"] is False
    assert row(moving, CAPTIONS[0], "", CAPTIONS[0], ink=caption)["text_stable"] is False
    assert row(moving[:1], CAPTIONS[0], ink=caption)["text_stable"] is None
    assert row(moving, "", "", "", ink=caption)["text_stable"] is False


def test_mark_of_a_video_is_persistent_and_what_most_clips_lack_is_not(text: Text) -> None:
    scenes = [window for window in clean_windows() if window[0].shape[:2] == (720, 1280)][::3]
    titled = [
        [written(picture, TITLES[number % 4], Ink(0.09, 0.5, 0.3 + 0.04 * number))[0] for picture in scene]
        for number, scene in enumerate(scenes)
    ]
    marked = [[written(picture, "channel four", MARK)[0] for picture in scene] for scene in titled]
    assert len(scenes) >= 6

    def persistent(clips: Sequence[Sequence[Picture]]) -> list[object]:
        shots = [shot(pictures, str(number)) for number, pictures in enumerate(clips)]
        return [row["text_persistent"] for row in text.measure(shots, [])]

    assert persistent(marked) == [True] * len(marked)
    assert persistent(titled) == [False] * len(titled)
    few = [*marked[:2], *titled[2:]]
    assert persistent(few) == [False] * len(few)
    assert persistent(marked[:1]) == [None]
    assert persistent(scenes[:1]) == [False]


def test_same_strokes_are_alike_on_another_background_and_others_are_not() -> None:
    one, other = (
        cv2.cvtColor(cv2.resize(clean_windows()[number][0], (640, 360)), cv2.COLOR_BGR2GRAY) for number in (0, 12)
    )
    letters, (rect,) = written(cv2.merge([one] * 3), "Chapter One", Ink(0.1, 0.5, 0.5))
    box = np.array([[rect[0], rect[1]], [rect[2], rect[1]], [rect[2], rect[3]], [rect[0], rect[3]]], np.float32)
    over_one = letters[:, :, 0]
    assert alike(over_one, written(cv2.merge([other] * 3), "Chapter One", Ink(0.1, 0.5, 0.5))[0][:, :, 0], box)
    assert not alike(over_one, other, box)
    assert not alike(over_one, written(cv2.merge([other] * 3), "Summer 2019", Ink(0.1, 0.5, 0.5))[0][:, :, 0], box)
    assert not alike(np.full_like(one, 90), np.full_like(one, 90), box)  # no strokes, nothing to be alike
    assert not alike(over_one, other[:-2], box)


# --- geometry on paper


def boxes(*rects: Rect) -> Boxes:
    return np.array([[(a, b), (c, b), (c, d), (a, d)] for a, b, c, d in rects], np.float32).reshape(-1, 4, 2)


def test_area_is_the_union_not_the_sum() -> None:
    assert covered_share(boxes((0, 0, 99, 49)), size=(200, 100)) == pytest.approx(0.25)
    assert covered_share(boxes((0, 0, 99, 49), (50, 0, 149, 49)), size=(200, 100)) == pytest.approx(0.375)
    assert covered_share(boxes(), size=(200, 100)) == 0


@pytest.mark.parametrize(
    ("rects", "caption"),
    [
        ([(240, 390, 528, 415)], True),
        ([(240, 360, 528, 385), (260, 390, 508, 415)], True),  # two lines
        ([(240, 390, 380, 415), (390, 390, 528, 415)], True),  # one line in two boxes
        ([(240, 100, 528, 125)], False),  # high
        ([(30, 390, 318, 415)], False),  # on the left
        ([(240, 330, 528, 430)], False),  # a title's height
        ([(370, 390, 395, 415)], False),  # a single letter
        ([(2, 390, 766, 415)], False),  # a ticker
        ([], False),
    ],
)
def test_caption_is_low_centred_wide_and_short(rects: list[Rect], caption: bool) -> None:
    assert has_caption(boxes(*rects), size=(768, 432)) is caption


def test_boxes_are_those_of_rapidocr_for_sharp_text(detector: Detector) -> None:
    from rapidocr.ch_ppocr_det.utils import DBPostProcess

    picture = np.full((432, 768, 3), 200, np.uint8)
    for number, line in enumerate((*TITLES[:4], *CAPTIONS[2:4])):
        picture = written(picture, line, Ink(0.07, 0.06, 0.15 + 0.14 * number, BLACK, None))[0]
    chances = detector.network(network_input(picture, side_px=detector.side_px)[None])
    theirs, _ = DBPostProcess(thresh=0.3, box_thresh=0.5, unclip_ratio=GROWTH)(chances, (432, 768))
    ours = detector.boxes(chances[0, 0], size=(768, 432))
    assert len(ours) == len(theirs) == 6
    for box in ours:
        nearest = min(theirs, key=lambda other: np.abs(other.mean(axis=0) - box.mean(axis=0)).sum())
        low, high = box.min(axis=0), box.max(axis=0)
        assert np.abs([low - nearest.min(axis=0), high - nearest.max(axis=0)]).max() <= 3  # theirs are whole px


def test_dreams_of_text_are_told_by_their_soft_edges(detector: Detector) -> None:
    """Without the two limits the detector covers clean pictures with boxes; with them none is left."""
    lenient = Detector(detector.side_px, 0.5, 1e9)
    worst = 0.0
    for window in clean_windows()[:12]:
        small = cv2.imdecode(np.frombuffer(jpeg(window[1]), np.uint8), cv2.IMREAD_COLOR)
        worst = max(worst, covered_share(lenient.find([small])[0], size=(small.shape[1], small.shape[0])))
        assert len(detector.find([small])[0]) == 0
    assert worst > 0.3


# --- the contract of measures


def test_rows_do_not_depend_on_the_split(text: Text) -> None:
    shots = [
        shot([written(picture, TITLES[number], MARK)[0] for picture in window], str(number))
        for number, window in enumerate(clean_windows()[:4])
    ]
    together = text.measure(shots, [])
    apart = [text.measure([one], [other for other in shots if other is not one])[0] for one in shots]
    assert together == apart
    assert text.measure(shots[2:], shots[:2]) == together[2:]
    assert [tuple(row) for row in together] == [text.columns] * 4
    assert text.measure([], shots) == []


def test_network_gives_the_same_for_any_threads_and_batch(text: Text) -> None:
    inputs_B3HW = np.stack([network_input(picture, side_px=256) for picture in clean_windows()[0]])
    one, three = (Network(weights(), threads=threads)(inputs_B3HW) for threads in (1, 3))
    assert np.array_equal(one, three)
    assert np.array_equal(one[1:2], Network(weights(), threads=1)(inputs_B3HW[1:2]))


def test_unreadable_keyframes_give_no_number_and_leave_the_others_alone(text: Text) -> None:
    good = shot([written(picture, TITLES[0], MARK)[0] for picture in clean_windows()[0]])
    broken = [Shot("a", {"first": b"no picture", "middle": b""}, {}), Shot("b", {}, {})]
    rows = text.measure([broken[0], good, broken[1]], [])
    assert [[row[name] for name in text.columns[:-1]] for row in (rows[0], rows[2])] == [[None] * 5] * 2
    assert rows[0]["text_model"] == rows[1]["text_model"] == text.model
    assert rows[1]["text_boxes"] == 1
    one_left = Shot("c", {"first": b"", "middle": good.keyframes["middle"]}, {})
    assert text.measure([one_left], [])[0]["text_boxes"] == 1


def test_columns_are_those_of_the_schema() -> None:
    assert [field.name for field in TEXT] == list(Text.columns)


def test_fingerprint_follows_what_shapes_the_numbers() -> None:
    plain = Text.fingerprint(Measure())
    assert len(plain) == 16
    others = [Measure(text_side_px=512), Measure(text_min_score=0.6), Measure(text_max_softness_px=3)]
    assert len({plain, *map(Text.fingerprint, others)}) == 4


def test_nothing_heavy_is_imported_for_a_fingerprint_and_rapidocr_never() -> None:
    program = (
        "import sys; from hdvg.config.sections import Measure; from hdvg.measures.text import Text; Text.fingerprint(Measure());"
        "assert not {'onnxruntime', 'rapidocr', 'torch'} & set(sys.modules);"
        "Text(Measure()); assert 'rapidocr' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_absent_weights_are_named() -> None:
    with pytest.raises(UsageError, match="pip install --force-reinstall rapidocr"):
        shipped("rapidocr", "models/absent.onnx", spoken="rapidocr")
    with pytest.raises(UsageError, match="no_such_package holds no x"):
        shipped("no_such_package", "x", spoken="no_such_package")
