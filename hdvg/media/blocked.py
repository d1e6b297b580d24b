"""Pictures that must not be stored, known by their perceptual hashes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hdvg.config.child_settings import SplitSettings
from hdvg.errors import ItemError

FLAT = (0, 1 << 63)
"""Perceptual hashes of pictures of one level, such as black frames; a listed one would block nearly every video."""


class Pictures:
    """Perceptual hashes (16 hex digits each); a picture is blocked if at most `distance` of its 64 bits differ from one."""

    def __init__(self, hashes: tuple[str, ...] = (), distance: int = 0) -> None:
        self.hashes = hashes
        self.distance = distance
        self._bits = np.array([int(text, 16) for text in hashes], np.uint64)

    @classmethod
    def of(cls, settings: SplitSettings) -> Pictures:
        """Those that `as_settings` put into the settings of a decode pass; none if it did not."""
        blocked = settings.get("blocked")
        return cls(tuple(blocked["pictures"]), blocked["distance"]) if blocked else cls()

    def as_settings(self) -> dict[str, Any]:
        """As a setting of the decode pass, in JSON's types."""
        return {"blocked": {"pictures": list(self.hashes), "distance": self.distance}} if self.hashes else {}

    def refuse(self, phash: str) -> None:
        """Raise ItemError("blocked_content") for a picture that is near a listed one."""
        if self.hashes and np.bitwise_count(self._bits ^ np.uint64(int(phash, 16))).min() <= self.distance:
            raise ItemError("blocked_content", "a picture of it is like a listed one")

    def near(self, bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Which of the hashes, as numbers, are near a listed one; 2 ns a hash and listed picture."""
        found = np.zeros(len(bits), bool)
        for listed in self._bits:
            found |= np.bitwise_count(bits ^ listed) <= self.distance
        return found
