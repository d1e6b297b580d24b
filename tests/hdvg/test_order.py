"""The stateless order is a permutation every epoch, mixes by weight to one sample, and tells the same of a position always."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from hdvg.draws import BLOCK, Order, Place, Source, chance, permuted, uniform


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 16, 17, 64, 65, 1000, 4097])
def test_permutation_hits_every_index_once(count):
    for key in (b"a", b"b"):
        assert sorted(permuted(index, count=count, key=key) for index in range(count)) == list(range(count))


def test_permutation_of_a_set_too_large_to_list_stays_in_it_and_is_no_shift():
    count = 130_000_000
    seen = [permuted(index, count=count, key=b"k") for index in range(2000)]
    assert max(seen) < count
    assert len(set(seen)) == 2000
    assert len({(after - before) % count for before, after in pairwise(seen)}) > 1990


def test_permutations_of_three_are_equally_likely():
    """Six orders, 6000 keys: each is expected 1000 times, with a standard deviation of 29."""
    orders = Counter(
        tuple(permuted(index, count=3, key=number.to_bytes(2, "little")) for index in range(3))
        for number in range(6000)
    )
    assert len(orders) == 6
    assert all(abs(times - 1000) < 150 for times in orders.values())


def test_every_epoch_sees_each_sample_once_in_another_order():
    order = Order(7, (Source(1000),))
    epochs = [[order.at(epoch * 1000 + place) for place in range(1000)] for epoch in range(3)]
    for epoch, places in enumerate(epochs):
        assert {place.epoch for place in places} == {epoch}
        assert sorted(place.sample for place in places) == list(range(1000))
    assert len({tuple(place.sample for place in places) for places in epochs}) == 3


def test_an_epoch_begins_when_the_one_before_is_through_whatever_the_blocks():
    for sources in ((Source(300),), (Source(300, 2), Source(70))):
        places = [Order(7, sources).at(position) for position in range(BLOCK * 3)]
        mine = [place for place in places if place.source == 0]
        assert [place.epoch for place in mine] == [number // 300 for number in range(len(mine))]
        assert sorted(place.sample for place in mine[300:600]) == list(range(300))


def test_sources_are_mixed_by_weight_to_one_sample():
    order = Order(1, (Source(50, 3), Source(7, 1), Source(1000, 2)))
    counts = Counter()
    for block in range(12):
        counts.update(order.at(block * BLOCK + place).source for place in range(BLOCK))
        total = (block + 1) * BLOCK
        for source, share in enumerate((3 / 6, 1 / 6, 2 / 6)):
            assert abs(counts[source] - total * share) < 2
    small = Counter((place.epoch, place.sample) for place in map(order.at, range(2000)) if place.source == 1)
    assert set(small.values()) == {1}


def test_a_position_leads_to_the_same_place_whoever_asks():
    """The same batches for any split of the positions among workers."""
    positions = range(5000, 5128)
    alone = [Order(3, (Source(40), Source(90, 0.5))).at(position) for position in positions]
    split = {
        position: Order(3, (Source(40), Source(90, 0.5))).at(position)
        for worker in range(4)
        for position in positions[worker::4]
    }
    assert [split[position] for position in positions] == alone
    assert alone != [Order(4, (Source(40), Source(90, 0.5))).at(position) for position in positions]


def test_order_is_the_same_on_every_machine():
    """Written down once: a run must find its order again with a later version."""
    order = Order(0, (Source(10), Source(1000, 0.25)))
    assert [order.at(position) for position in (0, 1, 999, 123_456_789)] == WRITTEN


WRITTEN = [Place(0, 8, 0), Place(0, 0, 0), Place(0, 5, 79), Place(1, 212, 24691)]


def test_chance_is_of_seed_sample_epoch_and_purpose():
    def draw(*, seed=1, sample="a", epoch=0, purpose="noise"):
        return chance(seed, sample, epoch=epoch, purpose=purpose).standard_normal(4).tolist()

    others = [draw(seed=2), draw(sample="b"), draw(epoch=1), draw(purpose="crop")]
    assert draw() == draw()
    assert all(other != draw() for other in others)
    many = np.array([chance(1, str(number), epoch=0, purpose="time").random() for number in range(4000)])
    assert abs(many.mean() - 0.5) < 0.02
    assert abs(np.corrcoef(many[1:], many[:-1])[0, 1]) < 0.06


@pytest.mark.parametrize("sources", [(), (Source(0),), (Source(3, 0),), (Source(3, float("nan")),)])
def test_an_order_over_nothing_is_refused(sources):
    with pytest.raises(ValueError, match="positive weight"):
        Order(0, sources)


@pytest.mark.parametrize("weights", [(1000.0, 1700.0), (5.0, 0.003, 7.0), (0.00048, 1.0, 2.0, 3.0), (1, 1, 1)])
def test_no_sample_is_lost_or_seen_twice_in_an_epoch_whatever_the_weights(weights):
    """A source of which a block has less than one sample must neither give one back nor take one from another."""
    counts = (300, 3, 250, 7)
    order = Order(5, tuple(Source(count, weight) for count, weight in zip(counts, weights, strict=False)))
    epochs: dict[tuple[int, int], Counter[int]] = {}
    for place in map(order.at, range(12 * BLOCK)):
        epochs.setdefault((place.source, place.epoch), Counter())[place.sample] += 1
    assert {times for epoch in epochs.values() for times in epoch.values()} == {1}
    whole = [
        len(epoch) == counts[source] for (source, number), epoch in epochs.items() if (source, number + 1) in epochs
    ]
    assert len(whole) > 10
    assert all(whole)


@pytest.mark.parametrize(
    "sources", [(Source(7),), (Source(40, 3), Source(9, 1)), (Source(900), Source(5, 0.002), Source(64))]
)
@pytest.mark.parametrize("until", [0, 1, 999, 1000, 3456])
def test_places_of_a_sample_are_those_a_scan_finds(sources, until):
    order = Order(2, sources)
    scanned: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for position in range(until):
        place = order.at(position)
        scanned.setdefault((place.source, place.sample), []).append((position, place.epoch))
    for source, given in enumerate(sources):
        for sample in range(min(given.count, 60)):
            assert order.places(source, sample, until=until) == scanned.get((source, sample), [])


def test_places_in_a_set_too_large_to_scan_lead_back():
    order = Order(3, (Source(130_000_000, 3), Source(20_000_000, 1)))
    for source, sample in ((0, 129_999_999), (1, 5), (0, 77)):
        places = order.places(source, sample, until=800_000_000)
        assert len(places) in ((4, 5) if source == 0 else (10,))
        assert [order.at(position) for position, _ in places] == [Place(source, sample, epoch) for _, epoch in places]


def test_uniform_is_of_seed_sample_epoch_and_purpose():
    told = {"seed": 1, "sample": "a", "epoch": 0, "purpose": "time"}
    others = [{"seed": 2}, {"sample": "b"}, {"epoch": 1}, {"purpose": "crop"}]
    assert uniform(**told) == uniform(**told)
    assert uniform(**told) not in [uniform(**{**told, **other}) for other in others]
    many = np.array([uniform(1, str(number), epoch=0, purpose="time") for number in range(4000)])
    counts = np.histogram(many, bins=8, range=(0, 1))[0]
    assert all(abs(count - 500) < 5 * np.sqrt(4000 * 7 / 64) for count in counts)
    assert abs(np.corrcoef(many[1:], many[:-1])[0, 1]) < 5 / np.sqrt(4000)


# shares

SHARES = (300, 100, 100, 250, 1, 49, 1600, 100, 500, 1000)
"""Of ten samples, 4000 in all: 0.75, 0.25, ... 4, ... 2.5 times an epoch of ten draws."""


def test_a_share_is_kept_to_one_draw_each_epoch_and_exactly_in_the_long_run():
    for sources, mine in (((Source(10, 1.0, SHARES),), 0), ((Source(33, 2.0), Source(10, 1.0, SHARES)), 1)):
        order, counts = Order(5, sources), Counter()
        epochs: dict[int, Counter[int]] = {}
        for position in range(12_000):
            place = order.at(position)
            if place.source == mine:
                epochs.setdefault(place.epoch, Counter())[place.sample] += 1
                counts[place.sample] += 1
        whole = [epoch for epoch, seen in epochs.items() if seen.total() == 10]
        assert whole == list(range(len(whole)))
        assert len(whole) >= 390
        for seen in (epochs[epoch] for epoch in whole):
            assert all(share // 400 <= seen[sample] <= -(-share // 400) for sample, share in enumerate(SHARES))
        for sample, share in enumerate(SHARES):
            assert (
                abs(counts[sample] - counts.total() * share / 4000) <= 3
            )  # the golden ratio's discrepancy; random: 9 and more


def test_draws_of_a_sample_in_an_epoch_are_told_apart_and_lead_back():
    sources = (Source(33, 2.0), Source(10, 1.0, SHARES))
    order, seen = Order(5, sources), {}
    for position in range(3000):
        place = order.at(position)
        assert (place.source, place.sample, place.epoch, place.turn) not in seen
        seen[place.source, place.sample, place.epoch, place.turn] = position
    for until in (0, 1, 700, 3000):
        for source, count in ((0, 33), (1, 10)):
            for sample in range(count):
                wanted = [
                    (position, epoch)
                    for (one, other, epoch, _), position in seen.items()
                    if (one, other) == (source, sample) and position < until
                ]
                assert order.places(source, sample, until=until) == sorted(wanted)
    turns = [turn for _, _, _, turn in seen]
    assert max(turns) == 3  # the sample of 4 draws an epoch


def test_equal_shares_draw_each_sample_once_an_epoch():
    order = Order(3, (Source(50, 1.0, (7,) * 50),))
    for epoch in range(4):
        places = [order.at(epoch * 50 + number) for number in range(50)]
        assert sorted(place.sample for place in places) == list(range(50))
        assert {place.turn for place in places} == {0}


@pytest.mark.parametrize("shares", [(1, 2), (1, 2, 0)])
def test_shares_that_are_no_shares_are_refused(shares):
    with pytest.raises(ValueError, match="shares of 3 samples"):
        Order(0, (Source(3, 1.0, shares),))
