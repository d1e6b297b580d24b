"""Explain one clip: where it came from, every measure, every rule with its margin, the verdict and its files."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from hdvg.config.rules import Quantiles, Rule
from hdvg.dataset.dataset import Dataset
from hdvg.errors import UsageError
from schemas.clips import GIVEN_SPAN
from schemas.measures import ALL_MEASURED


def explain(dataset: Dataset, clip_id: str) -> dict[str, Any]:
    """All that is known of the clip whose id starts with `clip_id`.

    A rule's margin is how far its value lies inside (positive) or outside (negative) the nearer bound, in the measure's unit;
    `passes` is None where a measure is missing: it was not taken of a clip that was dropped before, or cannot be known.
    Raises UsageError if no clip or several have such an id.
    """
    with dataset.manifest() as manifest:
        found = manifest.rows("select * from dataset where starts_with(clip_id, ?) limit 3", [clip_id])
        if len(found) != 1:
            what = "no clip" if not found else "several clips"
            raise UsageError(
                f'{what} with an id that starts with {clip_id!r}; ids: hdvg query … "select clip_id from clips"'
            )
        row = found[0]
        rules, quantiles = dataset.plan.recipe.rules, dataset.plan.quantiles
        passes = [
            manifest.one(f"select {rule.sql(quantiles)} from measured where clip_id = ?", [row["clip_id"]])
            for rule in rules
        ]
        video = manifest.rows("select * from videos where video_id = ?", [row["video_id"]])[0]
        texts = manifest.rows(
            "select writer, kind, text, captioner, model, best, sound, similarity, agreement from captions "
            "where clip_id = ? order by best desc, kind, writer",
            [row["clip_id"]],
        )
        trouble = manifest.rows("select stage, status, reason, detail from failures where key = ?", [row["clip_id"]])
    span = ("time_base", "start_pts", "end_pts", "start_frame", "end_frame", "n_frames", "start_s", "end_s")
    return {
        "clip_id": row["clip_id"],
        "verdict": "kept" if row["keep"] else "dropped",
        "reasons": row["reasons"],
        "rules": [_say(rule, row, passed, quantiles) for rule, passed in zip(rules, passes, strict=True)],
        "measures": {
            field.name: row[field.name]
            for field in ALL_MEASURED
            if not pa.types.is_list(field.type) and row[field.name] is not None
        },
        "span": {name: row[name] for name in span},
        "given": {field.name: row[field.name] for field in GIVEN_SPAN if row["given_id"] is not None},
        "caption": {name: row[name] for name in ("caption", "captioner", "model")},
        "captions": texts,
        "clip": {
            name: row[name]
            for name in ("cut_status", "clip_sha256", "clip_bytes", "clip_width", "clip_height", "span_id", "partial")
        },
        "failures": trouble,
        "video": {
            name: video[name]
            for name in (
                *("video_id", "source", "title", "licence", "sha256", "fetched_at", "yt_dlp_version"),
                *("format_id", "format_choice", "tools", "fetched_ranges"),
            )
        },
        "recipe": dataset.plan.recipe.name,
    }


def _say(rule: Rule, row: dict[str, Any], passes: bool | None, quantiles: Quantiles) -> dict[str, Any]:
    value = None if rule.column is None else row[rule.column]
    threshold = [bound.value(quantiles) for bound in rule.bounds]
    return {
        "rule": rule.name,
        "asks": rule.text,
        "value": {name: row[name] for name in rule.columns} if rule.column is None else value,
        "threshold": threshold[0] if len(threshold) == 1 else threshold or None,
        "margin": rule.margin(value, quantiles),
        "passes": passes,
    }
