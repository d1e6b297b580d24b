"""The gate lets no host be asked more often than it is set to, and leaves one alone that refuses."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from hdvg.config.fetch import Fetch
from hdvg.errors import NotAskedError, ResourceError
from hdvg.sources.hosts import KEPT, OTHERS, HostGate, Leases
from hdvg.sources.hosts.host import REFUSALS, THROTTLED, Visit
from tests.sites import Clock

WALL = Visit("blocked", "Sign in to confirm you're not a bot")
FORBIDDEN = Visit("blocked", "HTTP Error 403: Forbidden")
HOUR_S = 3600.0


@pytest.fixture
def clock():
    return Clock()


def test_no_more_permits_than_allowed_until_one_is_given_back(clock):
    gate = HostGate(2, 0.0, 60.0, clock=clock)
    assert [gate.ask("a"), gate.ask("a")] == [0.0, 0.0]
    assert gate.ask("a") > 0
    assert gate.ask("b") == 0.0
    gate.done("a", Visit())
    assert gate.ask("a") == 0.0


def test_starts_on_one_host_keep_their_distance(clock):
    gate = HostGate(10, 3.0, 60.0, clock=clock)
    assert gate.ask("a") == 0.0
    assert gate.ask("a") == 3.0
    gate.done("a", Visit())
    clock.now += 2.0
    assert gate.ask("a") == 1.0
    clock.now += 1.0
    assert gate.ask("a") == 0.0


def test_settings_of_a_host_take_the_place_of_the_others(clock):
    hosts = {"slow.org": {"interval_s": 9.0, "concurrency": 1}, "quick.org": {"interval_s": 0.0}}
    gate = HostGate.of(Fetch(per_host=2, host_interval_s=1.0, hosts=hosts), clock=clock)
    names = ("other.org", "www.slow.org", "quick.org")
    assert [gate.ask(name) for name in names] == [0.0] * 3
    assert [gate.ask(name) for name in names] == [1.0, 9.0, 0.0]
    clock.now += 9.0
    assert gate.ask("other.org") == 0.0
    assert gate.ask("www.slow.org") > 0.0  # one at a time
    assert gate.ask("quick.org") > 0.0  # two at a time


@pytest.mark.parametrize("reason", ["throttled", "network"])
@pytest.mark.parametrize(("asked", "wait"), [(5.0, 5.0), (1e12, 60.0), (float("inf"), 60.0)])
def test_retry_after_pauses_the_host_for_all_up_to_the_cap(clock, reason, asked, wait):
    gate = HostGate(10, 0.0, 60.0, clock=clock)
    gate.ask("a")
    gate.done("a", Visit(reason, retry_after_s=asked))
    assert gate.ask("a") == wait
    assert gate.ask("b") == 0.0
    clock.now += wait
    assert gate.ask("a") == 0.0


@pytest.mark.parametrize("asked", [-3.0, 0.0, float("nan"), None])
@pytest.mark.parametrize(("reason", "wait"), [("throttled", 1.0), ("network", 0.0)])
def test_retry_after_without_a_time_pauses_a_throttling_host_only(clock, asked, reason, wait):
    gate = HostGate(10, 0.0, 60.0, clock=clock)
    gate.ask("a")
    gate.done("a", Visit(reason, retry_after_s=asked))
    assert gate.ask("a") == wait


def test_a_shorter_pause_does_not_shorten_a_longer_one(clock):
    gate = HostGate(10, 0.0, 60.0, clock=clock)
    assert [gate.ask("a"), gate.ask("a")] == [0.0, 0.0]
    gate.done("a", Visit("throttled", retry_after_s=30))
    gate.done("a", Visit("throttled", retry_after_s=1))
    assert gate.ask("a") == 30.0


def throttle(gate: HostGate, clock: Clock, times: int = 1) -> list[float]:
    """Ask one fetch after the other, all throttled without a word; the pauses before them."""
    pauses = []
    for _ in range(times):
        pauses.append(gate.ask("a"))
        clock.now += pauses[-1]
        assert pauses[-1] == 0.0 or gate.ask("a") == 0.0
        gate.done("a", Visit("throttled", took_s=0.0))
    return pauses


def test_pauses_double_while_nothing_is_accepted_and_are_short_again_after_that(clock):
    gate = HostGate(4, 0.0, 10.0, clock=clock)
    assert throttle(gate, clock, 6) == [0.0, 1.0, 2.0, 4.0, 8.0, 10.0]
    clock.now += gate.ask("a")
    assert gate.ask("a") == 0.0
    assert gate.ask("a") == 10.0  # not several at once, while it is not known whether it accepts one
    clock.now += 0.5
    gate.done("a", Visit(took_s=0.5))
    for _ in range(100):
        assert gate.ask("a") == 0.0
        gate.done("a", Visit())
    assert throttle(gate, clock, 3) == [0.0, 1.0, 2.0]


def test_fetches_that_were_under_way_together_are_throttled_once(clock):
    gate = HostGate(4, 0.0, 600.0, clock=clock)
    for _ in range(4):
        assert gate.ask("a") == 0.0
    for number in range(4):
        clock.now += 0.1
        gate.done("a", Visit("throttled", took_s=0.1 * (number + 1)))
    assert gate.ask("a") == pytest.approx(0.7)  # one second after the first said so
    assert gate.figures()["a"]["refused"] == {"throttled": 4}


def refuse(gate: HostGate, visit: Visit, times: int = 1) -> None:
    for _ in range(times):
        assert gate.ask("a") == 0.0
        gate.done("a", visit)


def ask_closed(gate: HostGate) -> str | None:
    """Why the host turns everybody away; None, with a permit taken, if it does not."""
    try:
        assert gate.ask("a") == 0.0
    except NotAskedError as refusal:
        return refusal.reason
    return None


def closed_for_s(gate: HostGate, clock: Clock, reason: str = "blocked") -> float:
    """How long the host turns everybody away, on the minute."""
    start = clock.now
    while clock.now < start + 7 * 86400:
        said = ask_closed(gate)
        if said is None:
            return clock.now - start
        assert said == reason
        clock.now += 60
    raise AssertionError("never asked again")


@pytest.mark.parametrize(("said", "times"), [(WALL, 1), (FORBIDDEN, REFUSALS)])
def test_host_with_a_bot_wall_or_many_refusals_in_a_row_is_left_alone_for_an_hour(clock, said, times):
    gate = HostGate(4, 0.0, 60.0, clock=clock)
    gate.ask("a")
    refuse(gate, said, times)
    gate.done("a", Visit(took_s=1.0))  # it began before
    assert gate.ask("b") == 0.0
    assert closed_for_s(gate, clock) == HOUR_S


def test_closed_host_is_probed_by_one_fetch_and_open_to_all_once_that_is_answered(clock):
    gate = HostGate(4, 0.0, 60.0, clock=clock)
    refuse(gate, WALL)
    closed_for_s(gate, clock)  # the probe has its permit
    assert gate.ask("a") > 0
    clock.now += 5
    gate.done("a", Visit("gone", took_s=5.0))
    assert [gate.ask("a") for _ in range(3)] == [0.0] * 3


@pytest.mark.parametrize("lost", [Visit("network", took_s=0.0), None])
def test_probe_without_an_answer_is_followed_by_another(clock, lost):
    gate = HostGate(4, 0.0, 60.0, clock=clock)
    refuse(gate, WALL)
    closed_for_s(gate, clock)
    assert gate.ask("a") > 0
    gate.done("a", lost)
    assert gate.ask("a") == 0.0
    assert gate.ask("a") > 0


def test_host_that_refuses_the_probe_is_left_alone_twice_as_long_a_day_at_most(clock):
    gate = HostGate(4, 0.0, 60.0, clock=clock)
    refuse(gate, WALL)
    times = []
    for _ in range(7):
        times.append(closed_for_s(gate, clock) / HOUR_S)
        clock.now += 1
        gate.done("a", Visit("blocked", "HTTP Error 403: Forbidden", took_s=1.0))
    assert times == [1, 2, 4, 8, 16, 24, 24]
    closed_for_s(gate, clock)
    gate.done("a", Visit())
    refuse(gate, WALL)
    assert closed_for_s(gate, clock) == HOUR_S


def test_refusals_between_successes_close_no_host(clock):
    gate = HostGate(4, 0.0, 60.0, clock=clock)
    refuse(gate, FORBIDDEN, REFUSALS - 1)
    gate.ask("a")
    gate.done("a", Visit())
    refuse(gate, FORBIDDEN, REFUSALS - 1)
    assert gate.ask("a") == 0.0


def test_host_that_throttles_everything_for_too_long_is_left_alone(clock):
    gate = HostGate.of(Fetch(throttle_wait_s=100, blocked_wait_s=600, max_wait_s=30), clock=clock)
    begin = clock.now
    with pytest.raises(NotAskedError, match="throttled"):
        throttle(gate, clock, 1000)
    assert 100 <= clock.now - begin <= 100 + 30
    assert closed_for_s(gate, clock, "throttled") == 600


def test_host_is_left_alone_for_throttling_only_after_some_fetches(clock):
    gate = HostGate.of(Fetch(throttle_wait_s=0), clock=clock)
    throttle(gate, clock, THROTTLED - 1)
    assert gate.ask("a") > 0


def test_permits_of_a_dead_holder_come_back_and_its_last_words_count_for_nothing(clock):
    leases = Leases(HostGate(2, 0.0, 60.0, clock=clock))
    assert [leases.ask(1, "a"), leases.ask(1, "a")] == [0.0, 0.0]
    assert leases.ask(2, "a") > 0
    leases.forget(1)
    with pytest.raises(ResourceError):
        leases.ask(1, "a")
    leases.done(1, "a", WALL)
    assert [leases.ask(2, "a"), leases.ask(2, "a")] == [0.0, 0.0]
    leases.done(1, "a", WALL)
    assert leases.ask(3, "a") > 0
    leases.done(2, "a", Visit())
    assert leases.ask(3, "a") == 0.0


def test_giving_back_too_often_makes_no_extra_permit(clock):
    gate = HostGate(1, 0.0, 60.0, clock=clock)
    gate.done("a")
    gate.done("a", Visit())
    assert gate.ask("a") == 0.0
    assert gate.ask("a") > 0


def test_figures_say_how_each_host_fared(clock):
    gate = HostGate(4, 0.0, 60.0, clock=clock)
    for visit in [Visit(bytes=3 * 2**20, took_s=1.0)] * 100 + [Visit("gone")] * 20 + [WALL]:
        assert gate.ask("a") == 0.0
        clock.now += 1.0
        gate.done("a", visit)
    gate.ask("b")
    found = json.loads(json.dumps(gate.figures()))
    assert list(found) == ["a", "b"]
    a = found["a"]
    assert (a["asked"], a["ok"], a["refused"], a["mb"]) == (121, 100, {"gone": 20, "blocked": 1}, 300)
    assert a["fetches_per_min"] == pytest.approx(60, rel=0.05)
    assert a["limit_per_min"] is None
    assert 0 < a["mb_s"] < 3  # none came in the last 21 s
    assert (a["closed_for"], a["closed_s"]) == ("blocked", 3600)
    assert (found["b"]["asked"], found["b"]["ok"], found["b"]["closed_for"]) == (1, 0, None)
    clock.now += 600
    assert gate.figures()["a"]["fetches_per_min"] < 0.01


def test_a_run_over_very_many_hosts_stays_small_and_its_sums_right(clock):
    gate = HostGate(4, 0.0, 60.0, clock=clock)
    for number in range(KEPT + 500):
        assert gate.ask(f"host-{number}") == 0.0
        gate.done(f"host-{number}", Visit(bytes=1) if number % 2 else Visit("gone"))
    found = gate.figures()
    assert len(found) == KEPT + 1
    assert sum(row["asked"] for row in found.values()) == KEPT + 500
    assert (found[OTHERS]["ok"], found[OTHERS]["refused"]) == (250, {"gone": 250})


def test_bytes_of_all_fetches_together_keep_to_the_limit(clock):
    gate = HostGate.of(Fetch(max_mb_s=2), clock=clock)
    assert gate.spend(2**20) == 0.5
    assert gate.spend(2**20) == 1.0  # another one's
    clock.now += 10
    assert gate.spend(2**20) == 0.5  # what was not used is not saved up
    assert HostGate.of(Fetch(), clock=clock).spend(2**40) == 0.0


def test_many_threads_share_one_gate():
    gate = HostGate(10_000, 0.0, 60.0)

    def visits(_: int) -> None:
        for _ in range(500):
            assert gate.ask("a") == 0.0
            gate.done("a", Visit())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(visits, range(8)))
    assert (gate.figures()["a"]["asked"], gate.figures()["a"]["ok"]) == (4000, 4000)
