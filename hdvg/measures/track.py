"""The sound of a video as measures have it: levels of each tenth of a second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

BLOCK_S = 0.1
FINE = 5
"""Parts of a block whose sharpness is told apart, each 0.02 s."""


@dataclass(frozen=True)
class Track:
    """Blocks of 0.1 s, in order of time; all arrays are (n,) but one."""

    channels: int
    offset_s: float
    """How much later the sound begins than the picture, as muxed; negative: earlier."""
    ends_s: Numbers
    """When each block ends, seconds on the clock of the file's pts."""
    momentary_lufs: Numbers
    """Loudness of the 0.4 s up to there, ITU-R BS.1770, LUFS."""
    level_dbfs: Numbers
    """Root mean square over all samples of all channels, dBFS; a full-scale sine has -3."""
    peak: Numbers
    """Largest sample, 1.0 is full scale; coded sound may go beyond."""
    sharp_dbfs: Numbers
    """(n, FINE), of each part of a block: level of the steps from sample to sample, which begin before the sound gets loud."""
    is_clipped: npt.NDArray[np.bool_]
    """Whether three samples on end reach full scale in a channel."""

    def between(self, start_s: float, end_s: float) -> Track:
        """The blocks of which more than half lies in that time."""
        inside = (self.ends_s - BLOCK_S / 2 >= start_s) & (self.ends_s - BLOCK_S / 2 < end_s)
        return Track(
            self.channels,
            self.offset_s,
            self.ends_s[inside],
            self.momentary_lufs[inside],
            self.level_dbfs[inside],
            self.peak[inside],
            self.sharp_dbfs[inside],
            self.is_clipped[inside],
        )


def no_sound() -> Track:
    """That of a file without a sound that decodes."""
    none = np.zeros(0)
    return Track(0, 0.0, none, none, none, none, np.zeros((0, FINE)), np.zeros(0, bool))
