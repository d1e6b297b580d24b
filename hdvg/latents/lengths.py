"""How long texts are in tokens of the encoder that reads them, and how much of them is cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Lengths:
    """Of `texts` texts, of which the tokens of `known` were counted; an encoder of one's own need not count any."""

    texts: int
    known: int
    most: int
    """Tokens that are taken of a text, `data.text_tokens`."""
    cut: int
    """Texts that are longer."""
    longest: int
    lost_share: float
    """Of a text that is cut, the mean share of its tokens that is lost, 0-1."""

    @classmethod
    def of(cls, tokens: Iterable[int | None], most: int) -> Lengths:
        """`tokens`: of each whole text, the marks of its ends included; None where nobody counted."""
        counts = np.array([-1 if count is None else count for count in tokens], np.int64)
        known = counts[counts >= 0]
        cut = known[known > most]
        lost = float((1 - most / cut).mean()) if len(cut) else 0.0
        return cls(len(counts), len(known), most, len(cut), int(known.max(initial=0)), lost)

    @property
    def truncated_share(self) -> float | None:
        """The share of texts that are cut, 0-1; None if none was counted."""
        return self.cut / self.known if self.known else None

    def said(self) -> str | None:
        """A line about what is cut, if anything is."""
        if not self.cut:
            return None
        unknown = f" (of {self.texts - self.known} more it is not known)" if self.known < self.texts else ""
        return (
            f"{self.cut} of {self.known} texts ({self.truncated_share:.1%}) are longer than data.text_tokens = {self.most}{unknown}: "
            f"{self.lost_share:.0%} of their tokens are cut; the longest has {self.longest}, so --set data.text_tokens={self.longest} "
            "keeps all, if the text encoder takes so many"
        )
