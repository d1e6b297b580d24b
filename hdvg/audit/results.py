"""What ended audits say: two rates a rule with their intervals, and how far people agree; for people, the card, Croissant and the report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hdvg.audit.bounds import anytime
from hdvg.audit.draw import UNTIL
from hdvg.audit.estimate import How, Strata, one
from hdvg.audit.sitting import Row, Sitting, sittings
from hdvg.dataset.dataset import Dataset

DOUBLES = 50
"""Questions that two people answered, from which their agreement is told."""
SAMPLES = 2000

WHAT = {
    ("cut", "kept"): "kept clips whose cut is not clean",
    ("caption", "kept"): "kept clips whose caption does not fit",
}


@dataclass(frozen=True)
class Rate:
    """One rate. `share`, `low` and `high` are null where a group of clips has no answer yet."""

    audit: str
    topic: str
    side: str
    what: str
    """In words, such as `clips that watermark dropped and should not have`."""
    rule: str | None
    clips: int
    asked: int
    """Answers that are yes or no."""
    unsure: int
    errors: int
    share: float | None
    low: float | None
    high: float | None
    how: How | None
    is_current: bool
    """Whether the dataset's rule is still the one that was audited."""

    @property
    def sentence(self) -> str:
        """For a card: the rate with its interval."""
        if self.share is None:
            return f"{self.what}: not enough answers ({self.asked})"
        ways = {"all": "every one was looked at", "anytime": "stopped when narrow enough"}
        how = ways.get(str(self.how), f"95 % interval {_percent(self.low)} to {_percent(self.high)}, {self.how}")
        if self.how == "anytime":
            how = f"95 % interval {_percent(self.low)} to {_percent(self.high)}, valid at any stop"
        old = "" if self.is_current else "; of a rule that has changed since"
        return f"{self.what}: {_percent(self.share)} ({how}; {self.asked} of {self.clips} clips asked about{old})"


@dataclass(frozen=True)
class Agreement:
    """Cohen's kappa of pairs of people, with its bootstrap interval; null below `DOUBLES` questions that two answered."""

    doubles: int
    agreed: float | None
    kappa: float | None
    low: float | None
    high: float | None


def results(folder: Dataset) -> list[dict[str, Any]]:
    """The rates of every topic and side, each from the newest audit that has ended: `Rate` as a table of JSON, with `sentence`."""
    newest: dict[tuple[str, str], Rate] = {}
    for sitting in sittings(folder):
        if sitting.has_ended:
            newest |= {(rate.topic, rate.side): rate for rate in rates(folder, sitting) if rate.asked}
    return [{**asdict(rate), "sentence": rate.sentence} for rate in newest.values()]


def rates(dataset: Dataset, sitting: Sitting) -> list[Rate]:
    """The rates of an audit, whether it has ended or not: show them only if it has."""
    groups: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in sitting.questions:
        groups[row["topic"], row["side"]].append(row)
    rules = dataset.plan.recipe.keep
    return [_rate(sitting, rows, rules.get(rows[0]["topic"])) for rows in groups.values()]


def standing(dataset: Dataset, sitting: Sitting, author: str) -> dict[str, Any]:
    """How far an audit has come, without its rates; `enough`: whether it was to go on until intervals are so narrow, and they are."""
    ahead = sitting.questions[0]["ahead"]
    enough = False
    if ahead.startswith(UNTIL):
        widths = [(rate.high or 1.0) - (rate.low or 0.0) for rate in rates(dataset, sitting)]
        enough = max(widths) <= float(ahead.removeprefix(UNTIL))
    return {
        "audit": sitting.audit,
        "has_ended": sitting.has_ended,
        "questions": len(sitting.questions),
        "answered": sitting.answered,
        "left": len(sitting.left(author)),
        "enough": enough,
    }


def _rate(sitting: Sitting, rows: Sequence[Row], rule: str | None) -> Rate:
    first = rows[0]
    strata, answers = grouped(sitting, rows)
    said = [word for group in answers for word in group]
    given = [sitting.answers.get(row["question"], {}) for row in rows]
    interval: tuple[float, float, float, How] | None = None
    if first["ahead"].startswith(UNTIL) and said:
        interval = _anytime(sitting, rows, strata)
    elif all(answers):
        interval = one(strata, answers, int(sitting.audit[-4:], 16) / 16**4)
    share, low, high, how = interval or (None, None, None, None)
    return Rate(
        audit=sitting.audit,
        topic=first["topic"],
        side=first["side"],
        what=_what(first),
        rule=first["rule"],
        clips=int(strata.sizes.sum()),
        asked=len(said),
        unsure=sum(bool(words) and not {"yes", "no"} & set(words.values()) for words in given),
        errors=sum(said),
        share=share,
        low=low,
        high=high,
        how=how,
        is_current=first["rule"] == rule,
    )


def grouped(sitting: Sitting, rows: Sequence[Row]) -> tuple[Strata, list[list[bool]]]:
    """The groups of a rate, and of each whether the answers, in order, say that hdvg is wrong."""
    numbers = sorted({row["stratum"] for row in rows})
    answers: dict[int, list[bool]] = {number: [] for number in numbers}
    of: dict[int, Row] = {}
    for row in rows:
        of[row["stratum"]] = row
        word = sitting.answer(row["question"])
        if word is not None:
            answers[row["stratum"]].append(word == row["wrong"])
    sizes = np.array([of[number]["stratum_clips"] for number in numbers], np.int64)
    predicted = np.array([of[number]["predicted"] for number in numbers], np.float64)
    return Strata(sizes, predicted), [answers[number] for number in numbers]


def _anytime(sitting: Sitting, rows: Sequence[Row], strata: Strata) -> tuple[float, float, float, How]:
    """From draws one by one: each error counts as much as its group is larger than its chance to be drawn."""
    numbers = sorted({row["stratum"] for row in rows})
    weights = strata.share / ((strata.share + 1 / len(numbers)) / 2)
    words = [(row, sitting.answer(row["question"])) for row in rows]
    values = np.array([weights[numbers.index(row["stratum"])] * (word == row["wrong"]) for row, word in words if word])
    low, high = anytime(values, float(weights.max()))
    share = min(float(values.mean()), 1.0)
    return share, min(low, share), max(min(high, 1.0), share), "anytime"


def agreement(sitting: Sitting) -> Agreement:
    """Of the first two people who answered each question by yes or no."""
    pairs = []
    for given in sitting.answers.values():
        words = [word for _, word in sorted(given.items()) if word in ("yes", "no")]
        if len(words) > 1:
            pairs.append((words[0] == "yes", words[1] == "yes"))
    if len(pairs) < DOUBLES:
        return Agreement(len(pairs), None, None, None, None)
    table = np.array(pairs)
    draws = np.random.default_rng(0).integers(len(pairs), size=(SAMPLES, len(pairs)))
    spread = np.array([_kappa(table[draw]) for draw in draws])
    low, high = np.nanquantile(spread, [0.025, 0.975])
    return Agreement(len(pairs), float((table[:, 0] == table[:, 1]).mean()), _kappa(table), float(low), float(high))


def _kappa(pairs: np.ndarray) -> float:
    first, second = pairs.mean(0)
    chance = first * second + (1 - first) * (1 - second)
    seen = (pairs[:, 0] == pairs[:, 1]).mean()
    return float((seen - chance) / (1 - chance)) if chance < 1 else 1.0


def _what(row: Row) -> str:
    told = WHAT.get((row["topic"], row["side"]))
    if told:
        return told
    if row["side"] == "dropped":
        return f"clips that `{row['topic']}` dropped wrongly"
    return f"kept clips that `{row['topic']}` should have dropped"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
