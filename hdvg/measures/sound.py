"""Sound: how loud a clip is, how much of it is silent or clipped, and whether its sound begins with its picture."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hdvg.measures.measure import Clip, Series, Sight, View
from hdvg.measures.track import BLOCK_S, Numbers

SILENT_DBFS = -60.0
WINDOW_S = 0.4
"""What a momentary loudness is of."""
GATE_LUFS, RELATIVE_LU = -70.0, -10.0
"""Of EBU R 128 (ITU-R BS.1770-4, annex 1): what is below the first, or that far below the mean of the rest, does not count."""
LEAST_DBFS = -120.0


class Sound:
    """Of the track that belongs to the film. All null where only a part of the video was fetched."""

    columns: ClassVar[tuple[str, ...]] = (
        *("audio_channels", "audio_share", "audio_offset_s"),
        *("loudness_lufs", "audio_peak_dbfs", "silence_share", "clipped_share"),
    )
    sees: ClassVar[Sight] = "sound"

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}

    def see(self, view: View) -> None:
        """It is shown no frame."""

    @staticmethod
    def of_clip(clip: Clip) -> dict[str, float | None]:
        if clip.track is None:
            return dict.fromkeys(Sound.columns)
        length_s = float(clip.seconds[-1])
        heard = clip.track.between(clip.start_s, clip.start_s + length_s)
        count = len(heard.ends_s)
        whole = max(length_s / BLOCK_S, count, 1)
        sounding = np.count_nonzero(heard.level_dbfs >= SILENT_DBFS)
        full = heard.momentary_lufs[heard.ends_s - WINDOW_S >= clip.start_s - BLOCK_S / 2]
        return {
            "audio_channels": heard.channels if count else 0,
            "audio_share": count / whole,
            "audio_offset_s": clip.track.offset_s if count else None,
            "loudness_lufs": integrated_lufs(full if len(full) else heard.momentary_lufs),
            "audio_peak_dbfs": _dbfs(float(heard.peak.max())) if count else LEAST_DBFS,
            "silence_share": 1 - float(sounding / whole),
            "clipped_share": float(np.count_nonzero(heard.is_clipped) / whole),
        }


def integrated_lufs(momentary_lufs: Numbers) -> float:
    """Loudness of what these moments of 0.4 s, each 0.1 s later, cover; -70 where all is below the gate."""
    loud = momentary_lufs[momentary_lufs > GATE_LUFS]
    if not len(loud):
        return GATE_LUFS
    powers = 10 ** (loud / 10)
    near = powers[loud > 10 * np.log10(powers.mean()) + RELATIVE_LU]
    return float(10 * np.log10(near.mean()))


def _dbfs(peak: float) -> float:
    return max(20 * float(np.log10(peak)), LEAST_DBFS) if peak > 0 else LEAST_DBFS
