"""A slot for an image classifier by local path, with the label that is asked for: watermarks, text, any yes or no."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hdvg.config.sections import Measure
from hdvg.errors import UsageError
from hdvg.ids import digest
from hdvg.keyframes import Shot
from hdvg.networks import files
from hdvg.networks.batches import in_batches
from hdvg.networks.pictures import keyframes, to_pil

if TYPE_CHECKING:
    from hdvg.networks.pictures import Picture

VERSION = 1
"""Raise it when code changes the numbers."""

BATCH = 16
SETTING, LABEL_SETTING = "measure.classifier_path", "measure.classifier_label"
WANTED = "a folder of an image classifier as save_pretrained writes it (config.json, weights, image processor)"


class Classifier:
    """See schemas.measures.CLASSIFIER for the columns; numbers vary by rounding with the split into calls (< 1e-5).

    Probabilities are a softmax over the labels, or a sigmoid each where config.json says multi_label_classification.
    """

    needs: ClassVar[Mapping[str, str]] = {"torch": "PyTorch", "transformers": "transformers", "PIL": "Pillow"}
    columns: ClassVar[tuple[str, ...]] = ("classifier_score", "classifier_max", "classifier_model")

    def __init__(self, settings: Measure) -> None:
        import torch

        from hdvg.networks.clip import load

        folder, self._label = _chosen(settings)
        self.model = f"{files.named(folder, files.digest(folder))} {settings.classifier_label}"
        self._processor, network = load(folder, kind="AutoModelForImageClassification", setting=SETTING, wanted=WANTED)
        self._device, self._size = "cuda" if torch.cuda.is_available() else "cpu", BATCH
        self._network = network.to(self._device)

    @staticmethod
    def fingerprint(settings: Measure) -> str:
        """16 hex digits of network and label; torch stays unimported. Raises UsageError if one is not there."""
        folder, label = _chosen(settings)
        return digest("classifier", VERSION, files.digest(folder), label)[:16]

    def measure(self, wanted: Sequence[Shot], others: Sequence[Shot]) -> list[dict[str, Any]]:
        """One row a wanted shot, in order; `others` are not looked at. All is None if no keyframe decodes.

        Raises ResourceError if not even one picture fits into GPU memory.
        """
        clips = [keyframes(shot) for shot in wanted]
        every = [picture for clip in clips for picture in clip]
        short = f"{SETTING}: GPU memory ran short on a single picture; take a smaller model"
        found, self._size = in_batches(self._shares, items=every, size=self._size, short=short)
        shares = iter(found)
        rows: list[dict[str, Any]] = []
        for clip in clips:
            here = [next(shares) for _ in clip]
            values = (float(np.mean(here)), max(here), self.model) if here else (None, None, None)
            rows.append(dict(zip(self.columns, values, strict=True)))
        return rows

    def _shares(self, pictures: Sequence[Picture]) -> list[float]:
        """One forward pass: the label's probability a picture."""
        import torch

        inputs = self._processor(images=[to_pil(picture) for picture in pictures], return_tensors="pt")
        with torch.inference_mode():
            logits_BK = self._network(**inputs.to(self._device)).logits.double()
        many = self._network.config.problem_type == "multi_label_classification"
        shares_BK = logits_BK.sigmoid() if many else logits_BK.softmax(dim=1)
        shares: list[float] = shares_BK[:, self._label].tolist()
        return shares


def _chosen(settings: Measure) -> tuple[Path, int]:
    """Folder of the network and the index of the label. Raises UsageError if one is not set or not there."""
    folder = files.local_path(settings.classifier_path, setting=SETTING, wanted=WANTED)
    try:
        table = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        labels = {str(label): int(index) for index, label in table.get("id2label", {}).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{SETTING} = '{folder}': no config.json that can be read; it takes {WANTED}") from error
    wanted = settings.classifier_label
    if wanted is None or wanted not in labels:
        shown = ", ".join([*list(labels)[:10], *(["..."] if len(labels) > 10 else [])]) or "none"
        raise UsageError(f"{LABEL_SETTING} = {wanted!r}: no label of '{folder}'; it takes one of its labels: {shown}")
    return folder, labels[wanted]
