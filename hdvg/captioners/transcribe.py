"""What is said in a clip, written down by a service that speaks OpenAI's transcription interface: sound out, text in."""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from hdvg.captioners import Written, clean
from hdvg.captioners.endpoint import Heard, Request, Service
from hdvg.captioners.forms import Forms
from hdvg.captioners.language import language
from hdvg.captioners.openai import ROUNDS, named_digest
from hdvg.config.caption import Writer
from hdvg.config.own_measures import SOUND_HZ
from hdvg.errors import ItemError, UsageError
from hdvg.keyframes import Shot
from schemas.captions import SPEECH

VERSION = "transcribe 1"
"""Raise its number when code changes the texts."""

FORMS = ({"response_format": "verbose_json"}, {"response_format": "json"})
"""Forms of an answer: the first says the language too, and not every model gives it."""

CODES = {
    "arabic": "ar", "chinese": "zh", "czech": "cs", "danish": "da", "dutch": "nl", "english": "en", "finnish": "fi",
    "french": "fr", "german": "de", "greek": "el", "hebrew": "he", "hindi": "hi", "hungarian": "hu", "indonesian": "id",
    "italian": "it", "japanese": "ja", "korean": "ko", "norwegian": "no", "persian": "fa", "polish": "pl",
    "portuguese": "pt", "romanian": "ro", "russian": "ru", "spanish": "es", "swedish": "sv", "thai": "th",
    "turkish": "tr", "ukrainian": "uk", "vietnamese": "vi",
}  # fmt: skip
"""Languages as services call them -> ISO 639."""


class Transcribe:
    """A model behind an endpoint, `endpoint.concurrency` requests at once; see `Service` for how failures end."""

    name = "transcribe"
    needs: ClassVar[Mapping[str, str]] = {"openai": "openai"}
    hears = True

    def __init__(self, settings: Writer) -> None:
        if settings.beams not in (None, 1):
            raise UsageError(
                f"caption.beams = {settings.beams}: captioner `transcribe` has no beam search; leave it out"
            )
        self._settings = settings
        self._service = Service(settings.endpoint)
        self._forms = Forms(self._service.transcribe, FORMS)
        self._model = self._service.model(settings.model)
        self.batch = settings.batch or ROUNDS * settings.endpoint.concurrency
        self.model = f"{self._model} @ {self.fingerprint(settings)[:8]}"

    @staticmethod
    def fingerprint(settings: Writer) -> str:
        """See `hdvg.captioners.fingerprint`: of address and model name; nothing is asked of the server."""
        return named_digest(settings, VERSION)

    def prepare(self, shot: Shot) -> bytes:
        """See `Captioner.prepare`: the sound as WAV, nothing of a silent clip."""
        return b"" if shot.sound is None or shot.is_silent else as_wav(shot.sound)

    def write(self, prepared: Sequence[bytes]) -> list[Written | ItemError]:
        """See `Captioner.write` and `Service.ask`."""
        said = iter(self._forms.ask([self._request(sound) for sound in prepared if sound]))
        return [self._written(next(said)) if sound else Written({SPEECH: ""}, silent=True) for sound in prepared]

    def _request(self, sound: bytes) -> Request:
        asked = {"model": self._model, "file": ("clip.wav", sound, "audio/wav"), "temperature": 0}
        return asked | ({"prompt": self._settings.prompt} if self._settings.prompt else {})

    def _written(self, heard: Heard | ItemError) -> Written | ItemError:
        if isinstance(heard, ItemError):
            return heard
        text = clean(heard.text, lower_case=self._settings.lower_case)
        told = heard.language.strip().lower()
        code = CODES.get(told) or (told if 2 <= len(told) <= 3 else language(text))
        return Written({SPEECH: text}, silent=not text, language=code)


def as_wav(sound: npt.NDArray[np.float32]) -> bytes:
    """The sound (n,) of a shot as a WAV of 16 bits."""
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setparams((1, 2, SOUND_HZ, 0, "NONE", ""))
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return held.getvalue()
