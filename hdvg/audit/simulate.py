"""Try the estimate on audits with known truth: how often its interval holds it, and how much narrower it is than plain sampling's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hdvg.audit.bounds import exact, wilson
from hdvg.audit.estimate import FEW, Strata, estimate
from hdvg.audit.strata import Counts, Values, allocate, proportional, stratify

CLIPS, CLICKS = 20_000, 300
POPULATIONS = 20
"""Made-up datasets of each setting; each is audited many times."""
ERRORS = (0.01, 0.02, 0.03, 0.05, 0.1)
RHO = (0.0, 0.35, 0.55, 0.7, 0.8)
"""Correlation of prediction and error, before the prediction is blinded."""
BLIND = (0.0, 0.3)
"""Share of the errors that are predicted as if they were none."""
USELESS = 0.55
"""How confident a prediction is that says nothing."""


@dataclass(frozen=True)
class Setting:
    """What is planted."""

    errors: float
    rho: float
    blind: float


@dataclass(frozen=True)
class Tried:
    """What came of many audits of a setting. Widths are means; `plain_width` is that of plain sampling with as many clicks, the
    exact interval below 8 errors too."""

    setting: Setting
    audits: int
    coverage: float
    above: float
    """Share of the audits in which the truth lies above the upper end."""
    width: float
    plain_width: float
    exact: float
    """Share of the audits with the exact interval."""

    @property
    def narrower(self) -> float:
        """Plain sampling's width over this one's."""
        return self.plain_width / self.width


def settings(errors: Sequence[float] = ERRORS, rho: Sequence[float] = RHO) -> list[Setting]:
    """All of them."""
    return [Setting(share, one, blind) for share in errors for one in rho for blind in BLIND]


def simulate(audits: int, which: Sequence[Setting], *, seed: int = 0) -> Iterator[Tried]:
    """Audit each setting so many times."""
    for place, setting in enumerate(which):
        yield _try(setting, audits, np.random.default_rng([seed, place]))


def summary(tried: Sequence[Tried]) -> dict[str, Any]:
    """The figures that are asked of the whole: the least of each over the settings, and the largest of what is to be small."""
    useless = [one for one in tried if one.setting.rho == 0]
    good = [one for one in tried if one.setting.errors >= 0.05 and one.setting.rho >= 0.55 and not one.setting.blind]
    return {
        "audit_coverage": min(one.coverage for one in tried),
        "audit_above": max(one.above for one in tried),
        "audit_wider_where_useless": max((1 / one.narrower for one in useless), default=None),
        "audit_narrower": min((one.narrower for one in good), default=None),
    }


def planted(setting: Setting, rng: np.random.Generator) -> tuple[Values, np.ndarray]:
    """A prediction for each of `CLIPS` clips, and which of them are errors.

    Predictions are Beta numbers that are right on average, spread so that their correlation with the errors is `rho`.
    """
    spread = 1 / (setting.rho or USELESS) ** 2 - 1
    predicted = rng.beta(setting.errors * spread, (1 - setting.errors) * spread, CLIPS)
    wrong = rng.random(CLIPS) < predicted
    if setting.rho == 0:
        predicted = rng.permutation(predicted)
    hidden = rng.permutation(np.flatnonzero(wrong))[: round(setting.blind * wrong.sum())]
    predicted[hidden] = rng.choice(predicted[~wrong], len(hidden))
    return predicted, wrong


def _try(setting: Setting, audits: int, rng: np.random.Generator) -> Tried:
    rows = [_audit(*planted(setting, rng), audits // POPULATIONS, rng) for _ in range(POPULATIONS)]
    means = np.mean(rows, 0)
    return Tried(setting, audits // POPULATIONS * POPULATIONS, *map(float, means))


def _audit(predicted: Values, wrong: np.ndarray, audits: int, rng: np.random.Generator) -> list[float]:
    """Audit one dataset many times: the columns of `Tried` behind `audits`."""
    group = stratify(predicted)
    sizes = np.bincount(group).astype(np.int64)
    errors = np.bincount(group, wrong).astype(np.int64)
    strata = Strata(sizes, np.bincount(group, predicted) / sizes)
    asked = allocate(sizes, CLICKS)
    part = proportional(sizes, asked, float(rng.random()))
    within = rng.hypergeometric(errors, sizes - errors, part, (audits, len(sizes)))
    rest = rng.hypergeometric(errors - within, sizes - errors - (part - within), asked - part)
    made = estimate(strata, asked, within + rest, within, part)
    truth, (low, high) = wrong.mean(), plain(rng.hypergeometric(wrong.sum(), (~wrong).sum(), CLICKS, audits))
    holds = (made.low <= truth) & (truth <= made.high)
    widths = (made.high - made.low).mean(), (high - low).mean()
    return [holds.mean(), (truth > made.high).mean(), *widths, made.is_exact.mean()]


def plain(found: Counts) -> tuple[Values, Values]:
    """The intervals of plain samples of `CLICKS` clips with so many errors: Wilson's, and the exact one below 8 errors."""
    low, high = wilson(found / CLICKS, np.full(len(found), float(CLICKS)))
    for count in range(FEW):
        lower, upper = exact(count, CLICKS, CLIPS)
        low, high = np.where(found == count, lower, low), np.where(found == count, upper, high)
    return low, high
