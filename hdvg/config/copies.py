"""The section `duplicates` of a recipe."""

from __future__ import annotations

from pydantic import Field, field_validator

from hdvg.config.settings import Settings, Share
from hdvg.errors import suggestion
from schemas.measures import CAPTION_STAGES, HOMES, NUMBERS, POOL


class Duplicates(Settings):
    """When two clips are copies of each other, and which of them stays. Bits are of a picture's 64-bit hash."""

    score: tuple[str, ...] = Field(
        ("short_px", "sharpness", "duration_s"),
        description="measures by which the best copy is chosen: the largest first, of equals by the next",
    )
    index: str | None = Field(
        None, description="folder of earlier datasets' clips to compare with; kept clips are added to it"
    )
    label: str | None = Field(
        None, description="this dataset's name in the index; by default drawn from its first links"
    )
    bits: float = Field(9.0, gt=0, description="mean bits that two still clips may differ by")
    bits_moving: float = Field(
        0.6, ge=0, description="bits more for each that the stiller of the two changes by in half a second"
    )
    overlap: Share = Field(0.5, description="least share of the shorter clip that both show")
    cosine: float = Field(
        0.8, ge=-1, le=1, description="least cosine of their embeddings, where both have one; the index has none"
    )
    semantic: float | None = Field(
        None,
        gt=0,
        le=1,
        description="least cosine by which clips of different videos are copies whatever their hashes say, such as mirrored ones; none: "
        "they are not; with the shipped model 0.95 at least",
    )

    @field_validator("score")
    @classmethod
    def _are_numbers(cls, score: tuple[str, ...]) -> tuple[str, ...]:
        for name in score:
            if name not in NUMBERS or HOMES[name] in (POOL, *CAPTION_STAGES):
                raise ValueError(
                    f"duplicates.score: `{name}` is no number of a clip; "
                    + suggestion(name, NUMBERS, '`hdvg query DATASET "describe measures"` lists them')
                )
        return score
