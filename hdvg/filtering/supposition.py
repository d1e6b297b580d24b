"""A dataset's verdicts under rules that are only supposed, or tuned to a keep rate: what is asked, in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from hdvg.config.deadline import within
from hdvg.config.rules import parse_rules
from hdvg.dataset.connection import TOO_LONG, longest_s
from hdvg.dataset.snapshot import measures
from hdvg.errors import UsageError
from hdvg.filtering.edit import suppose
from hdvg.filtering.tune import parse_axes, tune
from hdvg.filtering.whatif import WhatIf, what_if

if TYPE_CHECKING:
    from hdvg.dataset.dataset import Dataset


def supposed(
    dataset: Dataset,
    keep: Mapping[str, str],
    rules: Iterable[str] = (),
    *,
    goal: tuple[float | None, str | None] = (None, None),
    say: Callable[[str], None],
) -> WhatIf:
    """What verdicts would be if `rules`, such as `duration_s >= 3`, held beside `keep`; nothing is changed.

    `goal`: the share of all clips that is to be kept, 0-1, and the measures whose bounds are moved to reach it, such as
    `sharpness,motion_px_s>=`. `say` reports where the measures are read. Raises UsageError for what is no rule or measure.
    """
    share, tuned = goal
    if (share is None) != (tuned is None):
        raise UsageError(
            "--target-keep SHARE and --tune MEASURES go together: --target-keep 0.31 --tune 'motion_px_s>=,sharpness>='"
        )
    keep, columns = dict(keep), dataset.plan.recipe.measure.columns
    for rule in rules:
        keep = suppose(keep, rule, columns)
    axes = parse_axes(tuned, keep, columns) if tuned is not None else []
    both = (dataset.plan.recipe.keep, keep)
    named = {column for kept in both for rule in parse_rules(kept, columns) for column in rule.columns}
    with measures(dataset, named, say) as connection:

        def judge() -> WhatIf:
            found = tune(connection, keep, axes, target_share=share, columns=columns) if share is not None else None
            report = what_if(connection, dataset.plan, found.keep if found else keep)
            return replace(report, tuned=found.found if found else None)

        limit_s = longest_s(dataset.root)
        return within(connection, judge, limit_s=limit_s, said=TOO_LONG.format(limit_s))
