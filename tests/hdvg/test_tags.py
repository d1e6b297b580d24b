"""Tags says what the classifier and the measures bear, in one English sentence, and no more."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hdvg.captioners import Written, fingerprint, load
from hdvg.captioners.imagenet import CATEGORIES, GROUPS, LIKELY, SURE, calibrated, subject
from hdvg.captioners.known import known
from hdvg.captioners.phrases import colours, sentence
from hdvg.captioners.tags import Tags
from hdvg.config.caption import Writer
from hdvg.config.sections import Split
from hdvg.errors import UsageError
from hdvg.keyframes import Shot
from hdvg.media.scan import scan
from hdvg.networks import efficientnet_torch
from hdvg.networks.efficientnet import end_views, labels, probabilities, views
from hdvg.networks.efficientnet_onnx import load_network
from hdvg.networks.files import efficientnet_weights
from hdvg.networks.pictures import without_bars
from hdvg.networks.torch_pickle import read_tensors
from tests.shown import is_right, named, spans

MEDIA = Path(__file__).parents[2] / "pipelines" / "demo" / "media"
MOVING = {"motion_px_s": 20.0, "camera_px_s": 18.0, "local_px_s": 4.0, "shake_px_s": 1.0}
BEFORE_CAMERA = {"motion_px_s": 70.0, "camera_px_s": 1.0, "local_px_s": 70.0, "shake_px_s": 0.5}


def frame(name: str, index: int) -> np.ndarray:
    """One frame (H, W, 3; BGR) of a video of the demo."""
    video = cv2.VideoCapture(str(MEDIA / name))
    for _ in range(index):
        assert video.grab()
    return video.read()[1]


def jpeg(picture: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def shares_of(likely: dict[int, float]) -> list[float]:
    """Class probabilities; what is left lies evenly on twenty objects that belong to no kind, 0.05 each at most."""
    spread = [
        k for k in range(398, 1000) if not any(k in members for members in (*CATEGORIES.values(), *GROUPS.values()))
    ]
    rest = (1 - sum(likely.values())) / 20
    return [likely.get(index, rest if index in spread[:20] else 0.0) for index in range(1000)]


# --- the classifier


def test_network_agrees_with_timm() -> None:
    """Truth: timm 1.0.31's tf_efficientnet_lite0 with the same weights, on a ramp of all pixels from -1 to 1."""
    ramp_BCHW = np.linspace(-1, 1, 3 * 224 * 224, dtype=np.float32).reshape(1, 3, 224, 224)
    (logits_K,) = load_network(efficientnet_weights())(ramp_BCHW)
    expected = [0.26600, 0.87711, -0.64874, 2.72425, 0.94748, -0.44484]
    assert logits_K[[0, 89, 258, 404, 916, 999]].tolist() == pytest.approx(expected, abs=1e-3)
    assert int(logits_K.argmax()) == 701


def test_network_and_views_are_those_of_torch() -> None:
    picture = frame("cockatoo.mp4", 200)
    seen_BCHW = efficientnet_torch.views(picture)
    with torch.inference_mode():
        logits_BK = efficientnet_torch.load_network(efficientnet_weights())(seen_BCHW)
    assert views(picture) == pytest.approx(seen_BCHW.numpy(), abs=1e-4)
    side = min(picture.shape[:2])
    for end, part in zip(end_views(picture), (picture[:side, :side], picture[-side:, -side:]), strict=True):
        assert end == pytest.approx(efficientnet_torch.views(part)[1].numpy(), abs=1e-4)
    assert load_network(efficientnet_weights())(views(picture)) == pytest.approx(logits_BK.numpy(), abs=1e-3)


def test_stored_tensors_are_those_that_torch_reads() -> None:
    theirs = torch.load(efficientnet_weights(), weights_only=True)
    ours = read_tensors(efficientnet_weights())
    assert list(ours) == list(theirs)
    assert all(np.array_equal(ours[name], tensor.numpy()) for name, tensor in theirs.items())


def test_pickle_that_names_anything_but_tensors_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "made"),)

    torch.save({"a": torch.zeros(3), "b": Evil()}, tmp_path / "evil.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=r"evil.pth holds no tensors .*: it names posix.mkdir"):
        read_tensors(tmp_path / "evil.pth")
    assert not (tmp_path / "made").exists()


def test_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(300, 7)}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "a.pth").read_bytes()
    shape = b"M,\x01K\x07"  # the pickled 300 and 7
    assert whole.count(shape) == 1
    (tmp_path / "a.pth").write_bytes(whole.replace(shape, b"M,\x02K\x07"))
    with pytest.raises(ValueError, match="reaches beyond"):
        read_tensors(tmp_path / "a.pth")


def test_other_weights_are_refused(tmp_path: Path) -> None:
    for legacy, said in ((True, "no EfficientNet-Lite0"), (False, "no tensors as torch.save wrote them before")):
        torch.save({"a": torch.zeros(3)}, tmp_path / "other.pth", _use_new_zipfile_serialization=not legacy)
        with pytest.raises(ValueError, match=said):
            load_network(tmp_path / "other.pth")
    with pytest.raises(ValueError, match="no EfficientNet-Lite0"):
        efficientnet_torch.load_network(tmp_path / "other.pth")


@pytest.mark.parametrize(
    ("video", "index", "name"),
    [("cockatoo.mp4", 200, "a sulphur-crested cockatoo"), ("oa4_launch.webm", 190, "a space shuttle")],
)
def test_classes_of_known_pictures_are_near_the_top(video: str, index: int, name: str) -> None:
    shares = probabilities(load_network(efficientnet_weights()), views(frame(video, index)))
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    assert labels().index(name) in sorted(range(1000), key=lambda k: -shares[k])[:3]


def test_labels_are_a_thousand_noun_phrases_with_the_right_article() -> None:
    names = labels()
    assert len(names) == len(set(names)) == 1000
    odd = {"an hourglass", "a unicycle", "a European fire salamander", "a European gallinule", "a one-piece swimsuit"}
    assert odd <= set(names)
    for name in {*names, *CATEGORIES, *GROUPS} - odd:
        article, _, noun = name.partition(" ")
        assert name == name.strip()
        assert article not in {"a", "an"} or (article == "an") == (noun[0].lower() in "aeiou"), name
    picked = [names[index] for index in (0, 89, 207, 258, 281, 404, 517, 967, 999)]
    assert picked == [
        *("a tench", "a sulphur-crested cockatoo", "a golden retriever", "a Samoyed dog", "a tabby cat", "an airliner"),
        *("a construction crane", "espresso", "toilet paper"),
    ]


# --- the subject


@pytest.mark.parametrize(
    ("likely", "expected"),
    [
        ({258: 0.9}, "a Samoyed dog"),
        ({258: 0.5, 259: 0.4}, "a dog"),
        ({258: 0.5, 270: 0.4}, "a dog or wolf"),
        ({258: 0.4, 300: 0.25, 100: 0.2}, "an animal"),
        ({258: 0.5, 300: 0.1}, "what looks like a dog"),
        ({258: 0.35, 300: 0.25, 100: 0.15}, "what looks like an animal"),
        ({751: 0.35}, "what looks like a car"),
        ({248: 0.35, 249: 0.2, 250: 0.25, 258: 0.15}, "a husky"),
        ({89: 0.3, 87: 0.3, 258: 0.3}, "a parrot"),
        ({967: 0.9}, "espresso"),
        ({967: 0.4, 504: 0.35}, "a drink"),
        ({751: 0.4, 717: 0.4}, "a vehicle"),
        ({497: 0.4, 821: 0.4}, "a building or other structure"),
        ({979: 0.9}, "a view of a valley"),
        ({979: 0.4, 970: 0.4}, "a view of a mountain landscape"),
        ({916: 0.95}, "a screen"),
        ({967: 0.2, 404: 0.2}, ""),
        ({}, ""),
    ],
)
def test_subject_is_the_finest_word_that_the_probabilities_bear(likely: dict[int, float], expected: str) -> None:
    assert subject(shares_of(likely), labels=labels()) == expected


def test_subject_grows_coarser_as_the_classifier_grows_less_sure() -> None:
    """A Samoyed, less and less: what is taken from it goes half to other dogs and half to other animals, then all away."""
    said = []
    for share in np.linspace(1, 0, 41):
        other = min(1 - share, 0.45)
        said.append(subject(shares_of({258: share * 0.99, 259: other / 2, 300: other / 2}), labels=labels()))
    order = list(dict.fromkeys(said))
    assert order[0] == "a Samoyed dog"
    assert order[1:] == ["a dog", "an animal", "what looks like a dog", "what looks like an animal", ""]
    assert len(order) == len([name for name, _ in itertools.groupby(said)])


def test_two_things_as_likely_are_named_by_what_both_are_or_not_at_all() -> None:
    assert subject(shares_of({751: 0.35}), labels=labels()) == "what looks like a car"
    assert subject(shares_of({751: 0.35, 717: 0.3}), labels=labels()) == "a vehicle"
    assert subject(shares_of({751: 0.35, 89: 0.3}), labels=labels()) == ""


def test_calibration_keeps_order_and_ends() -> None:
    shares = np.linspace(0, 1, 101)
    for classes in (1, 2, 10, 118, 398):
        told = [calibrated(share, classes=classes) for share in shares]
        assert told == sorted(told)
        assert 0 <= told[0] < 0.01 < 0.99 < told[-1] <= 1
    assert LIKELY < SURE


def test_what_any_picture_gives_a_large_set_is_no_sign_of_it() -> None:
    """A picture of nothing known: each of the 1000 classes gets a thousandth, so 398 of them 0.398."""
    assert subject([0.001] * 1000, labels=labels()) == ""
    assert calibrated(0.45, classes=398) < LIKELY < calibrated(0.45, classes=10)
    of_size = [calibrated(0.45, classes=classes) for classes in (2, 10, 66, 118, 398)]
    assert of_size == sorted(of_size, reverse=True)


def test_kinds_hold_classes_and_no_two_are_the_same_set() -> None:
    sets = [frozenset(members) for members in (*CATEGORIES.values(), *GROUPS.values())]
    assert len(sets) == len(set(sets))
    assert all(len(members) >= 2 and members <= set(range(1000)) for members in sets)
    names = labels()
    dogs = {index for index in range(1000) if index in CATEGORIES["a dog"]}
    assert {index for index, name in enumerate(names) if name.endswith((" terrier", " spaniel", " dog"))} <= dogs | {
        275,
        934,
    }
    assert {index for index, name in enumerate(names) if "guitar" in name} - {714} == set(CATEGORIES["a guitar"])


# --- bars


def test_picture_is_looked_at_within_its_black_bars() -> None:
    lit = np.full((60, 100, 3), 200, np.uint8)
    framed = cv2.copyMakeBorder(lit, 20, 10, 0, 30, cv2.BORDER_CONSTANT, value=(16, 16, 16))
    assert np.array_equal(without_bars(framed), lit)
    for whole in (lit, np.zeros((60, 100, 3), np.uint8)):
        assert np.array_equal(without_bars(whole), whole)


# --- colours


@pytest.mark.parametrize(
    ("bgr", "name"),
    [
        *(((0, 0, 0), "black"), ((255, 255, 255), "white"), ((128, 128, 128), "grey"), ((0, 0, 230), "red")),
        *(((0, 200, 0), "green"), ((220, 60, 0), "blue"), ((0, 230, 230), "yellow"), ((0, 130, 255), "orange")),
        *(((20, 70, 120), "brown"), ((180, 200, 230), "beige"), ((200, 0, 120), "purple"), ((160, 80, 255), "pink")),
        ((170, 170, 0), "teal"),
    ],
)
def test_plain_picture_has_the_colour_it_was_painted_in(bgr: tuple[int, int, int], name: str) -> None:
    assert colours(np.full((90, 160, 3), bgr, np.uint8)) == [name]


def test_second_colour_needs_a_fifth_of_the_picture() -> None:
    picture = np.zeros((90, 160, 3), np.uint8)
    picture[:, :16] = (0, 0, 255)
    assert colours(picture) == ["black"]
    picture[:, :48] = (0, 0, 255)
    assert colours(picture) == ["black", "red"]


# --- the sentence


@pytest.mark.parametrize(
    ("thing", "measures", "expected"),
    [
        ("", {}, "A scene of blue and grey tones."),
        ("a dog", {}, "A dog in a scene of blue and grey tones."),
        ("a dog", {"luma_mean": 20.0, "aspect": 0.56}, "A dog in a dark vertical scene of blue and grey tones."),
        ("a dog", {"luma_mean": 200.0, **MOVING}, "A dog in a bright scene as the camera moves."),
        ("a dog", {"text_area": 0.02, **MOVING}, "A dog with text in the picture as the camera moves."),
        ("a dog", {"subtitle": True, "text_area": 0.02, "luma_mean": 9.0}, "A dog in a dark scene with subtitles."),
        ("", {"text_area": 0.2}, "A scene of blue and grey tones with much text in the picture."),
        ("", {"title_card": True, "text_area": 0.2}, "A title card in a scene of blue and grey tones."),
        ("", {"screen": 0.9}, "What looks like a screen or a slide in a scene of mostly blue tones."),
        ("", {"black_share": 1.0, "luma_mean": 0.0}, "A black picture."),
        ("", {"black_share": 0.6, "luma_mean": 9.0}, "A dark scene of blue and grey tones."),
        (
            "a dog",
            BEFORE_CAMERA,
            "A dog in a scene of blue and grey tones as something moves quickly before a steady camera.",
        ),
    ],
)
def test_sentence_says_what_was_measured(thing: str, measures: dict[str, float], expected: str) -> None:
    assert sentence(thing, tones=["blue", "grey"], measures=measures) == expected


@pytest.mark.parametrize(
    ("measures", "expected"),
    [
        ({"motion_px_s": 0.4}, "with almost no motion"),
        ({"motion_px_s": 9.0, "static_share": 0.95}, "with almost no motion"),
        ({"motion_px_s": 9.0}, "with little motion"),
        ({"motion_px_s": 30.0}, "with moderate motion"),
        ({"motion_px_s": 80.0}, "with fast motion"),
        ({"motion_px_s": 30.0, "slideshow_share": 0.8}, "in a slideshow of still pictures"),
        ({**MOVING, "camera_px_s": 9.0}, "as the camera moves slowly"),
        ({**MOVING, "camera_px_s": 90.0}, "as the camera moves quickly"),
        ({**BEFORE_CAMERA, "local_px_s": 30.0}, "as something moves before a steady camera"),
        # what fills the picture may be camera or subject: neither is named
        ({"motion_px_s": 87.0, "camera_px_s": 81.0, "local_px_s": 31.0, "shake_px_s": 59.0}, "with fast, jerky motion"),
        ({"motion_px_s": 99.0, "camera_px_s": 94.0, "local_px_s": 30.0, "shake_px_s": 36.0}, "with fast motion"),
        ({"motion_px_s": 20.0, "camera_px_s": 12.0, "local_px_s": 10.0, "shake_px_s": 1.0}, "with moderate motion"),
        ({"motion_px_s": float("nan"), "camera_px_s": 9.0, "local_px_s": 1.0}, ""),
        ({"motion_px_s": None, "luma_mean": None, "text_area": None, "subtitle": None, "screen": None}, ""),
    ],
)
def test_motion_is_the_cameras_or_the_subjects_only_where_that_is_clear(
    measures: dict[str, float], expected: str
) -> None:
    assert sentence("", tones=["grey"], measures=measures) == f"A scene of mostly grey tones {expected}".rstrip() + "."


def test_sentences_have_a_captions_length_and_two_optional_parts_at_most() -> None:
    everything = {"subtitle": True, "luma_mean": 20.0, "aspect": 0.5, "text_area": 0.3, **BEFORE_CAMERA}
    lengths = []
    for thing, tones, measures in itertools.product(
        ["", *labels(), *CATEGORIES, *GROUPS, "what looks like a building or other structure"],
        (["grey"], ["blue", "beige"]),
        ({}, {"luma_mean": 200.0, **MOVING}, {"luma_mean": 9.0, "motion_px_s": 20.0}, everything),
    ):
        text = sentence(thing, tones=tones, measures=measures)
        lengths.append(len(text.split()))
        assert 6 <= lengths[-1] <= 20, text
        assert text[0].isupper()
        assert text.endswith(".")
        assert "  " not in text
    assert 8 <= np.mean(lengths) <= 14


# --- the whole of it


def say(settings: Writer, shot: Shot) -> str:
    captioner = load(settings)
    (written,) = captioner.write([captioner.prepare(shot)])
    assert isinstance(written, Written)
    return written.texts["short"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shot]:
    """The demo's videos as shots, keyframes and measures as the pipeline makes them; each is one clip."""
    shots = {}
    for path in sorted([*MEDIA.glob("*.mp4"), *MEDIA.glob("*.webm")]):
        out = tmp_path_factory.mktemp(path.stem)
        (clip,) = scan(str(path), str(out), Split(min_scene_frames=1000).model_dump(), 2, 36_000_000)["clips"]
        pictures = {one["position"]: (out / one["file"]).read_bytes() for one in clip["keyframes"]}
        shots[path.stem] = Shot(path.stem, pictures, clip)
    return shots


def test_videos_of_the_demo_get_sentences_of_their_own_and_no_false_subject(demo: dict[str, Shot]) -> None:
    """What is in them: tests/data/shown.toml."""
    texts = {name: say(Writer(), shot) for name, shot in demo.items()}
    assert len(set(texts.values())) == len(texts) == 5
    for name, text in texts.items():
        things = {thing for span in spans() if span.file.startswith(name) for thing in span.things}
        assert all(is_right(noun, things) for noun in named(text)), (name, text)
        assert "steady camera" not in text or name == "oa4_launch"
    assert named(texts["cockatoo"])


def test_cockatoo_is_named_in_the_sentence() -> None:
    keyframes = {position: jpeg(frame("cockatoo.mp4", 200)) for position in ("first", "middle", "last")}
    text = say(Writer(lower_case=False), Shot("c", keyframes, {"luma_mean": 110.0, "motion_px_s": 90.0}))
    assert text.startswith("A parrot in a scene of ")
    assert text.endswith(" tones with fast motion.")


def test_only_the_keyframes_of_the_thirds_count(demo: dict[str, Shot]) -> None:
    shot = demo["cockatoo"]
    three = {position: shot.keyframes[position] for position in ("first", "middle", "last")}
    more = Shot("more", {**three, "extra-9": jpeg(np.full((90, 160, 3), 250, np.uint8))}, shot.measures)
    assert say(Writer(), more) == say(Writer(), shot)


def test_tags_has_no_other_model() -> None:
    with pytest.raises(UsageError, match="one model of its own"):
        Tags(Writer(model="some/thing"))
    assert len(fingerprint(Writer())) == 16


# --- fields


def test_fields_that_are_known_are_filled_without_a_model_to_ask() -> None:
    measures = {"luma_mean": 30.0, "camera_moves": "roll clockwise, pan left", "text_written": "EXIT", **MOVING}
    seen = Shot("c", {"middle": jpeg(frame("cockatoo.mp4", 200))}, measures)
    settings = Writer(fields=True, compose=True)
    captioner = load(settings)
    (answer,) = captioner.write([captioner.prepare(seen)])
    assert isinstance(answer, Written)
    assert {name: answer.columns[f"said_{name}"] for name in ("light", "camera", "text", "how")} == {
        "light": "dark",
        "camera": "roll",
        "text": "EXIT",
        "how": "measured",
    }
    assert answer.columns["said_subject"] == "a parrot"
    assert answer.texts["short"].startswith("a parrot in a dark scene")
    assert answer.texts["detailed"].endswith("the light: dark. camera: roll. text to be read: exit")
    plain = load(Writer())
    (before,) = plain.write([plain.prepare(seen)])
    assert isinstance(before, Written)
    assert (before.texts, before.columns) == ({"short": answer.texts["short"]}, {})


def test_nothing_is_made_up_where_nothing_is_known() -> None:
    assert {name for name, value in known("", {}).items() if value is not None} == {"said_how"}
    assert known("", {"camera_moves": "mixed", "luma_mean": 100.0})["said_camera"] is None
