"""The classifier's score is the softmax that plain transformers gives of the label, over the keyframes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from hdvg.config.sections import Measure
from hdvg.errors import UsageError
from hdvg.keyframes import Shot
from hdvg.measures.classifier import Classifier
from schemas.measures import CLASSIFIER
from tests.drawings import Interface, ground, keyframe, shot
from tests.tools import stir

LABELS = ["clean", "watermark", "logo"]
PICTURES = [Interface(seed, kind="page").over(ground((0, 0, 0))) for seed in range(3)]


@pytest.fixture(scope="module")
def tiny_vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random ViT of three labels; large enough weights that pictures change it."""
    folder = tmp_path_factory.mktemp("vit")
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.ViTConfig(**shape, image_size=32, patch_size=8, id2label=dict(enumerate(LABELS)))
    torch.manual_seed(0)
    network = transformers.ViTForImageClassification(config)
    stir(network)
    network.save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def settings(folder: Path | None, label: str | None) -> Measure:
    return Measure(classifier_path=None if folder is None else str(folder), classifier_label=label)


def plain_logits(folder: Path) -> np.ndarray:
    """(pictures, labels), by plain transformers one picture at a time."""
    network = transformers.ViTForImageClassification.from_pretrained(folder).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    rows = []
    for picture in PICTURES:
        bgr = cv2.imdecode(np.frombuffer(keyframe(picture), np.uint8), cv2.IMREAD_COLOR)
        inputs = processor(images=Image.fromarray(bgr[:, :, ::-1].copy()), return_tensors="pt")
        with torch.inference_mode():
            rows.append(network(**inputs).logits[0].double().numpy())
    return np.stack(rows)


def test_scores_are_the_softmax_of_the_label(tiny_vit: Path) -> None:
    powers = np.exp(plain_logits(tiny_vit))
    shares = powers / powers.sum(axis=1, keepdims=True)
    assert np.ptp(shares, axis=0).max() > 0.01  # pictures differ at all
    for index, label in enumerate(LABELS):
        measure = Classifier(settings(tiny_vit, label))
        row = measure.measure([shot(PICTURES)], [])[0]
        assert row["classifier_score"] == pytest.approx(shares[:, index].mean(), abs=1e-5)
        assert row["classifier_max"] == pytest.approx(shares[:, index].max(), abs=1e-5)
        assert row["classifier_model"] == measure.model
        assert label in measure.model
        assert list(row) == [field.name for field in CLASSIFIER] == list(Classifier.columns)


def test_labels_that_may_hold_together_are_sigmoids(tiny_vit: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    shutil.copytree(tiny_vit, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "problem_type": "multi_label_classification"}))
    row = Classifier(settings(folder, "logo")).measure([shot(PICTURES)], [])[0]
    expected = 1 / (1 + np.exp(-plain_logits(folder)[:, 2]))
    assert row["classifier_score"] == pytest.approx(expected.mean(), abs=1e-5)


def test_rows_do_not_depend_on_the_split_and_unreadable_keyframes_tell_nothing(tiny_vit: Path) -> None:
    measure = Classifier(settings(tiny_vit, "watermark"))
    clips = [shot(PICTURES), Shot("none", {}, {}), *(shot(PICTURES[number % 3 :]) for number in range(10))]
    together = measure.measure(clips, [])
    assert together[1] == dict.fromkeys(Classifier.columns)
    for clip, row in zip(clips, together, strict=True):
        alone = measure.measure([clip], clips)[0]
        assert row["classifier_score"] == pytest.approx(alone["classifier_score"], abs=1e-5)
    assert measure.measure([], clips) == []


def test_absent_folder_and_unknown_label_are_named_with_what_to_put(tiny_vit: Path, tmp_path: Path) -> None:
    for act in (Classifier, Classifier.fingerprint):
        with pytest.raises(UsageError, match=r"measure\.classifier_path is not set; it takes a folder of an image"):
            act(settings(None, "watermark"))
        with pytest.raises(UsageError, match="no such file or folder"):
            act(settings(tmp_path / "absent", "watermark"))
        with pytest.raises(UsageError, match=r"no config\.json"):
            act(settings(tmp_path, "watermark"))
        with pytest.raises(UsageError, match=r"classifier_label = 'water'.*labels: clean, watermark, logo"):
            act(settings(tiny_vit, "water"))
        with pytest.raises(UsageError, match=r"classifier_label = None"):
            act(settings(tiny_vit, None))


def test_folder_without_weights_is_refused(tiny_vit: Path, tmp_path: Path) -> None:
    folder = tmp_path / "partial"
    shutil.copytree(tiny_vit, folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="cannot be loaded"):
        Classifier(settings(folder, "logo"))


def test_fingerprint_follows_weights_and_label(tiny_vit: Path) -> None:
    seen = {Classifier.fingerprint(settings(tiny_vit, label)) for label in LABELS}
    assert len(seen) == 3
    assert {len(digits) for digits in seen} == {16}
