"""The gate lets no host be asked more often than it is set to, and never again once it refused."""

import pickle

import pytest

from hdvg.errors import ItemError
from hdvg.sources.hosts import HostGate


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


def test_host_that_refused_is_never_asked_again(clock):
    gate = HostGate(4, 0.0, 60.0, clock=clock)
    gate.ask("a")
    gate.ask("a")
    gate.done("a", blocked=True)
    gate.done("a")
    clock.now += 1e6
    with pytest.raises(ItemError) as refusal:
        gate.ask("a")
    assert refusal.value.reason == "blocked"
    assert gate.ask("b") == 0.0


def test_giving_back_too_often_makes_no_extra_permit(clock):
    gate = HostGate(1, 0.0, 60.0, clock=clock)
    gate.done("a")
    gate.done("a")
    assert gate.ask("a") == 0.0
    assert gate.ask("a") > 0


def test_gate_can_move_to_another_process():
    gate = pickle.loads(pickle.dumps(HostGate(1, 0.0, 60.0)))
    assert gate.ask("a") == 0.0
