"""A step's samples are told by the step alone, whatever the processes, pieces, threads and restarts; held-out clips are not
among them; and which steps saw a clip is told without a scan."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from hdvg.config.recipe import parse
from hdvg.draws import uniform
from hdvg.errors import UsageError
from hdvg.filtering import balance
from hdvg.training import provenance
from hdvg.training.feed import EMPTY, DataFeed
from hdvg.training.prefetch import Ahead
from hdvg.training.samples import Samples, Seat
from hdvg.training.settings import TrainRecipe
from hdvg.training.sources import Member, hold_out
from hdvg.training.traits import QUANTA, Traits, tilted
from tests.stored import Stored, StoredClip, clips

SIGMAS = 5  # of every bound on a frequency: the draws are fixed, and one set in two million would lie outside


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def recipe(*changes: str) -> TrainRecipe:
    return parse(TrainRecipe, {}, ("run.batch=8", "validation.clips=4", *changes), where="test")


def feed(stored: Stored, *changes: str) -> DataFeed:
    return DataFeed([Member(stored, "one")], recipe(*changes))


def mixed(*changes: str) -> DataFeed:
    """Two shapes in one dataset and a third in another, images among them, three texts a clip."""
    first = Stored([*clips(17, texts=3), *clips(8, name="wide", shape=(4, 2, 5, 2))])
    second = Stored(clips(9, name="other", shape=(2, 2, 3, 2), windows=1))
    return DataFeed(
        [Member(first, "first", 2.0), Member(second, "second", 1.0)],
        recipe("draw.images=0.2", "run.batch=12", *changes),
    )


def evened(*changes: str) -> DataFeed:
    """Two datasets, of which one has two large clusters of clips, two small ones and a clip in none."""
    first, second = Stored(clips(25, texts=3)), Stored(clips(9, name="other", windows=1))
    cluster = np.array([0] * 11 + [1] * 8 + [2] * 3 + [3] * 2 + [-1])
    place = np.arange(25.0)
    traits = Traits(
        cluster, np.where(cluster < 0, -1, np.maximum(cluster - 1, 0)), place, np.where(place == 7, np.nan, -place)
    )
    return DataFeed(
        [Member(first, "first", 2.0, traits), Member(second, "second", 1.0)],
        recipe("draw.balance=1", "draw.images=0.2", "run.batch=12", *changes),
    )


def told(pieces: Iterable[Samples]) -> dict[tuple[str, int], tuple[bytes, ...]]:
    """All there is of each sample, by what it is. Fails if one stands there twice."""
    found = {}
    for piece in pieces:
        for place, key in enumerate(zip(piece.clip_ids, piece.epochs, strict=True)):
            assert key not in found
            tensors = (piece.latents_BCTHW, piece.noise_BCTHW, piece.time_B, piece.text_BLX)
            assert {tensor.dtype for tensor in tensors} == {torch.float32}
            found[key] = tuple(tensor[place].contiguous().numpy().tobytes() for tensor in tensors)
    return found


STEPS = range(5, 25)
"""Across the end of an epoch of either dataset."""


@pytest.fixture(scope="module")
def alone() -> dict[int, dict[tuple[str, int], tuple[bytes, ...]]]:
    whole = mixed()
    steps = {step: told(whole.step(step)) for step in STEPS}
    assert all(len(step) == 12 for step in steps.values())
    assert len({key for step in steps.values() for key in step}) == 12 * len(STEPS)
    return steps


@pytest.mark.parametrize("world", [1, 2, 3, 13])
@pytest.mark.parametrize("micro", [1, 2, 4])
def test_step_is_the_same_for_any_number_of_processes_and_any_pieces(alone, world, micro):
    split = mixed(f"run.micro_batch={micro}")
    for step in STEPS:
        shares = [split.step(step, seat=Seat(rank, world)) for rank in range(world)]
        pieces = [piece for share in shares for piece in share]
        assert told(pieces) == alone[step]
        assert all(1 <= len(piece) <= micro for piece in pieces)
        sizes = [sum(map(len, share)) for share in shares]
        assert max(sizes) - min(sizes) <= 1
        shapes = [tuple(piece.latents_BCTHW.shape[1:]) for piece in pieces]
        assert sum(before != after for before, after in pairwise(shapes)) == len(set(shapes)) - 1


@pytest.mark.parametrize("threads", [1, 4])
def test_step_is_the_same_read_ahead_and_after_a_restart(alone, threads):
    for first in (STEPS[0], STEPS[7]):  # each time a new feed that knows nothing of what was
        with Ahead(mixed(), Seat(), first=first, threads=threads) as coming:
            for step in range(first, first + 6):
                assert told(coming.take()) == alone[step]
        assert coming.waited_s > 0


def test_other_seeds_see_other_orders_noise_and_times(alone):
    other = mixed("run.seed=1")
    steps = {step: told(other.step(step)) for step in STEPS}
    ours = {key: sample for step in alone.values() for key, sample in step.items()}
    theirs = {key: sample for step in steps.values() for key, sample in step.items()}
    assert steps[STEPS[0]].keys() != alone[STEPS[0]].keys()
    both = ours.keys() & theirs.keys()
    assert len(both) > 100
    assert not any(ours[key][1] == theirs[key][1] or ours[key][2] == theirs[key][2] for key in both)


def test_samples_are_what_is_stored():
    """Every window and text of every clip comes in time, and nothing else does."""
    stored = Stored(clips(6, windows=3, texts=2))
    given = feed(stored, "validation.clips=0", "draw.drop_text=0.2")
    number = {clip.clip_id: place for place, clip in enumerate(stored.clips)}
    seen = set()
    for step in range(60):
        for piece in given.step(step):
            for clip_id, latents, text in zip(piece.clip_ids, piece.latents_BCTHW, piece.text_BLX, strict=True):
                place = number[clip_id]
                windows = stored.latents[place].astype(np.float32)
                [window] = [w for w in range(3) if np.array_equal(latents.permute(1, 2, 3, 0).numpy(), windows[w])]
                row = EMPTY if not text.any() else int(text[0, 0])
                assert np.array_equal(text.numpy(), stored.texts[row].astype(np.float32))
                assert row == EMPTY or row in dict(stored.clips[place].texts)
                seen.add((place, window, row))
    assert {(place, window) for place, window, _ in seen} == {
        (place, window) for place in range(6) for window in range(3)
    }
    rows = {(place, row) for place, clip in enumerate(stored.clips) for row in (EMPTY, *dict(clip.texts))}
    assert {(place, row) for place, _, row in seen} == rows


def test_images_are_frames_of_their_clips_at_the_wanted_share():
    stored = Stored(clips(4, windows=2))
    given = feed(stored, "validation.clips=0", "draw.images=0.3", "run.batch=40")
    frames, images, total = Counter(), 0, 0
    number = {clip.clip_id: place for place, clip in enumerate(stored.clips)}
    for step in range(100):
        for piece in given.step(step):
            total += len(piece)
            if piece.latents_BCTHW.shape[2] == 4:
                continue
            images += len(piece)
            for clip_id, latents in zip(piece.clip_ids, piece.latents_BCTHW, strict=True):
                frame = latents.permute(1, 2, 3, 0).numpy()[0]
                kept = stored.latents[number[clip_id]].astype(np.float32)
                [place] = np.argwhere((kept == frame).all((2, 3, 4))).tolist()
                frames[tuple(place)] += 1
    assert abs(images - total * 0.3) < SIGMAS * math.sqrt(total * 0.3 * 0.7)
    assert len(frames) == 8
    assert all(abs(count - images / 8) < SIGMAS * math.sqrt(images * 7 / 64) for count in frames.values())


def test_texts_come_by_weight_and_are_dropped_at_the_wanted_share():
    stored = Stored(clips(4, texts=3, windows=1))  # weights 3 : 1 : 1
    given = feed(stored, "validation.clips=0", "draw.drop_text=0.1")
    drawn = [one for step in range(1000) for one in given.drawn(step)]
    total = len(drawn)
    dropped = sum(one.text == EMPTY for one in drawn)
    assert abs(dropped - total * 0.1) < SIGMAS * math.sqrt(total * 0.1 * 0.9)
    places = Counter(one.text % 3 for one in drawn if one.text != EMPTY)
    left = total - dropped
    for place, share in enumerate((0.6, 0.2, 0.2)):
        assert abs(places[place] - left * share) < SIGMAS * math.sqrt(left * share * (1 - share))
    assert not any(one.text == EMPTY for step in range(50) for one in feed(stored, "draw.drop_text=0").drawn(step))


def test_clip_without_text_has_the_empty_one():
    given = feed(Stored(clips(6, texts=0)), "draw.drop_text=0")
    assert all(not piece.text_BLX.any() for piece in [*given.step(0), *given.held()])


def test_times_and_noise_are_of_their_distributions_and_independent():
    given = feed(Stored(clips(8, windows=1)), "validation.clips=0")
    pieces = [piece for step in range(250) for piece in given.step(step)]
    times = torch.cat([piece.time_B for piece in pieces]).double()
    counts = np.histogram(times.numpy(), bins=10, range=(0, 1))[0]
    assert all(abs(count - len(times) / 10) < SIGMAS * math.sqrt(len(times) * 0.09) for count in counts)
    noise = torch.cat([piece.noise_BCTHW.flatten(1) for piece in pieces]).double()
    many = noise.numel()
    assert abs(noise.mean()) < SIGMAS / math.sqrt(many)
    assert abs(noise.var() - 1) < SIGMAS * math.sqrt(2 / many)
    assert abs(torch.corrcoef(torch.stack((noise[1:].flatten(), noise[:-1].flatten())))[0, 1]) < SIGMAS / math.sqrt(
        many
    )
    assert len(set(noise[:, 0].tolist())) == len(noise)


def test_posterior_is_drawn_around_its_mean_in_training_and_is_the_mean_where_held():
    stored = Stored(clips(9, windows=1), keeps="both")
    for one in stored.latents:
        one[..., 2:] = math.log(4)  # a deviation of 2
    given = feed(stored, "data.codec=vae", "data.keeps=both", "run.batch=60")
    means = {
        clip.clip_id: one[0, ..., :2].astype(np.float32) for clip, one in zip(stored.clips, stored.latents, strict=True)
    }
    drawn, noise = [], []
    for piece in (piece for step in range(10) for piece in given.step(step)):
        for clip_id, latents, added in zip(piece.clip_ids, piece.latents_BCTHW, piece.noise_BCTHW, strict=True):
            drawn.append(latents.permute(1, 2, 3, 0).numpy() - means[clip_id])
            noise.append(added.permute(1, 2, 3, 0).numpy())
    off, noise = np.array(drawn, np.float64).ravel() / 2, np.array(noise, np.float64).ravel()
    assert abs(off.mean()) < SIGMAS / math.sqrt(off.size)
    assert abs(off.var() - 1) < SIGMAS * math.sqrt(2 / off.size) + 1e-3  # log 4 in float16
    assert abs(np.mean(off * noise)) < SIGMAS / math.sqrt(off.size)
    for piece in given.held():
        for clip_id, latents in zip(piece.clip_ids, piece.latents_BCTHW, strict=True):
            assert np.array_equal(latents.permute(1, 2, 3, 0).numpy(), means[clip_id])


def test_datasets_are_mixed_by_weight_exactly():
    stored = [Stored(clips(30 + place, name=f"d{place}", windows=1)) for place in range(3)]
    weights = (0.5, 0.2, 0.3)
    given = DataFeed(
        [Member(one, "m", weight) for one, weight in zip(stored, weights, strict=True)], recipe("run.batch=100")
    )
    for thousand in range(3):
        drawn = [one.member for step in range(thousand * 10, thousand * 10 + 10) for one in given.drawn(step)]
        assert Counter(drawn) == {0: 500, 1: 200, 2: 300}


HELD = [  # clips, wanted, held
    *(
        (0 + count, 4, held)
        for count, held in ((1, 0), (2, 0), (3, 1), (4, 2), (5, 2), (6, 2), (9, 3), (11, 3), (12, 4), (90, 4))
    ),
    *((90, wanted, held) for wanted, held in ((0, 0), (1, 2), (30, 30), (64, 30))),
]


@pytest.mark.parametrize(("count", "wanted", "held"), HELD)
def test_as_many_clips_are_held_out_as_the_rule_says(count, wanted, held):
    chosen = hold_out([Member(Stored(clips(count)), "one")], wanted)
    assert len(chosen.clips[0]) == held
    assert chosen.by == ("video" if held else "none")


def test_whole_videos_are_held_out_where_it_can_be():
    stored = Stored(clips(60, a_video=5))
    chosen = hold_out([Member(stored, "one")], 18)
    videos = Counter(stored.clips[number].video_id for number in chosen.clips[0])
    assert chosen.by == "video"
    assert set(videos.values()) == {5}
    assert len(videos) == 3
    few = hold_out([Member(Stored(clips(60, a_video=30)), "one")], 18)
    assert (few.by, len(few.clips[0])) == ("clip", 18)


def test_a_video_in_two_datasets_is_held_out_of_both():
    both = [
        Member(Stored(clips(40, a_video=2)), "one"),
        Member(Stored(clips(20, a_video=2, shape=(2, 2, 2, 2))), "other"),
    ]
    first, second = (
        {member.latents.clips[number].video_id for number in held}
        for member, held in zip(both, hold_out(both, 20).clips, strict=True)
    )
    trained = {clip.video_id for clip in both[1].latents.clips} - second
    assert second
    assert not first & trained


def test_held_out_clips_are_never_trained_on_and_the_same_for_every_seed():
    stored = Stored(clips(60, a_video=3))
    held = []
    for seed in (0, 1):
        given = feed(stored, f"run.seed={seed}", "validation.clips=18")
        trained = {one.clip.clip_id for step in range(30) for one in given.drawn(step)}  # five epochs
        held.append(told_held := {clip_id for piece in given.held() for clip_id in piece.clip_ids})
        assert not trained & told_held
        assert trained | told_held == {clip.clip_id for clip in stored.clips}
    assert held[0] == held[1]


def test_held_samples_are_every_clip_window_and_level_with_the_same_noise_always():
    stored = Stored(clips(12, windows=3))
    changes = ("validation.clips=12", "validation.levels=5", "run.micro_batch=7")
    given = feed(stored, *changes)
    pieces = given.held()
    assert sum(map(len, pieces)) == 4 * 3 * 5  # 4 of 12 are held out; 12 / 4 windows of each
    assert max(map(len, pieces)) <= 7
    other = feed(stored, *changes, "run.seed=3").held()
    for piece, again, others in zip(pieces, given.held(), other, strict=True):
        for one in (again, others):
            assert piece.clip_ids == one.clip_ids
            assert torch.equal(piece.noise_BCTHW, one.noise_BCTHW)
            assert torch.equal(piece.latents_BCTHW, one.latents_BCTHW)
    whole = {
        name: torch.cat([getattr(piece, name) for piece in pieces]) for name in ("noise_BCTHW", "time_B", "text_BLX")
    }
    ids = [clip_id for piece in pieces for clip_id in piece.clip_ids]
    assert set(Counter(ids).values()) == {3 * 5}
    assert whole["time_B"].sort().values.tolist() == pytest.approx(
        [0.1] * 12 + [0.3] * 12 + [0.5] * 12 + [0.7] * 12 + [0.9] * 12
    )
    assert len({noise.numpy().tobytes() for noise in whole["noise_BCTHW"].contiguous()}) == 60
    likeliest = {clip.clip_id: clip.texts[0][0] for clip in stored.clips}
    assert [int(text[0, 0]) for text in whole["text_BLX"]] == [likeliest[clip_id] for clip_id in ids]
    latents = {latents.contiguous().numpy().tobytes() for piece in pieces for latents in piece.latents_BCTHW}
    assert len(latents) == 4 * 3


class Broken(Stored):
    """The third clip cannot be read."""

    def read(self, clip: int, window: int, out: np.ndarray) -> None:
        if clip == 2:
            raise OSError("the disk is gone")
        super().read(clip, window, out)


def test_error_of_a_thread_comes_out_at_its_step():
    broken = feed(Broken(clips(40)), "validation.clips=0", "run.batch=4")
    bad = next(
        step
        for step in range(10)
        if broken.members[0].latents.clips[2].clip_id in {one.clip.clip_id for one in broken.drawn(step)}
    )
    with Ahead(broken, Seat(), first=0, threads=2) as coming:
        for _ in range(bad):
            coming.take()
        with pytest.raises(OSError, match="disk is gone"):
            coming.take()


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([], "needs a dataset"),
        ([Member(Stored([], failed=3), "empty")], "none of the 3 clips"),
        ([Member(Stored(clips(4)), "one", 0.0)], "weight 0.0"),
        ([Member(Stored(clips(4)), "one", math.nan)], "weight nan"),
        ([Member(Stored(clips(4)), "one"), Member(Stored(clips(4), codec="d"), "other")], "other: its codec is d"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(members, said):
    with pytest.raises(UsageError, match=said):
        DataFeed(members, recipe())


def test_times_stay_below_one_in_single_precision():
    """A draw of 53 bits would round up to 1, of which a schedule has no time, once in 33 million."""
    largest = (2**24 - 1) / 2**24
    assert float(np.float32(largest)) == largest < 1
    draws = [uniform(0, str(number), epoch=0, purpose="x") for number in range(2000)]
    assert all(draw * 2**24 == int(draw * 2**24) and 0 <= draw <= largest for draw in draws)


# drawn evenly


def each(pieces: Iterable[Samples]) -> list[tuple[str, float, bytes]]:
    """Clip, time and noise of each sample."""
    return [
        (clip_id, time, noise.contiguous().numpy().tobytes())
        for piece in pieces
        for clip_id, time, noise in zip(piece.clip_ids, piece.time_B.tolist(), piece.noise_BCTHW, strict=True)
    ]


def test_evened_steps_are_the_same_for_any_processes_and_a_clip_drawn_again_has_other_noise():
    given, split = evened(), evened("run.micro_batch=2")
    repeated = 0
    for step in range(30):
        whole, pieces = given.step(step), [piece for rank in range(3) for piece in split.step(step, seat=Seat(rank, 3))]
        assert sorted(each(whole)) == sorted(each(pieces))
        assert len({time for _, time, _ in each(whole)}) == len({noise for _, _, noise in each(whole)}) == 12
        names = [one.name for one in given.drawn(step)]
        repeated += sum(" " in name for name in names)
    assert repeated > 10


def test_an_epoch_draws_clips_by_the_sizes_of_their_clusters():
    given = evened("validation.clips=0")
    source = given.order.sources[0]
    seen = Counter()
    draws = [one for step in range(250) for one in given.drawn(step) if one.member == 0]
    epochs = len(draws) // source.count
    seen.update(one.clip.clip_id for one in draws[: epochs * source.count])
    assert epochs >= 70
    ids = given.members[0].latents.clips.names("clip_id")
    mean = np.array([seen[name] / epochs for name in ids])
    wanted = balance.weights(given.members[0].traits.cluster, given.members[0].traits.group, strength=1)
    np.testing.assert_allclose(mean, wanted, atol=3 / epochs)
    assert mean[19:22].min() > 2 * mean[:11].max()
    assert given.said() == [
        "first: drawn evenly over 4 clusters in 3 groups: a clip 0.36 to 4 times an epoch, the largest group 32% of the draws, not 76%; "
        "1 clips are in no cluster"
    ]


def test_steps_of_a_clip_in_an_evened_run_are_told_by_its_folder(tmp_path):
    given = evened()
    provenance.write(tmp_path / "run", given.record())
    record = provenance.read(tmp_path / "run")
    assert record == given.record()
    seen = scanned(given, 60)
    for source in record.sources:
        for clip_id in source.trained:
            answer = provenance.which_steps(record, clip_id, until=60)
            assert sorted((sight.step, sight.epoch) for sight in answer.seen) == sorted(seen.get(clip_id, []))
    back = Counter((step, clip_id, epoch) for step, clip_id, epoch in provenance.clips_of(record, 0, 60))
    assert back == Counter((step, clip_id, epoch) for clip_id, sights in seen.items() for step, epoch in sights)
    moved = replace(
        record, sources=(replace(record.sources[0], shares=record.sources[0].shares[::-1]), record.sources[1])
    )
    assert any("other clusters" in line for line in provenance.difference(record, moved))
    assert record.digest != moved.digest
    assert any("draw.balance" in line for line in provenance.difference(record, mixed().record()))


# by noise


def test_clips_with_motion_are_drawn_at_high_noise_and_sharp_ones_at_low_noise():
    """Motion rises from clip to clip, sharpness falls: of ranks a and b the density is 1 + (a - b)(2 x - 1), its mean 1/2 + (a - b) / 6."""
    changes = ("draw.balance=0", "validation.clips=0")
    given, flow, plain = (
        evened(*changes, *more)
        for more in (("draw.by_noise=1",), ("draw.by_noise=1", "process.predicts=flow", "process.zero_snr=false"), ())
    )
    times: dict[int, list[float]] = {}
    for step in range(500):
        for one, other, bare in zip(given.drawn(step), flow.drawn(step), plain.drawn(step), strict=True):
            assert one.name == other.name == bare.name
            if one.member == 0:
                times.setdefault(one.number, []).append(one.time)
                tilt = given.members[0].traits.tilts(np.arange(25), given.recipe.draw)[one.number]
                assert (one.time == bare.time) or tilt  # only a tilt changes a time
                assert 0 <= one.time < 1
                assert one.time * 2**24 == int(one.time * 2**24)
                if tilt > 0:
                    assert one.time >= bare.time >= other.time
            else:
                assert one.time == bare.time == other.time  # a dataset without traits
    for number, drawn in times.items():
        if number != 7:  # its sharpness is not known: the middle
            rank = number / 24
            sharp = (sorted(set(range(25)) - {7}, reverse=True).index(number)) / 23
            assert np.mean(drawn) == pytest.approx(0.5 + (rank - sharp) / 6, abs=SIGMAS * 0.29 / len(drawn) ** 0.5)
    every = [time for drawn in times.values() for time in drawn]
    assert np.histogram(every, 4, (0, 1))[0] / len(every) == pytest.approx(
        [0.25] * 4, abs=SIGMAS * (0.25 * 0.75 / len(every)) ** 0.5
    )


def test_noise_of_held_out_samples_is_as_without_and_other_measures_are_another_run():
    given, plain = evened("draw.by_noise=1"), evened()
    for one, other in zip(given.held(), plain.held(), strict=True):
        assert torch.equal(one.time_B, other.time_B)
        assert torch.equal(one.noise_BCTHW, other.noise_BCTHW)
    assert given.record().sources[0].digest != plain.record().sources[0].digest
    assert given.record().sources[1].digest == plain.record().sources[1].digest
    assert given.record() == evened("draw.by_noise=1").record()


@pytest.mark.parametrize("tilt", [-QUANTA, -QUANTA // 3, 1, QUANTA // 2, QUANTA])
def test_tilted_times_have_the_density_on_paper(tilt):
    """By the quantiles of 4000 even numbers: P(x < c) = (1 - t) c + t c^2."""
    t, drawn = tilt / QUANTA, np.array([tilted((number + 0.5) / 4000, tilt) for number in range(4000)])
    assert (np.diff(drawn) > 0).all()
    for c in (0.1, 0.5, 0.9):
        assert (drawn < c).mean() == pytest.approx((1 - t) * c + t * c * c, abs=1e-3)
    assert [tilted(end, tilt) for end in (0.0, 1 - 2**-24)] == pytest.approx([0, 1], abs=1e-3)


# provenance


def scanned(given: DataFeed, steps: int) -> dict[str, list[tuple[int, int]]]:
    """(step, epoch) of each clip, from the samples themselves."""
    seen: dict[str, list[tuple[int, int]]] = {}
    for step in range(steps):
        for piece in given.step(step):
            for clip_id, epoch in zip(piece.clip_ids, piece.epochs, strict=True):
                seen.setdefault(clip_id, []).append((step, epoch))
    return seen


def test_steps_of_a_clip_are_those_a_scan_finds(tmp_path):
    given = mixed()
    provenance.write(tmp_path / "run", given.record())
    record = provenance.read(tmp_path / "run")
    assert record == given.record()
    for until in (0, 1, 40, 200):
        seen = scanned(given, until)
        for source in record.sources:
            for clip_id in source.trained:
                answer = provenance.which_steps(record, clip_id, until=until)
                assert answer.state == "trained"
                assert [(sight.step, sight.epoch) for sight in answer.seen] == sorted(seen.get(clip_id, []))
    wide = {clip_id: [(step, epoch) for step, epoch in sights if 30 <= step < 40] for clip_id, sights in seen.items()}
    back: dict[str, list[tuple[int, int]]] = {}
    for step, clip_id, epoch in provenance.clips_of(record, 30, 40):
        back.setdefault(clip_id, []).append((step, epoch))
    assert {clip_id: sorted(sights) for clip_id, sights in back.items()} == {
        clip_id: sorted(sights) for clip_id, sights in wide.items() if sights
    }


def test_answer_lists_steps_with_their_epochs():
    sights = tuple(provenance.Sight(step, epoch, "one") for step, epoch in ((0, 0), (0, 1), (3, 2)))
    answer = provenance.Answer("c", 9, "trained", sights)
    assert answer.said() == "clip c: seen 3 times in the first 9 steps, by the steps 0 (epoch 0, 1), 3 (epoch 2)"
    assert replace(answer, seen=()).said() == "clip c: seen 0 times in the first 9 steps"


def test_clip_held_out_or_unknown_has_a_clear_answer():
    record = mixed().record()
    held = record.sources[0].held[0]
    assert "held out" in provenance.which_steps(record, held, until=9).said()
    assert provenance.which_steps(record, held[:12], until=9).clip_id == held
    assert provenance.which_steps(record, "nothing", until=9).state == "unknown"
    with pytest.raises(UsageError, match="clips start with"):
        provenance.which_steps(record, "", until=9)


def test_newest_checkpoint_says_how_many_steps_are_done(tmp_path):
    assert provenance.steps_done(tmp_path) == 0
    (tmp_path / "checkpoints").mkdir()
    for name in ("00000100.json", "00000090.json", "00000110.safetensors"):
        (tmp_path / "checkpoints" / name).touch()
    assert provenance.steps_done(tmp_path) == 100


def test_record_says_what_the_query_counted():
    stored = Stored(clips(12), failed=3)
    [source] = feed(stored).record().sources
    assert (source.wanted, len(source.trained), len(source.held), source.failed) == (15, 8, 4, 3)
    assert feed(stored).record().said() == [
        "one: 15 clips by the query; 8 trained on, 4 held out (whole videos), 3 failed to encode"
    ]


def test_difference_names_clips_and_settings():
    stored = Stored(clips(12))
    before = feed(stored).record()
    same = feed(stored, "run.loaders=3", "run.steps=9", "watch.guidance=2", "data.codec_folder=/elsewhere").record()
    assert provenance.difference(before, same) == []
    other = provenance.difference(before, feed(stored, "optimizer.lr=0.5", "run.batch=4").record())
    assert other == ["`optimizer.lr` was 0.001, now it is 0.5", "`run.batch` was 8, now it is 4"]
    gone = next(clip for clip in stored.clips if clip.clip_id in before.sources[0].trained)
    fewer = Stored([clip for clip in stored.clips if clip is not gone])
    added = [StoredClip("zz", "zz", (4, 2, 3, 2), 1, ())]
    lines = provenance.difference(before, feed(Stored([*fewer.clips, *added])).record())
    assert f"one: 1 clips fewer trained on: {gone.clip_id}" in lines
    assert any("1 clips more" in line and line.endswith(": zz") for line in lines)
    changed = replace(before, sources=(replace(before.sources[0], digest="new"),))
    assert ["other latents, texts" in line for line in provenance.difference(before, changed)] == [True]
    assert before.digest != changed.digest


def test_a_run_of_an_earlier_default_goes_on_with_it_unless_told_otherwise(tmp_path):
    then = mixed("data.text_tokens=32").record()
    assert provenance.as_begun(tmp_path / "run", recipe()) == (recipe(), [])
    provenance.write(tmp_path / "run", then)
    assert (
        provenance.as_begun(tmp_path / "run", recipe())[0].data.text_tokens == recipe().data.text_tokens > 32
    )  # no step yet
    (tmp_path / "run/checkpoints").mkdir()
    (tmp_path / "run/checkpoints/00000001.json").write_text("{}")
    goes_on, said = provenance.as_begun(tmp_path / "run", recipe("draw.images=0.2", "run.batch=12"))
    assert said == ["data.text_tokens stays 32, the default when this run began; today's is 160"]
    assert provenance.difference(then, replace(then, recipe=goes_on)) == []
    told, said = provenance.as_begun(tmp_path / "run", recipe("data.text_tokens=160"))
    assert (told.data.text_tokens, said) == (160, [])


def test_run_folder_of_another_run_or_with_mixed_up_files_is_refused(tmp_path):
    record = mixed().record()
    provenance.write(tmp_path / "run", mixed("run.seed=9").record())  # it came to nothing: no step was committed
    provenance.write(tmp_path / "run", record)
    (tmp_path / "run/checkpoints").mkdir()
    (tmp_path / "run/checkpoints/00000001.json").write_text("{}")
    provenance.write(tmp_path / "run", replace(record, recipe=mixed("run.steps=7").recipe))
    assert provenance.read(tmp_path / "run").recipe.run.steps == 7
    with pytest.raises(UsageError, match=r"run\.seed.*another folder"):
        provenance.write(tmp_path / "run", mixed("run.seed=5").record())
    (tmp_path / "run/clips-1.parquet").replace(tmp_path / "run/clips-0.parquet")
    with pytest.raises(UsageError, match="does not list"):
        provenance.read(tmp_path / "run")
    with pytest.raises(UsageError, match="no training run"):
        provenance.read(tmp_path)
