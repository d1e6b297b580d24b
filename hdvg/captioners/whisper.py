"""What is said in a clip, written down by a Whisper-like network of transformers: sound in, text and language out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hdvg.captioners import Written, clean
from hdvg.config.caption import Writer
from hdvg.config.own_measures import SOUND_HZ
from hdvg.errors import ItemError
from hdvg.keyframes import Shot
from hdvg.networks import files
from hdvg.networks.batches import Batches
from hdvg.networks.loading import check_there, device, named, number_format, pretrained
from schemas.captions import SPEECH

if TYPE_CHECKING:
    import torch

VERSION = 1
"""Raise it when code changes the texts."""

DEFAULT_MODEL = "openai/whisper-large-v3-turbo"
CLASSES = ("AutoProcessor", "AutoModelForSpeechSeq2Seq")
HINT = (
    "it takes a folder of a Whisper-like model, written by save_pretrained, or a hub id (cached, or the hub in reach)"
)
SHORT = "captioner `whisper`: GPU memory ran short on half a minute of sound; try caption.dtype or a smaller model"
WINDOW_S = 30
MOST_TOKENS = 220
"""Of half a minute."""

Said = tuple[str, str | None]
"""Text and language of a window."""


class Whisper:
    """On the GPU if there is one; half a minute at a time, in batches as `Batches` finds them."""

    name = "whisper"
    needs: ClassVar[Mapping[str, str]] = {"torch": "PyTorch", "transformers": "transformers"}
    hears = True

    def __init__(self, settings: Writer) -> None:
        self._settings = settings
        self._device = device()
        self._form = number_format(settings.dtype, setting="caption.dtype")
        where = settings.model or DEFAULT_MODEL
        self._processor, network = pretrained(
            where, classes=CLASSES, form=self._form, setting="caption.model", hint=HINT
        )
        self._network = network.to(self._device)
        self._batches = Batches(fixed=settings.batch, device=self._device, memory_gb=settings.memory_gb, short=SHORT)
        self.batch = self._batches.size
        self.model = named(where, network, digits=self.fingerprint(settings))

    @staticmethod
    def fingerprint(settings: Writer) -> str:
        """See `hdvg.captioners.fingerprint`; a hub id stands for itself."""
        where = settings.model or DEFAULT_MODEL
        check_there(where, setting="caption.model", hint=HINT)
        content = files.digest(Path(where)) if Path(where).is_dir() else where
        return hashlib.sha256(f"{content}\0whisper {VERSION}".encode()).hexdigest()[:16]

    def prepare(self, shot: Shot) -> list[torch.Tensor]:
        """See `Captioner.prepare`: what the network takes of each half minute, (1, bands, steps); none of a silent clip."""
        sound = shot.sound
        if sound is None or shot.is_silent:
            return []
        length = WINDOW_S * SOUND_HZ
        windows = [sound[start : start + length] for start in range(0, len(sound), length)]
        make = self._processor.feature_extractor
        return [make(one, sampling_rate=SOUND_HZ, return_tensors="pt").input_features for one in windows]

    def write(self, prepared: Sequence[list[torch.Tensor]]) -> list[Written | ItemError]:
        """See `Captioner.write`; the language is that of a clip's first half minute. Raises ResourceError if not even one fits."""
        said = iter(self._batches.over([window for windows in prepared for window in windows], self._write))
        self.batch = self._batches.size
        made: list[Written | ItemError] = []
        for windows in prepared:
            parts = [next(said) for _ in windows]
            text = clean(" ".join(text for text, _ in parts), lower_case=self._settings.lower_case)
            made.append(Written({SPEECH: text}, silent=not text, language=parts[0][1] if parts else None))
        return made

    def _write(self, windows: Sequence[torch.Tensor]) -> list[Said]:
        """One forward pass: what is said in each window."""
        import torch

        features = torch.cat(list(windows)).to(self._device, self._form.compute)
        settings = self._network.generation_config
        known: dict[str, int] = getattr(settings, "lang_to_id", None) or {}
        asked: dict[str, Any] = {}
        with torch.inference_mode():
            if known:
                names = {token: name.strip("<|>") for name, token in known.items()}
                codes = [names[token] for token in self._network.detect_language(features).tolist()]
                asked = {"language": codes, "task": "transcribe"}
            tokens_BT = self._network.generate(
                features,
                attention_mask=torch.ones(features.shape[0], features.shape[-1], device=features.device),
                do_sample=False,
                num_beams=self._settings.beams or 1,
                max_length=self._settings.max_tokens or MOST_TOKENS,
                **asked,
            )
        texts: list[str] = self._processor.batch_decode(tokens_BT, skip_special_tokens=True)
        return list(zip(texts, asked.get("language", [None] * len(texts)), strict=True))
