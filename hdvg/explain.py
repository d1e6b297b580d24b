"""Explain one clip: where it came from, every measure, every rule with its margin, the verdict and its files."""

from __future__ import annotations

from typing import Any

from hdvg.dataset import Dataset
from hdvg.errors import UsageError
from hdvg.rules import Rule, active_rules
from schemas.measures import MEASURED


def explain(dataset: Dataset, clip_id: str) -> dict[str, Any]:
    """All that is known of the clip whose id starts with `clip_id`.

    A rule's margin is how far its value lies inside (positive) or outside (negative) the bound, in the measure's unit.
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
        rules = active_rules(dataset.plan.recipe.filter)
        values = [
            manifest.one(f"select {rule.column} from measures where clip_id = ?", [row["clip_id"]]) for rule, _ in rules
        ]
        video = manifest.rows("select * from videos where video_id = ?", [row["video_id"]])[0]
        trouble = manifest.rows("select stage, status, reason, detail from failures where key = ?", [row["clip_id"]])
    span = ("time_base", "start_pts", "end_pts", "start_frame", "end_frame", "n_frames", "start_s", "end_s")
    return {
        "clip_id": row["clip_id"],
        "verdict": "kept" if row["keep"] else "dropped",
        "reasons": row["reasons"],
        "rules": [_say(rule, bound, value) for (rule, bound), value in zip(rules, values, strict=True)],
        "measures": {field.name: row[field.name] for field in MEASURED},
        "span": {name: row[name] for name in span},
        "caption": {name: row[name] for name in ("caption", "captioner", "model")},
        "clip": {name: row[name] for name in ("cut_status", "clip_sha256", "clip_bytes", "clip_width", "clip_height")},
        "failures": trouble,
        "video": {
            name: video[name]
            for name in ("video_id", "source", "title", "licence", "sha256", "fetched_at", "yt_dlp_version", "tools")
        },
        "recipe": dataset.plan.recipe.name,
    }


def _say(rule: Rule, bound: float, value: float | None) -> dict[str, Any]:
    margin = None if value is None else (value - bound if rule.side == "min" else bound - value)
    return {
        "rule": rule.setting,
        "measure": rule.column,
        "value": value,
        "threshold": bound,
        "margin": margin,
        "passes": rule.passes(value, bound),
        "reason": rule.reason,
    }
