"""Compile a recipe's thresholds to named reasons in SQL: measures are stored, verdicts are a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from hdvg.config import Filter


@dataclass(frozen=True)
class Rule:
    """One threshold: `setting` of the filter section bounds `column`; a clip beyond it is dropped for `reason`."""

    setting: str
    column: str
    side: Literal["min", "max"]
    reason: str

    def passes(self, value: float | None, bound: float) -> bool:
        """Whether a measured value passes; a missing one never does."""
        return value is not None and (value >= bound if self.side == "min" else value <= bound)


RULES = (
    Rule("min_s", "duration_s", "min", "too_short"),
    Rule("max_s", "duration_s", "max", "too_long"),
    Rule("min_height_px", "least(width, height)", "min", "low_resolution"),
    Rule("min_aspect", "aspect", "min", "too_narrow"),
    Rule("max_aspect", "aspect", "max", "too_wide"),
    Rule("min_fps", "fps", "min", "low_fps"),
    Rule("max_fps", "fps", "max", "high_fps"),
    Rule("min_motion_px_s", "motion_px_s", "min", "low_motion"),
    Rule("max_motion_px_s", "motion_px_s", "max", "high_motion"),
    Rule("max_static_share", "static_share", "max", "static"),
    Rule("max_black_share", "black_share", "max", "black"),
    Rule("min_luma", "luma_mean", "min", "dark"),
    Rule("max_luma", "luma_mean", "max", "bright"),
    Rule("min_sharpness", "sharpness", "min", "blurry"),
)


def active_rules(settings: Filter) -> list[tuple[Rule, float]]:
    """The rules that the settings switch on, with their bounds, in the order they are listed in reasons."""
    values: dict[str, Any] = settings.model_dump()
    return [(rule, float(values[rule.setting])) for rule in RULES if values[rule.setting] is not None]


def reasons_sql(settings: Filter) -> str:
    """A SQL list with one entry per active rule: null if the clip passes, else the reason.

    A missing measure gives `unmeasured:<reason>`, so that nothing passes by luck.
    """
    entries = [
        f"case when {rule.column} is null then 'unmeasured:{rule.reason}' "
        f"when {rule.column} {'>=' if rule.side == 'min' else '<='} {bound!r} then null else '{rule.reason}' end"
        for rule, bound in active_rules(settings)
    ]
    return "[" + ", ".join(entries) + "]::varchar[]"
