"""The section of a recipe that says how kept clips become files."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from hdvg.config.settings import Settings, Share


class Cut(Settings):
    """How kept clips become files; every mode but `copy` gives exactly the frames of the span."""

    mode: Literal["smart", "encode", "copy", "virtual"] = Field(
        "smart",
        description="smart: copy the coded frames, encode only the edges, where the codec allows, else encode; "
        "encode: all frames; copy: shrink the span to what can be copied; virtual: cut only while shards are written",
    )
    codec: Literal["h264", "av1"] = Field("h264", description="of `encode`: x264 or SVT-AV1")
    crf: int = Field(18, ge=0, le=63, description="quality of what is encoded: lower is better and larger")
    preset: str = Field("veryfast", description="speed preset: x264's names, or 0 to 13 for SVT-AV1")
    threads: int = Field(2, ge=1, description="encoder threads; more changes the bytes, so it is part of the settings")
    max_height_px: int | None = Field(
        None, ge=16, description="larger pictures are scaled down to it; encodes all frames"
    )
    crop: Literal["none", "black", "clean"] = Field(
        "none",
        description="black: without black bars; clean: to the rectangle of `clean_area`, without marks, subtitles and bars, "
        "for which the measure `clean` is taken; both encode all frames where there is something to crop",
    )
    audio: Literal["drop", "keep"] = Field("drop", description="whether the source's sound goes with the clip")
    hdr: Literal["tonemap", "keep"] = Field(
        "tonemap", description="HDR sources: mapped to SDR, or only flagged in `videos.hdr` and encoded as they are"
    )
    verify_share: Share = Field(1.0, description="share of the cut clips that are opened again and compared")

    @model_validator(mode="before")
    @classmethod
    def _read_crop_black(cls, table: Any) -> Any:
        """`crop_black` is what `crop = "black"` was called."""
        if not isinstance(table, dict) or "crop_black" not in table:
            return table
        black = table["crop_black"]
        if not isinstance(black, bool) or (black and "crop" in table):
            raise ValueError(f'cut.crop_black = {black!r}: write cut.crop = "black", or leave it out')
        return {name: value for name, value in table.items() if name != "crop_black"} | (
            {"crop": "black"} if black else {}
        )

    def shaping(self) -> dict[str, Any]:
        """What shapes clips, as versions before `crop` wrote it down, so that none is cut anew."""
        shaping = self.model_dump(exclude={"crop"}) | {"crop_black": self.crop == "black"}
        return shaping | ({"crop": self.crop} if self.crop == "clean" else {})
