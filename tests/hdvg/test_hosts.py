"""The gate lets no host be asked more often than it is set to, and never again once it refused."""

import pickle

import pytest

from hdvg.errors import NotAskedError, ResourceError
from hdvg.sources.hosts import REFUSALS, HostGate, Leases


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_no_more_permits_than_allowed_until_one_is_given_back(clock):
    gate = HostGate(2, 0.0, 60.0, clock=clock)
    assert [gate.ask("a"), gate.ask("a")] == [0.0, 0.0]
    assert gate.ask("a") > 0
    assert gate.ask("b") == 0.0
    gate.done("a")
    assert gate.ask("a") == 0.0


def test_starts_on_one_host_keep_their_distance(clock):
    gate = HostGate(10, 3.0, 60.0, clock=clock)
    assert gate.ask("a") == 0.0
    assert gate.ask("a") == 3.0
    gate.done("a")
    clock.now += 2.0
    assert gate.ask("a") == 1.0
    clock.now += 1.0
    assert gate.ask("a") == 0.0


@pytest.mark.parametrize(
    ("asked", "wait"),
    [(5.0, 5.0), (1e12, 60.0), (float("inf"), 60.0), (-3.0, 0.0), (0.0, 0.0), (float("nan"), 0.0), (None, 0.0)],
)
def test_retry_after_slows_the_host_for_all_up_to_the_cap(clock, asked, wait):
    gate = HostGate(10, 0.0, 60.0, clock=clock)
    gate.ask("a")
    gate.done("a", retry_after_s=asked)
    assert gate.ask("a") == wait
    assert gate.ask("b") == 0.0
    clock.now += wait
    assert gate.ask("a") == 0.0


def test_a_shorter_pause_does_not_shorten_a_longer_one(clock):
    gate = HostGate(10, 0.0, 60.0, clock=clock)
    gate.done("a", retry_after_s=30)
    gate.done("a", retry_after_s=1)
    assert gate.ask("a") == 30.0


def refuse(gate: HostGate, times: int, said: str = "HTTP Error 403: Forbidden") -> None:
    for _ in range(times):
        assert gate.ask("a") == 0.0
        gate.done("a", refusal=said)


@pytest.mark.parametrize(
    ("said", "times"), [("Sign in to confirm you're not a bot", 1), ("HTTP Error 403: Forbidden", REFUSALS)]
)
def test_host_with_a_bot_wall_or_many_refusals_in_a_row_is_not_asked_again(clock, said, times):
    gate = HostGate(4, 0.0, 60.0, clock=clock)
    gate.ask("a")
    refuse(gate, times, said)
    gate.done("a", fetched=True)
    clock.now += 1e6
    with pytest.raises(NotAskedError) as refusal:
        gate.ask("a")
    assert refusal.value.reason == "blocked"
    assert gate.ask("b") == 0.0


def test_refusals_between_successes_close_no_host(clock):
    gate = HostGate(4, 0.0, 60.0, clock=clock)
    refuse(gate, REFUSALS - 1)
    gate.ask("a")
    gate.done("a", fetched=True)
    refuse(gate, REFUSALS - 1)
    assert gate.ask("a") == 0.0


def test_permits_of_a_dead_holder_come_back_and_its_last_words_count_for_nothing(clock):
    leases = Leases(HostGate(2, 0.0, 60.0, clock=clock))
    assert [leases.ask(1, "a"), leases.ask(1, "a")] == [0.0, 0.0]
    assert leases.ask(2, "a") > 0
    leases.forget(1)
    with pytest.raises(ResourceError):
        leases.ask(1, "a")
    leases.done(1, "a", None)
    assert [leases.ask(2, "a"), leases.ask(2, "a")] == [0.0, 0.0]
    leases.done(1, "a", None)
    assert leases.ask(3, "a") > 0
    leases.done(2, "a", None)
    assert leases.ask(3, "a") == 0.0


def test_giving_back_too_often_makes_no_extra_permit(clock):
    gate = HostGate(1, 0.0, 60.0, clock=clock)
    gate.done("a")
    gate.done("a")
    assert gate.ask("a") == 0.0
    assert gate.ask("a") > 0


def test_gate_can_move_to_another_process():
    gate = pickle.loads(pickle.dumps(HostGate(1, 0.0, 60.0)))
    assert gate.ask("a") == 0.0
