"""The order of the keyframe measures: first what costs little and drops much, by what this dataset showed so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hdvg.measures.keyframed import TYPICAL_MS

if TYPE_CHECKING:
    from hdvg.dataset.dataset import Dataset

ENOUGH = 100
"""Clips that a measure must have been taken of before its own figures count."""

TYPICAL_DROPPED = 0.2


@dataclass(frozen=True)
class Observed:
    """What a measure showed: the clips it was taken of, its time per clip, and the share that its rules dropped."""

    measure: str
    clips: int
    ms_per_clip: float | None
    dropped_share: float | None


def observe(dataset: Dataset) -> list[Observed]:
    """The figures of every measure of the dataset's plan, in their order."""
    plan = dataset.plan
    found: list[Observed] = []
    if not plan.measures:
        return found
    with dataset.manifest() as manifest:
        for place, name in enumerate(plan.measures):
            rules = [rule for rule in plan.recipe.rules if plan.verdicts.home(rule) == place]
            passes = " and ".join(rule.sql({}) for rule in rules) or "true"
            (row,) = manifest.rows(
                f"select count(*) as clips, 1000 * avg(r.seconds) as ms_per_clip, "
                f"1 - avg(coalesce({passes}, false)::int) as dropped_share "
                f"from measured join (select video_id, clip_id, seconds from {name}_rows) r using (video_id, clip_id)"
            )
            found.append(Observed(name, **row))
    return found


def best_order(names: tuple[str, ...], observed: Sequence[Observed]) -> tuple[str, ...]:
    """The names, sorted by cost over dropped share: the order of least expected cost for filters that drop independently."""
    known = {one.measure: one for one in observed if one.clips >= ENOUGH}

    def price(name: str) -> float:
        one = known.get(name)
        cost = one.ms_per_clip if one and one.ms_per_clip is not None else TYPICAL_MS[name]
        dropped = one.dropped_share if one and one.dropped_share is not None else TYPICAL_DROPPED
        return cost / max(dropped, 1e-3)

    return tuple(sorted(names, key=price))
