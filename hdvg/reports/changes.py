"""What a command changed in a dataset: its figures before and after, in at most five lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hdvg.dataset.dataset import Dataset
from hdvg.reports.status import DROPPED, FAILURES, FUNNEL, PENDING

NAMED = 4
"""Reasons, or stages, that a line names; the rest is counted."""


@dataclass(frozen=True)
class Figures:
    """Where a dataset stands: items by step of the funnel, clips by the rule they break, failures, pending items."""

    funnel: dict[str, int] = field(default_factory=dict)
    kept_h: float = 0.0
    dropped: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    pending: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: Dataset) -> Figures:
        """The figures of the dataset as it is now."""
        with dataset.manifest() as manifest:
            manifest.hold("videos", "checked", "verdicts")
            funnel = manifest.rows(FUNNEL)
            failures = manifest.rows(f"select reason, sum(items)::bigint as items from ({FAILURES}) group by reason")
            return cls(
                {row["stage"]: row["items"] for row in funnel},
                next((row["hours"] or 0.0 for row in funnel if row["stage"] == "kept"), 0.0),
                {row["reason"]: row["clips"] for row in manifest.rows(DROPPED)},
                {row["reason"] or "unknown": row["items"] for row in failures},
                {row["stage"]: row["items"] for row in manifest.rows(PENDING)},
            )

    def plain(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"funnel": self.funnel, "dropped": self.dropped, "failures": self.failures, "pending": self.pending}


def changed_lines(before: Figures | None, after: Figures, *, name: str) -> list[str]:
    """At most five lines about the dataset `name`: what is there, with what is new in brackets, and what to do next.

    `before` is None where it is not known: then nothing is called new.
    """
    unchanged = before == after
    before = before or after
    steps = []
    for step, count in after.funnel.items():
        length = _length(after.kept_h) if step == "kept" else ""
        if step != "links":
            steps.append(f"{count} {step}{_brackets(before.funnel.get(step, 0), count, length)}")
    lines = [f"{name}: {', '.join(steps)}" + ("; nothing changed" if unchanged else "")]
    if after.dropped:
        lines.append(f"dropped for: {_counts(before.dropped, after.dropped)}")
    if after.failures:
        lines.append(
            f'failed: {_counts(before.failures, after.failures)}; hdvg query {name} "from failures" says which'
        )
    if after.pending:
        lines.append(f"pending: {_counts({}, after.pending, signed=False)}; to go on: hdvg run {name}")
    return [*lines, f"all figures: hdvg status {name}"]


def _brackets(before: int, now: int, also: str = "") -> str:
    differences = "; ".join(filter(None, [f"{now - before:+d}" if now != before else "", also]))
    return f" ({differences})" if differences else ""


def _length(hours: float) -> str:
    minutes = 60 * hours
    return f"{hours:.1f} h" if hours >= 1 else f"{minutes:.1f} min" if minutes >= 1 else f"{60 * minutes:.1f} s"


def _counts(before: dict[str, int], after: dict[str, int], *, signed: bool = True) -> str:
    """The largest counts by name, with how they differ from those before."""
    ranked = sorted(after.items(), key=lambda pair: -pair[1])
    named = [f"{name} {now}{_brackets(before.get(name, 0), now) if signed else ''}" for name, now in ranked[:NAMED]]
    more = [f"{len(ranked) - NAMED} more"] if len(ranked) > NAMED else []
    return ", ".join(named + more)
