"""How a dataset's clip durations and keep rates stand beside published ones."""

from __future__ import annotations

from typing import Any

from hdvg.dataset.manifest import Manifest
from hdvg.dataset.plan import Plan
from hdvg.published.figures import (
    DURATION_BINS,
    FIGURE_DURATIONS,
    KEEP_RATES,
    OVERALL,
    SAMPLE_DURATIONS,
    SAMPLE_MEAN_S,
    SAMPLE_MEDIAN_S,
    KeepRate,
)


def durations(manifest: Manifest) -> list[dict[str, Any]]:
    """Shares of all clips and of the kept ones by duration, and mean and median seconds, beside HD-VG-130M's."""
    bins = ", ".join(
        f'avg((duration_s >= {least}{"" if most is None else f" and duration_s < {most}"})::int) as "{name}"'
        for name, (least, most) in DURATION_BINS.items()
    )
    middle = 'avg(duration_s) as "mean s", median(duration_s) as "median s"'
    clips = "(select duration_s, keep from measured join verdicts using (video_id, clip_id))"
    (every,) = manifest.rows(f"select {bins}, {middle} from {clips}")
    (kept,) = manifest.rows(f"select {bins}, {middle} from {clips} where keep")
    sample = {**SAMPLE_DURATIONS, "mean s": SAMPLE_MEAN_S, "median s": SAMPLE_MEDIAN_S}
    return [
        {"duration": name, "clips": every[name], "kept": kept[name]}
        | {"hd_vg_figure": FIGURE_DURATIONS.get(name), "hd_vg_sample": sample[name]}
        for name in every
    ]


def keep_rates(manifest: Manifest, plan: Plan) -> list[dict[str, Any]]:
    """For each rule, the share of clips that pass it, of those for which it can be decided; then for all rules, of all clips.

    Beside each, one row for every published rate of rules on such columns; without one, a row without `published`.
    """
    rules = plan.recipe.rules
    tests = [f"avg(({rule.sql(plan.quantiles)})::int), count({rule.sql(plan.quantiles)})" for rule in rules]
    counts = manifest.connection.execute(f"select {', '.join([*tests, 'count(*)'])} from measured").fetchall()[0]
    rows: list[dict[str, Any]] = []
    for number, rule in enumerate(rules):
        beside = [rate for rate in KEEP_RATES if rate.columns & set(rule.columns)]
        keeps = {"keeps": counts[2 * number], "clips": counts[2 * number + 1]}
        rows += _rows({"rule": rule.name, "asks": rule.text} | keeps, beside)
    share = manifest.one("select avg(keep::int) from verdicts")
    return rows + _rows({"rule": "all rules", "asks": None, "keeps": share, "clips": counts[-1]}, OVERALL)


def _rows(row: dict[str, Any], beside: tuple[KeepRate, ...] | list[KeepRate]) -> list[dict[str, Any]]:
    if not beside:
        return [row | {"published": None, "of": None}]
    return [row | {"published": rate.share, "of": rate.of} for rate in beside]
