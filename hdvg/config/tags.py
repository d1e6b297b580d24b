"""Tags: what a measure says of a clip as a phrase of its text, so that a trained network can be asked for it."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from hdvg.config.conditions import check_expression
from hdvg.config.settings import Settings

QUANTILE = re.compile(r"quantile\((0(?:\.\d+)?|1(?:\.0*)?|\.\d+)\)")
Phrase = Annotated[str, Field(pattern=r"^[^\x00-\x1f{}]*$")]


class Tag(Settings):
    """One tag: `data.tags.motion = {by = "local_px_s", at = ["quantile(0.5)"], names = ["low motion", "high motion"]}`."""

    by: str = Field("", description="SQL number or condition over `dataset`, such as `aesthetic` or `watermark >= 0.5`")
    at: tuple[float | str, ...] = Field(
        (), description="rising bounds: numbers, or `quantile(0.3)` of the clips that are trained on"
    )
    names: tuple[Phrase, ...] = Field(
        ("",),
        description="the phrase below the first bound, from it to the next, and so on: one more than bounds; empty: none",
    )

    @field_validator("by")
    @classmethod
    def _is_expression(cls, by: str) -> str:
        if by:
            check_expression(by, example="aesthetic")
        return by

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.names) != len(self.at) + 1:
            raise ValueError(
                f"a tag has one name more than bounds, not {len(self.names)} names for {len(self.at)} bounds"
            )
        for bound in self.at:
            if isinstance(bound, str) and not QUANTILE.fullmatch(bound):
                raise ValueError(f"{bound!r} is no bound of a tag; it takes a number, or `quantile(0.3)`")
        return self

    def sql(self) -> str:
        """The phrase of a row of `dataset`, null where the value is."""
        value = f"({self.by})::double"
        names = ["'" + name.replace("'", "''") + "'" for name in self.names]
        ends = zip(self.at, names, strict=False)
        ranges = "".join(f" when {value} < {_bound(end, value)} then {name}" for end, name in ends)
        return f"case when {value} is null then null{ranges} else {names[-1]} end"


def _bound(bound: float | str, value: str) -> str:
    """SQL of a bound; a quantile is over the rows that are asked for."""
    found = QUANTILE.fullmatch(str(bound))
    return f"quantile_cont({value}, {found[1]}) over ()" if found else repr(bound)
