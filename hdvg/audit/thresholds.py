"""Suggest a rule's threshold with which few kept clips have its fault, tested on an audit's answers (Learn then Test, Angelopoulos 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log

import numpy as np

from hdvg.audit.bounds import binomial_tail
from hdvg.audit.draw import UNTIL
from hdvg.audit.results import grouped
from hdvg.audit.sitting import Row, Sitting
from hdvg.audit.strata import Values, proportional
from hdvg.audit.topics import bounded
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.tables import write_rows
from hdvg.errors import UsageError

RISK = 0.1
"""How often a suggestion may be wrong."""
SUGGESTED = "suggest:"
"""Before a rule's name: what stands for a question where its answers were used for a suggestion."""


@dataclass(frozen=True)
class Suggestion:
    """A threshold of a rule; null where no one could be shown to be safe enough."""

    rule: str
    measure: str
    bound: str
    """`<=` or `>=`."""
    threshold: float | None
    most: float
    """Share of the clips within the threshold that may have the fault."""
    answers: int
    errors_within: int
    fresh: bool
    """Whether nothing was chosen by these answers before."""

    @property
    def sentence(self) -> str:
        """For people."""
        if self.threshold is None:
            return f"{self.rule}: no threshold of {self.measure} is shown to keep faults at or below {self.most:.1%}; more answers may"
        how = (
            f"holds with {1 - RISK:.0%}, tested on answers that nothing was chosen by"
            if self.fresh
            else "chosen on the same answers as an earlier choice: no promise"
        )
        return f"{self.rule}: {self.measure} {self.bound} {self.threshold:.6g} keeps faults at or below {self.most:.1%} ({how})"


def suggest(dataset: Dataset, sitting: Sitting, name: str, *, most: float, author: str) -> Suggestion:
    """The loosest threshold of a rule with which at most the share `most` of the clips within has its fault, as far as the rule goes.

    Candidates are tried from the strict end, each by an exact binomial test on clips that are as likely as any other, and the
    first that fails ends it. It is noted that the answers were used. Raises UsageError for a rule that bounds no measure on one
    side, or of which the audit did not ask.
    """
    rule = next((bounded(rule) for rule in dataset.plan.recipe.rules if rule.name == name), None)
    if not sitting.has_ended:
        raise UsageError("the audit goes on: a threshold is suggested once it has ended")
    if rule is None or rule.column is None or len(rule.bounds) != 1:
        raise UsageError(f"--suggest {name}: no rule with one bound on one measure")
    values, faults = _fair(sitting, name)
    if not len(values):
        raise UsageError(f"--suggest {name}: the audit {sitting.audit} has no answers about it that can be used")
    is_high = rule.high is not None
    place = _safe(values if is_high else -values, faults, most)
    threshold = None if place is None else float(place if is_high else -place)
    used = f"{SUGGESTED}{name}"
    fresh = used not in sitting.uses
    write_rows(
        dataset.store, "answers", [{"audit": sitting.audit, "question": used, "author": author, "answer": "yes"}]
    )
    within = np.zeros(0, bool) if threshold is None else (values <= threshold if is_high else values >= threshold)
    errors = 0 if threshold is None else int(faults[within].sum())
    return Suggestion(name, rule.column, "<=" if is_high else ">=", threshold, most, len(values), errors, fresh)


def _fair(sitting: Sitting, name: str) -> tuple[Values, np.ndarray]:
    """Values and faults of clips of both sides, each clip as likely as any other: of the side that was asked about more
    often for its size, only so many answers as of the other."""
    turn = int(sitting.audit[-4:], 16) / 16**4
    of_rule = [row for row in sitting.questions if row["topic"] == name]
    parts = [_part(sitting, [row for row in of_rule if row["side"] == side], turn) for side in ("kept", "dropped")]
    sides = [(clips, rows) for clips, rows in parts if clips]
    if not sides or any(not rows for _, rows in sides):
        return np.zeros(0), np.zeros(0, bool)
    rate = min(len(rows) / clips for clips, rows in sides)
    chosen = [row for clips, rows in sides for row in rows[: ceil(rate * clips)]]
    known = [row for row in chosen if row["value"] is not None]
    faults = [(sitting.answer(row["question"]) == "yes") for row in known]
    return np.array([row["value"] for row in known], np.float64), np.array(faults, bool)


def _part(sitting: Sitting, rows: Sequence[Row], turn: float) -> tuple[int, list[Row]]:
    """Clips of a side, and its rows that make up the proportional part, in the audit's order."""
    if not rows:
        return 0, []
    strata, answers = grouped(sitting, rows)
    if rows[0]["ahead"].startswith(UNTIL) or not all(answers):
        return int(strata.sizes.sum()), []
    counts = proportional(strata.sizes, np.array([len(group) for group in answers], np.int64), turn)
    left = dict(zip(sorted({row["stratum"] for row in rows}), counts.tolist(), strict=True))
    taken = []
    for row in rows:
        if left[row["stratum"]] and sitting.answer(row["question"]) is not None:
            left[row["stratum"]] -= 1
            taken.append(row)
    return int(strata.sizes.sum()), taken


def _safe(values: Values, faults: np.ndarray, most: float) -> float | None:
    """The largest value up to which faults are shown to be at most that share; None if none is."""
    order = np.argsort(values, kind="stable")
    needed = ceil(log(RISK) / log(1 - most)) if 0 < most < 1 else len(values)
    found = None
    seen = np.cumsum(faults[order])
    ends = np.flatnonzero(np.append(np.diff(values[order]) > 0, True))
    for end in ends[ends + 1 >= needed]:
        if binomial_tail(int(seen[end]), int(end) + 1, most) > RISK:
            break
        found = float(values[order][end])
    return found
