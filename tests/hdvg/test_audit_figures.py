"""The audit's intervals hold the truth as often as they say, and are narrower than plain sampling's where predictions are good."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hdvg.audit.bounds import anytime, binomial_tail, exact, wilson
from hdvg.audit.estimate import Strata, one
from hdvg.audit.simulate import Setting, settings, simulate, summary
from hdvg.audit.strata import allocate, by_rank, proportional, stratify

CORNERS = [
    Setting(errors, rho, blind)
    for errors, rho, blind in ((0.01, 0.8, 0.3), (0.02, 0.8, 0.3), (0.05, 0.0, 0.0), (0.05, 0.8, 0.3), (0.1, 0.55, 0.0), (0.1, 0.8, 0.3))
]  # fmt: skip


def check(figures: dict[str, float]) -> None:
    assert figures["audit_coverage"] >= 0.93
    assert figures["audit_above"] <= 0.04
    assert figures["audit_wider_where_useless"] <= 1.1
    assert figures["audit_narrower"] >= 1.4


def test_the_hardest_settings_are_covered():
    check(summary(list(simulate(2000, CORNERS))))


@pytest.mark.slow
def test_all_settings_are_covered():
    check(summary(list(simulate(2000, settings()))))


def test_without_shrinking_and_the_exact_interval_the_simulation_would_say_so(monkeypatch):
    monkeypatch.setattr("hdvg.audit.estimate.FEW", 0)
    monkeypatch.setattr("hdvg.audit.estimate.UNSEEN", 0.0)
    monkeypatch.setattr("hdvg.audit.estimate.WEIGHT", 0.0)
    found = summary(list(simulate(1000, CORNERS[:2])))
    assert found["audit_coverage"] < 0.93


def test_exact_bounds_are_where_tails_are_two_and_a_half_percent():
    low, high = exact(3, 250, 10**7)
    assert binomial_tail(3, 250, high) == pytest.approx(0.025, abs=1e-5)
    assert 1 - binomial_tail(2, 250, low) == pytest.approx(0.025, abs=1e-5)
    assert exact(0, 100, 10**7)[1] == pytest.approx(1 - 0.025 ** (1 / 100), abs=1e-5)
    assert exact(2, 5, 5) == (0.4, 0.4)
    one_of_few = exact(1, 4, 10)
    assert one_of_few[0] == 0.1
    assert one_of_few[1] <= 0.7  # 1 of 4 is an error: 1 to 7 of 10
    assert exact(99, 100, 1000) == pytest.approx(tuple(1 - end for end in reversed(exact(1, 100, 1000))))


def test_exact_bounds_of_a_small_pool_cover_whatever_its_errors():
    rng = np.random.default_rng(1)
    for errors in (0, 1, 3, 10, 20, 39, 40):
        found = rng.hypergeometric(errors, 40 - errors, 15, 2000)
        held = [low <= errors / 40 <= high for low, high in (exact(int(count), 15, 40) for count in found)]
        assert np.mean(held) >= 0.95


def test_wilson_is_the_textbook_s():
    low, high = wilson(np.array([0.1]), np.array([50.0]))
    assert (low[0], high[0]) == (pytest.approx(0.0434753, abs=1e-4), pytest.approx(0.2136023, abs=1e-4))


def test_anytime_bounds_hold_at_every_length_at_once():
    rng = np.random.default_rng(2)
    misses = 0
    for _ in range(60):
        values = (rng.random(120) < 0.1) * 1.5
        misses += any(not low <= 0.15 <= high for low, high in (anytime(values[:n], 1.8) for n in range(10, 121, 10)))
    assert misses / 60 <= 0.1  # 5 %, and three standard errors below 15 %
    low, high = anytime((rng.random(1500) < 0.1).astype(float), 1.0)
    assert high - low < 0.08


def test_groups_are_at_most_five_and_all_clicks_are_used():
    predicted = by_rank(np.random.default_rng(3).random(5000))
    group = stratify(predicted)
    sizes = np.bincount(group)
    assert len(sizes) == 5
    assert predicted[group == 4].min() >= predicted[group == 0].max()
    counts = allocate(sizes, 200)
    assert counts.sum() == 200
    assert counts.min() >= 20 * 0.9  # half the clicks are the same for all
    assert len(np.bincount(stratify(np.full(100, 0.1)))) == 1
    assert allocate(np.array([3, 400]), 40).tolist() == [3, 37]


def test_in_the_proportional_part_every_clip_is_as_likely():
    sizes, asked = np.array([700, 200, 100]), np.array([55, 20, 15])
    parts = np.array([proportional(sizes, asked, turn) for turn in np.linspace(0, 1, 501)[:-1]])
    assert (parts <= asked).all()
    chances = parts.mean(0) / sizes
    assert np.allclose(chances, chances[0], rtol=0.02)
    assert parts[0].sum() > 70  # most of the answers


def test_what_was_looked_at_as_a_whole_is_known_exactly():
    strata = Strata(np.array([2, 3]), np.array([0.1, 0.2]))
    assert one(strata, [[True, False], [False, False, False]], 0.5) == (0.2, 0.2, 0.2, "all")


def test_a_clip_without_a_number_is_predicted_as_the_mean():
    predicted = by_rank(np.array([math.nan, 1.0, 2.0, 3.0]))
    assert predicted[0] == 0.05
    assert predicted[1] < predicted[2] < predicted[3]
