"""Explain one clip: where it came from, every measure, every rule with its margin, the verdict and its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from hdvg.config.rules import Quantiles, Rule
from hdvg.dataset.dataset import Dataset
from hdvg.errors import UsageError
from schemas.clips import GIVEN_SPAN
from schemas.measures import ALL_MEASURED

Row = dict[str, Any]


@dataclass(frozen=True)
class RuleResult:
    """What a rule asks of the clip, its measure's value, and whether it is passed: None where the measure is missing.

    `margin`: how far the value lies inside (positive) or outside (negative) the nearer bound, in the measure's unit.
    """

    rule: str
    asks: str
    value: Any
    threshold: Any
    margin: float | None
    passes: bool | None


@dataclass(frozen=True)
class Explanation:
    """All that is known of one clip: dicts from names of columns to values."""

    clip_id: str
    verdict: Literal["kept", "dropped"]
    reasons: list[str]
    rules: list[RuleResult]
    measures: Row
    """Those that were taken."""
    span: Row
    given: Row
    """What a published set says of the clip; nothing of a shot that was found here."""
    caption: Row
    captions: list[Row]
    clip: Row
    failures: list[Row]
    video: Row
    recipe: str


def explain(dataset: Dataset, clip_id: str, *, unit: str | None = None) -> Explanation:
    """All that is known of the clip whose id starts with `clip_id`.

    A rule's margin is how far its value lies inside (positive) or outside (negative) the nearer bound, in the measure's unit;
    `passes` is None where a measure is missing: it was not taken of a clip that was dropped before, or cannot be known.
    `unit`, where it is known, spares reading all others. Raises UsageError if no clip or several have such an id.
    """
    with dataset.manifest(unit=unit) as manifest:
        found = manifest.rows("select * from dataset where starts_with(clip_id, ?) limit 3", [clip_id])
        if len(found) != 1:
            what = "no clip" if not found else "several clips"
            raise UsageError(
                f'{what} with an id that starts with {clip_id!r}; ids: hdvg query … "select clip_id from clips"'
            )
        row = found[0]
        rules, quantiles = dataset.plan.recipe.rules, dataset.plan.quantiles
        asked = "".join(f", ({rule.sql(quantiles)}) as pass_{place}" for place, rule in enumerate(rules))
        (judged,) = manifest.rows(f"select clip_id{asked} from measured where clip_id = ?", [row["clip_id"]])
        video = manifest.rows("select * from videos where video_id = ?", [row["video_id"]])[0]
        texts = manifest.rows(
            "select writer, kind, text, captioner, model, best, sound, similarity, agreement from captions "
            "where clip_id = ? order by best desc, kind, writer",
            [row["clip_id"]],
        )
        trouble = manifest.rows("select stage, status, reason, detail from failures where key = ?", [row["clip_id"]])
    own = [field for one in dataset.plan.recipe.measure.taken if one.is_own for field in one.fields()]
    span = ("time_base", "start_pts", "end_pts", "start_frame", "end_frame", "n_frames", "start_s", "end_s")
    return Explanation(
        clip_id=row["clip_id"],
        verdict="kept" if row["keep"] else "dropped",
        reasons=row["reasons"],
        rules=[_say(rule, row, judged[f"pass_{place}"], quantiles) for place, rule in enumerate(rules)],
        measures={
            field.name: row[field.name]
            for field in (*ALL_MEASURED, *own)
            if not pa.types.is_list(field.type) and row[field.name] is not None
        },
        span={name: row[name] for name in span},
        given={field.name: row[field.name] for field in GIVEN_SPAN if row["given_id"] is not None},
        caption={name: row[name] for name in ("caption", "captioner", "model")},
        captions=texts,
        clip={
            name: row[name]
            for name in ("cut_status", "clip_sha256", "clip_bytes", "clip_width", "clip_height", "span_id", "partial")
        },
        failures=trouble,
        video={
            name: video[name]
            for name in (
                *("video_id", "source", "title", "licence", "sha256", "fetched_at", "yt_dlp_version"),
                *("format_id", "format_choice", "tools", "fetched_ranges"),
            )
        },
        recipe=dataset.plan.recipe.name,
    )


def _say(rule: Rule, row: dict[str, Any], passes: bool | None, quantiles: Quantiles) -> RuleResult:
    value = None if rule.column is None else row[rule.column]
    threshold = [bound.value(quantiles) for bound in rule.bounds]
    return RuleResult(
        rule=rule.name,
        asks=rule.text,
        value={name: row[name] for name in rule.columns} if rule.column is None else value,
        threshold=threshold[0] if len(threshold) == 1 else threshold or None,
        margin=rule.margin(value, quantiles),
        passes=passes,
    )
