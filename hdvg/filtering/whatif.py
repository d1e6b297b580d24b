"""What a dataset's verdicts would be by other rules: counts, overlaps and the clips near a threshold; nothing is changed.

One pass over the measures groups clips by which rules they pass, break, or cannot be decided; all counts follow from the groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from hdvg.config.rules import Quantiles, Rule, parse_rules
from hdvg.dataset.plan import Plan
from hdvg.dataset.snapshot import SOURCE
from hdvg.filtering.borderline import nearest_clips
from hdvg.filtering.edit import changes
from hdvg.filtering.pool import resolve_quantiles
from schemas.measures import POOL, SPLIT


@dataclass(frozen=True)
class Judge:
    """Rules with the values of their quantiles."""

    rules: tuple[Rule, ...]
    quantiles: Quantiles

    @property
    def tests(self) -> list[str]:
        """SQL of every rule: true, false, or null."""
        return [rule.sql(self.quantiles) for rule in self.rules]


@dataclass(frozen=True)
class Total:
    """Clips, their share of all, 0-1, and hours."""

    clips: int
    share: float
    hours: float


@dataclass(frozen=True)
class ToMeasure(Total):
    """Clips that no rule drops yet and of which a measure is still to be taken; `measures`: how many want each."""

    measures: dict[str, int]


@dataclass(frozen=True)
class RuleEffect:
    """What a rule does, in clips. `was`: its text now, None if there is no such rule; `threshold`: its bounds as numbers."""

    rule: str
    asks: str
    was: str | None
    threshold: list[float | None]
    breaks: int
    share: float
    """Of all clips, that break it."""
    alone: int
    """Clips that break it and no other rule."""
    alone_so_far: int
    """The same, of clips of which other rules cannot be judged yet."""
    unmeasured: int
    not_taken: int
    """Of those, clips of which the measure was not tried."""


@dataclass(frozen=True)
class WhatIf:
    """What verdicts would be by other rules, beside what they are."""

    recipe: str
    all: Total
    before: Total
    after: Total
    newly_kept: Total
    newly_dropped: Total
    to_measure: ToMeasure
    rules: list[RuleEffect]
    overlap: list[list[int]]
    """[rules, rules]: clips that break both; on the diagonal, clips that break the rule."""
    dropped: list[dict[str, Any]]
    """`reason` and `clips`, the most frequent first."""
    nearest: list[dict[str, Any]]
    """Clips near a threshold: `clip_id`, `rule`, `value`, `margin`, `distance`, `kept`, `kept_before`."""
    sets: list[str]
    """What `hdvg filter --set` makes it so with."""
    notes: list[str]
    tuned: dict[str, Any] | None = None
    """Which thresholds were found for a keep rate, if one was asked for."""


@dataclass(frozen=True)
class Groups:
    """Clips that agree in every test and in which measures were taken, counted."""

    tests: dict[str, NDArray[np.int8]]
    """By its SQL, for each group: 1 true, 0 false, -1 not known."""
    taken: dict[str, NDArray[np.bool_]]
    """By keyframe measure (or pool), for each group: whether it was taken."""
    clips: NDArray[np.int64]
    hours: NDArray[np.float64]

    def outcomes(self, judge: Judge) -> NDArray[np.int8]:
        """[groups, rules]: 1 passes, 0 breaks, -1 not known."""
        return np.stack([self.tests[sql] for sql in judge.tests], 1) if judge.rules else self._nothing()

    def not_taken(self, judge: Judge) -> NDArray[np.bool_]:
        """[groups, rules]: whether a measure that the rule needs was not taken; a quantile over no clips is none that was."""
        columns = []
        for rule in judge.rules:
            homes = [~self.taken[home] for home in rule.homes - {SPLIT}]
            unknown = any(bound.value(judge.quantiles) is None for bound in rule.quantiles)
            columns.append(np.logical_or.reduce([np.full(len(self.clips), unknown), *homes]))
        return np.stack(columns, 1) if columns else self._nothing().astype(bool)

    def count(self, where: NDArray[np.bool_]) -> int:
        """Clips of the groups."""
        return int(self.clips[where].sum())

    def total(self, where: NDArray[np.bool_]) -> Total:
        """Of the groups."""
        clips, all_clips = self.count(where), int(self.clips.sum())
        return Total(clips, clips / max(all_clips, 1), float(self.hours[where].sum()))

    def _nothing(self) -> NDArray[np.int8]:
        return np.zeros((len(self.clips), 0), np.int8)


Grouping = Callable[[duckdb.DuckDBPyConnection, Sequence[Judge]], Groups]


def what_if(
    connection: duckdb.DuckDBPyConnection,
    plan: Plan,
    keep: Mapping[str, str],
    *,
    quantiles: Quantiles | None = None,
    grouped: Grouping | None = None,
    nearest: bool = True,
) -> WhatIf:
    """What verdicts would be by the rules `keep`, beside what they are.

    `connection` has the table `SOURCE`. Quantiles are over the clips that pass all other rules, as when rules are changed.
    They are worked out where `quantiles` does not bring them. `grouped`: another way to what `group` gives.
    Without `nearest` no clips near a threshold are looked for.
    """
    rules = parse_rules(keep, plan.recipe.measure.columns)
    before = Judge(plan.recipe.rules, plan.quantiles)
    after = Judge(rules, resolve_quantiles(rules, connection, SOURCE) if quantiles is None else quantiles)
    groups = (grouped or group)(connection, [before, after])
    kept_before, kept = ((groups.outcomes(judge) == 1).all(1) for judge in (before, after))
    everything = np.ones(len(groups.clips), bool)
    return WhatIf(
        recipe=plan.recipe.name,
        all=groups.total(everything),
        before=groups.total(kept_before),
        after=groups.total(kept),
        newly_kept=groups.total(kept & ~kept_before),
        newly_dropped=groups.total(kept_before & ~kept),
        to_measure=_to_measure(groups, after),
        rules=_rules(groups, after, plan.recipe.keep),
        overlap=_overlap(groups, after),
        dropped=_reasons(groups, after),
        nearest=nearest_clips(connection, after.rules, after.quantiles, before=before.tests) if nearest else [],
        sets=changes(plan.recipe.keep, keep),
        notes=_notes(before, after),
    )


def group(connection: duckdb.DuckDBPyConnection, judges: Sequence[Judge]) -> Groups:
    """Count the clips of the table `SOURCE` by what all rules of the judges say of them, in one pass."""
    tests = list(dict.fromkeys(sql for judge in judges for sql in judge.tests))
    homes = homes_of(judges)
    keys = [f"{sql} as test{number}" for number, sql in enumerate(tests)]
    keys += [f"{home}_status is not null as taken_{home}" for home in homes]
    rows = connection.execute(
        f"select * exclude (length_s), count(*) as clips, coalesce(sum(length_s), 0.0) / 3600 as hours "
        f"from (select {', '.join([*keys, 'duration_s as length_s'])} from {SOURCE}) group by all"
    ).fetchnumpy()
    return Groups(
        {
            sql: np.ma.filled(np.ma.asarray(rows[f"test{number}"], dtype=np.int8), -1)
            for number, sql in enumerate(tests)
        },
        {home: np.asarray(rows[f"taken_{home}"], bool) for home in homes},
        np.asarray(rows["clips"], np.int64),
        np.asarray(rows["hours"], np.float64),
    )


def homes_of(judges: Sequence[Judge]) -> list[str]:
    """What must be taken beside the pass for all rules to be judged."""
    return sorted({home for judge in judges for rule in judge.rules for home in rule.homes} - {SPLIT})


def _rules(groups: Groups, judge: Judge, known: Mapping[str, str]) -> list[RuleEffect]:
    """What each rule does: the clips that break it, those that nothing but it drops, those for which it cannot be decided."""
    outcomes, not_taken = groups.outcomes(judge), groups.not_taken(judge)
    breaks, unknown = outcomes == 0, outcomes == -1
    only_one, all_known = breaks.sum(1) == 1, ~unknown.any(1)
    effects = []
    for place, rule in enumerate(judge.rules):
        only = breaks[:, place] & only_one
        effects.append(
            RuleEffect(
                rule=rule.name,
                asks=rule.text,
                was=known.get(rule.name),
                threshold=[bound.value(judge.quantiles) for bound in rule.bounds],
                breaks=groups.count(breaks[:, place]),
                share=groups.total(breaks[:, place]).share,
                alone=groups.count(only & all_known),
                alone_so_far=groups.count(only & ~all_known),
                unmeasured=groups.count(unknown[:, place]),
                not_taken=groups.count(unknown[:, place] & not_taken[:, place]),
            )
        )
    return effects


def _overlap(groups: Groups, judge: Judge) -> list[list[int]]:
    """[rules, rules]: clips that break both; on the diagonal, clips that break the rule."""
    breaks = (groups.outcomes(judge) == 0).astype(np.int64)
    both: list[list[int]] = (breaks.T @ (groups.clips[:, None] * breaks)).tolist()
    return both


def _to_measure(groups: Groups, judge: Judge) -> ToMeasure:
    """Clips that no rule drops yet, but of which a measure was not taken: they may be kept once it is."""
    outcomes, not_taken = groups.outcomes(judge), groups.not_taken(judge)
    unknown = outcomes == -1
    open_ = unknown.any(1) & ~(outcomes == 0).any(1) & ~(unknown & ~not_taken).any(1)
    homes = homes_of([judge])
    needs = {
        home: np.logical_or.reduce(
            [unknown[:, place] & ~groups.taken[home] for place, rule in enumerate(judge.rules) if home in rule.homes]
        )
        for home in homes
    }
    counts = {home: groups.count(open_ & need) for home, need in needs.items()}
    total = groups.total(open_)
    wanted = {home: clips for home, clips in counts.items() if clips}
    return ToMeasure(total.clips, total.share, total.hours, wanted)


def _reasons(groups: Groups, judge: Judge) -> list[dict[str, Any]]:
    """Clips by the reasons that `verdicts` would name, as `hdvg status` counts them."""
    outcomes, not_taken = groups.outcomes(judge), groups.not_taken(judge)
    broken, unknown = outcomes == 0, outcomes == -1
    firm = broken | (unknown & ~not_taken)
    waiting = unknown & not_taken & ~firm.any(1, keepdims=True)
    counts = {}
    for place, rule in enumerate(judge.rules):
        counts[rule.name] = groups.count(broken[:, place])
        counts[f"unmeasured:{rule.name}"] = groups.count((unknown & (firm | waiting))[:, place])
    named = sorted(((reason, clips) for reason, clips in counts.items() if clips), key=lambda pair: (-pair[1], pair[0]))
    return [{"reason": reason, "clips": clips} for reason, clips in named]


def _notes(before: Judge, after: Judge) -> list[str]:
    """What the counts leave open."""
    notes = []
    if any(POOL in rule.homes for rule in after.rules) and before.rules != after.rules:
        notes.append(
            "copies and draws are as they were decided under the dataset's own rules; under others another copy may be the best"
        )
    unknown = [
        rule.name for rule in after.rules if any(bound.value(after.quantiles) is None for bound in rule.quantiles)
    ]
    if unknown:
        notes.append(f"{', '.join(unknown)}: no clip passes all rules without quantiles yet, so these are over nothing")
    return notes
