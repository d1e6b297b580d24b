"""A clip as captioners and measures of keyframes see it: a few stored pictures and its row of measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


SILENT = 1e-3
"""-60 dBFS."""


@dataclass(frozen=True)
class Shot:
    """One clip as a captioner sees it.

    `keyframes`: "first", "middle", "last" -> JPEG bytes. `measures`: the clip's row of measures, by column name, what a
    published set gives (`given_caption`, `given_origin`), its video's `title`, `extractor`, `subtitles_language` and
    `subtitles_origin`, `spoken`, the lines said while it lasts, and `written`, the texts of another writer; a captioner
    does without those that are absent or None. `preview`: frames of its preview as WebP, each with its seconds from the
    clip's start, for a writer with `frames`. `sound`: (n,) float32 in -1..1, mono, of `SOUND_HZ`, as long as the clip; None
    where the clip has none, and for who does not hear.
    """

    clip_id: str
    keyframes: Mapping[str, bytes]
    measures: Mapping[str, Any]
    preview: Sequence[tuple[float, bytes]] = ()
    sound: npt.NDArray[np.float32] | None = None

    @property
    def is_silent(self) -> bool:
        """Whether nothing of its sound is louder than `SILENT`: nothing is said in it, whatever a network would write."""
        return self.sound is None or not len(self.sound) or float(abs(self.sound).max()) < SILENT
