"""A host that throttles is soon asked as often as it accepts, whatever its limit is like: hours of fetches, in simulated time."""

import math
from itertools import pairwise

import pytest

from hdvg.config.fetch import Fetch
from hdvg.sources.hosts import HostGate
from hdvg.sources.hosts.rate import DECREASE, EVIDENCE, GUESS_STEP_PER_S, LEAST_PER_S, LONE, STEP_PER_S, Rate
from tests.sites import Bucket, Clock, Flaky, Window, simulate

LIMITS = {
    "bucket": lambda per_min, says: Bucket(per_min, burst=5, says_when=says),
    "large bucket": lambda per_min, says: Bucket(per_min, burst=per_min, says_when=says),
    "minutes": lambda per_min, says: Window(per_min, says_when=says),
    "no burst": lambda per_min, says: Bucket(per_min, burst=1, says_when=says),
}


def run(site, *, workers=4, until_s=3600.0, **changed):
    clock = Clock()
    gate = HostGate.of(Fetch(per_host=workers, **changed), clock=clock)
    return simulate(site, gate, clock, workers=workers, until_s=until_s), gate


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("says", [True, False], ids=["Retry-After", "bare"])
@pytest.mark.parametrize("per_min", [6, 30, 150])
def test_run_settles_within_a_fifth_of_what_the_host_accepts(limit, says, per_min):
    site = LIMITS[limit](per_min, says)
    seen, _ = run(lambda _: site)
    assert seen.per_min(900, 3600) == pytest.approx(per_min, rel=0.2)
    late = [at for at in seen.throttled if at > 900]
    assert len(late) <= 0.1 * 45 * per_min
    assert not seen.turned_away


def test_rate_follows_a_host_that_accepts_more_later_and_then_less():
    sites = [Bucket(30, 5), Bucket(150, 5), Bucket(15, 5)]
    seen, _ = run(lambda s: sites[int(s // 3600)], until_s=3 * 3600)
    for number, site in enumerate(sites):
        end = 3600 * (number + 1)
        assert seen.per_min(end - 1200, end) == pytest.approx(site.per_min, rel=0.2)


def test_host_is_found_also_by_downloads_that_take_minutes():
    site = Bucket(6, 5)
    clock = Clock()
    gate = HostGate.of(Fetch(per_host=16), clock=clock)
    seen = simulate(lambda _: site, gate, clock, workers=16, takes_s=120, until_s=7200)
    assert seen.per_min(2400, 7200) == pytest.approx(6, rel=0.2)


def test_host_without_a_limit_is_never_held_back():
    seen, gate = run(lambda _: Flaky(0.0), until_s=600)
    assert seen.per_min(0, 600) == pytest.approx(240, rel=0.05)  # four at a time, a second each
    assert gate.figures()["site"]["limit_per_min"] is None


def test_a_refusal_now_and_then_without_a_word_slows_a_host_little():
    site = Flaky(0.01)
    seen, _ = run(lambda _: site)
    assert seen.per_min(900, 3600) > 0.6 * 240
    assert seen.throttled


def test_interval_and_concurrency_hold_where_the_rate_is_higher():
    site = Bucket(300, 5)
    seen, _ = run(lambda _: site, until_s=600, host_interval_s=2.0)
    assert seen.per_min(60, 600) == pytest.approx(30, rel=0.05)
    assert not seen.throttled


# The rate alone, by hand


def accepted(rate: Rate, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        rate.accepted(now)


def test_first_refusal_sets_the_rate_to_what_was_accepted():
    rate = Rate()
    accepted(rate, 20)
    assert (rate.per_s, rate.wait_s(10.0)) == (math.inf, 0.0)
    rate.refused(10.0, certain=True)
    assert rate.per_s == 2.0
    assert rate.wait_s(10.0) == 0.5


def test_time_before_the_first_answer_does_not_count():
    rate = Rate()
    accepted(rate, 20, now=100.0)
    rate.refused(110.0, certain=True)
    assert rate.per_s == 2.0
    rate.restart()
    accepted(rate, 5, now=9000.0)
    rate.refused(9010.0, certain=True)
    assert rate.per_s == 0.5


def test_later_refusals_take_a_fifth_of_a_rate_that_was_about_right():
    rate = Rate()
    accepted(rate, 20)
    rate.refused(10.0, certain=True)
    accepted(rate, 18)
    rate.refused(20.0, certain=True)
    assert rate.per_s == pytest.approx(DECREASE * 2.0)


def test_rate_that_was_far_off_falls_to_what_was_accepted():
    rate = Rate()
    accepted(rate, 300)
    rate.refused(2.0, certain=True)
    assert rate.per_s == 150.0
    accepted(rate, 300)
    rate.refused(62.0, certain=True)
    assert rate.per_s == 5.0


def rises(rate: Rate, now: float) -> list[float]:
    """How much each of three accepted fetches adds while the rate holds others back."""
    seen = [rate.per_s]
    for _ in range(3):
        assert rate.wait_s(now) > 0
        rate.accepted(now)
        seen.append(rate.per_s)
        rate.start(now)
    return [after - before for before, after in pairwise(seen)]


def test_rate_rises_by_a_constant_step_only_while_it_holds_fetches_back():
    rate = Rate()
    accepted(rate, 20)
    rate.refused(10.0, certain=True)
    assert rises(rate, 10.0) == pytest.approx([GUESS_STEP_PER_S] * 3)
    accepted(rate, 20)
    rate.refused(20.0, certain=True)
    assert rises(rate, 20.0) == pytest.approx([STEP_PER_S] * 3)
    assert rate.wait_s(1000.0) == 0.0  # asked later than it allows
    rate.accepted(20.0)
    top = rate.per_s
    rate.accepted(20.0)
    assert rate.per_s == top


def test_refusals_with_nothing_accepted_between_change_no_rate():
    rate = Rate()
    accepted(rate, 20)
    for number in range(10):
        rate.refused(10.0 + number, certain=True)
    assert rate.per_s == 2.0


def test_lone_refusal_without_a_word_changes_no_rate_a_second_one_does():
    rate = Rate()
    accepted(rate, LONE)
    rate.refused(1.0, certain=False)
    assert rate.per_s == math.inf
    accepted(rate, LONE)
    rate.refused(2.0, certain=False)
    assert rate.per_s == math.inf
    accepted(rate, LONE - 2)
    rate.refused(4.0, certain=False)
    assert rate.per_s == (3 * LONE - 2) / 4


def test_guess_wants_some_fetches_or_a_minute():
    rate = Rate()
    accepted(rate, EVIDENCE[0] - 1)
    rate.refused(1.0, certain=True)
    assert rate.per_s == math.inf
    rate.accepted(1.5)
    rate.refused(2.0, certain=True)
    assert rate.per_s == EVIDENCE[0] / 2
    rate = Rate()
    rate.accepted(0.0)
    rate.refused(60.0, certain=True)
    assert rate.per_s == 1 / 60


def test_rate_has_a_floor():
    rate = Rate()
    for number in range(1, 100):
        rate.accepted(20.0)
        rate.refused(1000.0 * number, certain=True)
    assert rate.per_s == LEAST_PER_S
