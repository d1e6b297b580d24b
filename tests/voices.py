"""A voice made of formulas: syllables of vowels between stops and hisses, as a source and its formants (Klatt 1980)."""

from __future__ import annotations

import subprocess
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.clapper import FFMPEG, VIDEO

Sound = npt.NDArray[np.float32]
HZ = 16_000
VOWELS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}
"""Formants of a man's vowels, Hz (Peterson and Barney 1952)."""
BANDS_HZ = (60, 90, 150)
TAPS = 400
SYLLABLE_S = 0.19
PITCH_HZ = 115


def speech(seconds: float, *, seed: int = 0) -> Sound:
    """(n,) float32 in -1..1 of 16 kHz: syllables without a pause."""
    random = np.random.default_rng(seed)
    made = np.zeros(0)
    while len(made) < seconds * HZ:
        made = np.concatenate([made, _syllable(random)])
    sound = made[: round(seconds * HZ)]
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def _syllable(random: np.random.Generator) -> npt.NDArray[np.float64]:
    length = round(SYLLABLE_S * HZ * random.uniform(0.7, 1.5))
    first, second = (np.array(VOWELS[one]) for one in random.choice(list(VOWELS), 2))
    pitch = PITCH_HZ * random.uniform(0.85, 1.25) * np.linspace(1.08, 0.92, length)
    phase = np.cumsum(pitch * (1 + 0.01 * random.normal(size=length))) / HZ
    pulses = np.diff(np.floor(phase), prepend=0.0)
    source = np.convolve(pulses, 0.97 ** np.arange(TAPS))[:length] + 0.01 * random.normal(size=length)
    voiced = np.zeros(length)
    blocks = np.array_split(np.arange(length), 8)
    for number, block in enumerate(blocks):
        formants = first + (second - first) * number / len(blocks)
        voiced[block] = _formed(source[: block[-1] + 1], formants)[block]
    rise = np.minimum(np.arange(length) / (0.03 * HZ), 1) * np.minimum(np.arange(length)[::-1] / (0.05 * HZ), 1)
    hiss = round(0.06 * HZ)
    consonant = np.diff(random.normal(size=hiss), prepend=0) * np.hanning(hiss) * random.uniform(0.02, 0.3)
    return np.concatenate([consonant * np.abs(voiced).max(), voiced * rise])


def _formed(source: npt.NDArray[np.float64], formants: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    at = np.arange(TAPS)
    for centre, band in zip(formants, BANDS_HZ, strict=True):
        turn, radius = 2 * np.pi * centre / HZ, np.exp(-np.pi * band / HZ)
        rings = radius**at * np.sin((at + 1) * turn) / np.sin(turn)
        source = np.convolve(source, rings / rings.sum())[: len(source)]
    return source


def melody(seconds: float, *, seed: int = 0) -> Sound:
    """The same length of a plucked tune with chords: harmonic, and no speech."""
    random = np.random.default_rng(seed)
    made = np.zeros(round(seconds * HZ))
    for start in range(0, len(made), HZ // 4):
        at = np.arange(min(HZ, len(made) - start)) / HZ
        for note in random.choice([220.0, 261.6, 329.6, 392.0, 440.0, 523.3], 3, replace=False):
            tones = sum(np.sin(2 * np.pi * note * part * at) / part**2 for part in range(1, 6))
            made[start : start + len(at)] += tones * np.exp(-4 * at)
    return (0.5 * made / np.abs(made).max()).astype(np.float32)


def noise(seconds: float, *, seed: int = 0) -> Sound:
    """White noise."""
    return (0.03 * np.random.default_rng(seed).normal(size=round(seconds * HZ))).astype(np.float32)


def film_with(target: Path, sound: Sound, *options: str, codec: Sequence[str] = ("-c:a", "aac")) -> Path:
    """A film of one shot with that sound, as long as it; `options` are those of the output."""
    voice = target.with_suffix(".wav")
    with wave.open(str(voice), "wb") as file:
        file.setparams((1, 2, HZ, 0, "NONE", ""))
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    picture = f"testsrc2=s=160x120:r=25:d={len(sound) / HZ}"
    command = [FFMPEG, "-v", "error", "-y", "-f", "lavfi", "-i", picture, "-i", str(voice)]
    subprocess.run([*command, *VIDEO, *codec, *options, str(target)], check=True)
    voice.unlink()
    return target
