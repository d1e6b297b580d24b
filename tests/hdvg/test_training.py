"""The trainer: any split of a step is the same step, any kill the same run, and a run that is lost stops aloud."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tools import need

# ruff: noqa: E402 - what follows cannot be imported where `need` skips the file
need("torch", "safetensors", "diffusers")

import torch
from safetensors.torch import load, save_file

from hdvg.errors import DivergedError, UsageError
from hdvg.model.config import ARMS, arm
from hdvg.registry import require
from hdvg.training import checkpoints, runs
from hdvg.training.network import build, configured
from hdvg.training.optimizer import share
from hdvg.training.parallel import Team
from hdvg.training.settings import TrainRecipe
from hdvg.training.steps import Stepper
from hdvg.training.stopping import LONG, Divergence
from tests.training import NETWORK, TEXT, Drawn, Lines, elsewhere, loop, micro, network, train, uneven


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def stepper(recipe: TrainRecipe) -> Stepper:
    return Stepper(recipe, network(recipe), Team(), device=torch.device("cpu"))


def gradient(recipe: TrainRecipe, feed: Drawn) -> torch.Tensor:
    """That of the first step, and its loss as the last number."""
    one = stepper(recipe)
    loss, _ = one.advance(feed.step(0))
    return torch.cat([*(parameter.grad.flatten() for parameter in one.model.parameters()), loss[None]])


def tensors(folder: Path, step: int) -> dict[str, torch.Tensor]:
    return load((folder / f"checkpoints/{step:08d}.safetensors").read_bytes())


def fail(*_: Any) -> None:
    raise AssertionError("nothing was to be said")


# --- a step ---


@pytest.mark.parametrize("images", [False, True])
def test_gradient_is_the_mean_over_samples_however_they_are_split(images):
    whole = gradient(micro(), Drawn(micro(), images=images))
    for size in (1, 2, 3):
        recipe = micro(run={"micro_batch": size})
        assert torch.allclose(gradient(recipe, Drawn(recipe, images=images)), whole, rtol=1e-5, atol=1e-6)


def test_gradient_is_that_of_plain_autograd():
    recipe = micro()
    one = stepper(recipe)
    plain = network(recipe)
    (piece,) = Drawn(recipe).step(0)
    x0, noise, time = piece.latents_BCTHW, piece.noise_BCTHW, one.diffusion.times(piece.time_B)
    alpha, sigma = (level.view(-1, 1, 1, 1, 1) for level in one.diffusion.levels(time))
    said = plain(alpha * x0 + sigma * noise, time, piece.text_BLX)
    loss = (said - (alpha * noise - sigma * x0)).square().mean()
    loss.backward()
    stepped, norm = one.advance([piece])
    assert stepped.item() == pytest.approx(loss.item(), rel=1e-6)
    for mine, theirs in zip(one.model.parameters(), plain.parameters(), strict=True):
        expected = torch.zeros_like(mine) if theirs.grad is None else theirs.grad
        assert torch.allclose(mine.grad * max(norm.item(), 1), expected, rtol=1e-4, atol=1e-6)  # the kernel clipped it


def test_weights_follow_adamw_as_torch_has_it_with_warm_up_clipping_and_rates_by_group():
    recipe = micro(optimizer={"lr": 1e-2, "lr_swap": 5e-2, "clip_norm": 0.1, "warmup_steps": 4})
    one, plain = stepper(recipe), network(recipe)
    rates = {name: 5e-2 if ".swap." in name else 1e-2 for name, _ in plain.named_parameters()}
    groups = [
        {"params": [weight], "lr": rates[name], "weight_decay": 0.01 if weight.ndim > 1 else 0.0}
        for name, weight in plain.named_parameters()
    ]
    adam = torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=False)
    for step in range(6):
        pieces = Drawn(recipe).step(step)
        adam.zero_grad()
        for weight in plain.parameters():
            weight.grad = torch.zeros_like(weight)
        time = one.diffusion.times(pieces[0].time_B)
        one.diffusion.losses(
            plain, pieces[0].latents_BCTHW, noise=pieces[0].noise_BCTHW, time_B=time, text=pieces[0].text_BLX
        ).mean().backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.1)
        for group, (name, _) in zip(adam.param_groups, plain.named_parameters(), strict=True):
            group["lr"] = rates[name] * min(1, (step + 1) / 4)
        adam.step()
        one.advance(pieces)
    for mine, theirs in zip(one.model.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-3, atol=2e-4)


def test_mean_of_weights_is_over_all_steps_by_age_without_the_random_start():
    recipe = micro(optimizer={"ema_half_lives": (2.0, 5.0)})
    one, seen = stepper(recipe), []
    for step in range(7):
        one.advance(Drawn(recipe).step(step))
        seen.append([weight.detach().double() for weight in one.model.parameters()])
    for half, means in one.optimise.means.items():
        counts = [0.5 ** ((6 - step) / half) for step in range(7)]
        for place, mean in enumerate(means):
            by_hand = sum(count * weights[place] for count, weights in zip(counts, seen, strict=True)) / sum(counts)
            assert torch.allclose(mean.double(), by_hand, atol=1e-6)


def test_newest_weights_are_all_of_the_first_mean_and_count_half_of_those_a_half_life_newer():
    assert share(20.0, 1) == 1.0
    assert share(1.0, 1000) == pytest.approx(0.5)
    assert (1 - share(20.0, 10**6)) ** 20 == pytest.approx(0.5)


def test_recomputed_blocks_give_the_same_gradient():
    recipe = micro(network={"checkpointing": "blocks"})
    whole = gradient(micro(), Drawn(micro()))
    assert torch.allclose(gradient(recipe, Drawn(recipe)), whole, rtol=1e-5, atol=1e-7)


def test_arms_share_the_first_weights_of_what_they_share():
    size = configured(micro().network, channels=2, text_width=TEXT[1])
    state = {name: build(micro().network, arm(size, name), seed=1)[0].state_dict() for name in ARMS}
    swapped = state["swap"]
    assert any(
        not torch.equal(one, two)
        for one, two in zip(swapped.values(), network(micro()).state_dict().values(), strict=True)
    )
    for other in state.values():
        assert all(torch.equal(other[name], swapped[name]) for name in other.keys() & swapped.keys())
    assert len(state["none"]) < len(state["temporal"]) < len(swapped)


def test_network_that_cannot_be_is_refused():
    with pytest.raises(UsageError, match=r"network.change: widhts"):
        configured(micro(network={"change": {"widhts": (4, 8)}}).network, channels=2, text_width=8)
    with pytest.raises(UsageError, match="head_width=6"):
        configured(micro(network={"change": {**NETWORK, "head_width": 6}}).network, channels=2, text_width=8)


def test_eight_samples_are_learnt_by_heart(tmp_path):
    # v of a clip at one noise and time is α ε - σ x_0: told from x_t alone it needs x_0, which only this one clip gives
    recipe = micro(
        network={"change": {**NETWORK, "widths": (8, 16)}},
        optimizer={"lr": 1e-2},
        run={"steps": 120, "batch": 8},
        checkpoints={"every_steps": 1000},
    )

    class ByHeart(Drawn):
        def step(self, step: int, **_: Any) -> list[Any]:
            return super().step(0)

    shows, feed = Lines(), ByHeart(recipe)
    train(tmp_path / "run", recipe, feed=feed, shows=shows)
    one = stepper(recipe)
    (piece,) = feed.step(0)
    x0, noise = piece.latents_BCTHW, piece.noise_BCTHW
    target = one.diffusion.target(x0, noise, one.diffusion.times(piece.time_B))
    blind = (target - target.mean(0)).square().mean().item()  # the best that can be said without looking at the input
    assert shows.rows[-1]["loss"] < 0.5 * blind


# --- several processes ---


def test_two_processes_do_what_one_does_with_copies_and_with_shards(tmp_path):
    recipe, shows = uneven("ddp"), Lines()
    train(tmp_path / "one", recipe, feed=Drawn(recipe, images=True), shows=shows)
    assert elsewhere("two_processes", tmp_path) == [0, 0]
    alone = tensors(tmp_path / "one", 2)
    for kind in ("ddp", "fsdp"):
        for rank in (0, 1):
            said = Lines(tmp_path / f"{kind}-{rank}.jsonl").lines()
            for mine, theirs in zip(said, shows.rows, strict=True):
                assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-6)
                assert mine["gradient_norm"] == pytest.approx(theirs["gradient_norm"], rel=1e-5)
        together = tensors(tmp_path / kind, 2)
        assert together.keys() == alone.keys()
        for name, tensor in alone.items():
            assert torch.allclose(together[name], tensor, rtol=1e-4, atol=1e-5), name


# --- going on ---


@pytest.mark.parametrize("count", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_a_run_killed_at_many_steps_is_the_undisturbed_run_bit_by_bit(tmp_path, count):
    chosen = random.Random(count)
    kills = [chosen.randint(1, 24) for _ in range(count - 1)]
    kills = sorted([*kills, kills[0]])  # at least one step twice
    (tmp_path / "kills.json").write_text(json.dumps(kills))
    assert elsewhere("killed_and_whole", tmp_path) == [0, *[-9] * count, 0]
    logs = {name: Lines(tmp_path / name / "log.jsonl").lines() for name in ("whole", "killed")}
    assert [line["step"] for line in logs["whole"]] == list(range(1, 25))
    assert len({line["loss"] for line in logs["whole"]}) == 24
    assert logs["killed"] == logs["whole"]
    told = {name: json.loads((tmp_path / name / "checkpoints/00000024.json").read_text()) for name in logs}
    assert told["killed"]["sha256"] == told["whole"]["sha256"]
    assert sorted(path.name for path in (tmp_path / "killed/checkpoints").iterdir()) == [
        f"{step:08d}.{extension}" for step in (21, 24) for extension in ("json", "safetensors")
    ]


def good_run(folder: Path, **sections: Any) -> TrainRecipe:
    """Six steps with checkpoints after the third and the sixth."""
    recipe = micro(**sections)
    train(folder, recipe)
    assert checkpoints.committed(folder) == [3, 6]
    return recipe


def cut(path: Path, chosen: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: chosen.randrange(path.stat().st_size)])


def flip(path: Path, chosen: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[chosen.randrange(len(content))] ^= 1 << chosen.randrange(8)
    path.write_bytes(bytes(content))


def test_a_checkpoint_cut_or_changed_anywhere_is_not_gone_on_from(tmp_path):
    good_run(tmp_path / "run")
    path, chosen = tmp_path / "run/checkpoints/00000006.safetensors", random.Random(7)
    whole = path.read_bytes()
    for damage in (cut, flip):
        for _ in range(20):
            damage(path, chosen)
            with pytest.raises(ValueError, match="as they were written"):
                checkpoints.read(tmp_path / "run", 6)
            path.write_bytes(whole)
    assert checkpoints.read(tmp_path / "run", 6).step == 6


@pytest.mark.parametrize("how", ["cut", "no json", "torn json", "other format", "gone", "not a number", "other shape"])
def test_a_bad_checkpoint_is_passed_over_aloud_and_made_anew(tmp_path, how):
    recipe = good_run(tmp_path / "run")
    undisturbed = tensors(tmp_path / "run", 6)
    folder = tmp_path / "run/checkpoints"
    file, told = folder / "00000006.safetensors", folder / "00000006.json"
    if how == "cut":
        cut(file, random.Random(1))
    elif how == "gone":
        file.unlink()
    elif how == "no json":
        told.unlink()
    elif how == "torn json":
        told.write_text(told.read_text()[:100])
    elif how == "other format":
        told.write_text(json.dumps({**json.loads(told.read_text()), "format": 2}))
    else:
        first = min(undisturbed)
        bad = undisturbed[first] * torch.nan if how == "not a number" else undisturbed[first][..., :-1].contiguous()
        save_file({**undisturbed, first: bad}, file)
        told.write_text(json.dumps({**json.loads(told.read_text()), "sha256": checkpoints.file_sha256(file)}))
    shows = Lines()
    train(tmp_path / "run", recipe, shows=shows)
    assert [row["step"] for row in shows.rows] == [4, 5, 6]
    assert [
        said for said in shows.said if "00000006" in said and "going on from the one before" in said
    ] or how == "no json"
    for name, tensor in tensors(tmp_path / "run", 6).items():
        assert torch.equal(tensor, undisturbed[name])


def test_pickles_are_never_opened(tmp_path):
    recipe = good_run(tmp_path / "run")

    class Canary:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "canary",)

    for name in ("00000009.pt", "00000006.safetensors"):
        torch.save(Canary(), tmp_path / "run/checkpoints" / name)
    told = tmp_path / "run/checkpoints/00000006.json"
    sha256 = checkpoints.file_sha256(tmp_path / "run/checkpoints/00000006.safetensors")
    told.write_text(json.dumps({**json.loads(told.read_text()), "sha256": sha256}))
    shows = Lines()
    train(tmp_path / "run", recipe, shows=shows)
    assert shows.rows[0]["step"] == 4
    assert not (tmp_path / "canary").exists()


def test_a_finished_run_does_nothing_more_and_a_longer_one_goes_on(tmp_path):
    recipe = good_run(tmp_path / "run")
    shows = Lines()
    assert train(tmp_path / "run", recipe, shows=shows).step == 6
    assert shows.rows == []
    longer = micro(run={"steps": 8})
    assert train(tmp_path / "run", longer, shows=shows).step == 8
    assert [row["step"] for row in shows.rows] == [7, 8]


def test_minutes_count_over_all_runs(tmp_path):
    recipe = good_run(tmp_path / "run")
    told = tmp_path / "run/checkpoints/00000006.json"
    told.write_text(json.dumps({**json.loads(told.read_text()), "spent_s": 59.9999}))
    end = train(
        tmp_path / "run",
        recipe.model_copy(update={"run": recipe.run.model_copy(update={"steps": None, "minutes": 1.0})}),
    )
    assert 6 <= end.step <= 7
    assert "minutes" in end.why


# --- stopping ---


def test_a_stop_is_taken_between_steps_and_leaves_a_checkpoint(tmp_path):
    asked = iter([None, None, 130])
    end = loop(tmp_path / "run", micro()).run(lambda: next(asked))
    assert (end.step, end.code) == (2, 130)
    assert checkpoints.committed(tmp_path / "run") == [2]


def test_a_loss_that_is_not_finite_stops_the_run_before_the_step_and_names_all(tmp_path):
    recipe = micro()
    feed = Drawn(recipe, poison=4)
    one = loop(tmp_path / "run", recipe, feed=feed)
    with pytest.raises(DivergedError) as lost:
        one.run()
    assert "step 4" in str(lost.value)
    assert "checkpoints/00000003.safetensors" in str(lost.value)
    assert all(clip in str(lost.value) for piece in feed.step(4) for clip in piece.clip_ids)
    assert checkpoints.committed(tmp_path / "run") == [3]
    healthy = stepper(recipe)
    for step in range(4):
        healthy.advance(feed.step(step))
    for mine, theirs in zip(one.stepper.model.parameters(), healthy.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_numbers_that_are_not_finite_are_never_committed(tmp_path):
    one = loop(tmp_path / "run", micro())
    one.stepper.advance(one.feed.step(0))
    with torch.no_grad():
        next(one.stepper.model.parameters()).view(-1)[0] = torch.inf
    one._save()
    with pytest.raises(DivergedError, match="not finite"):
        one.keeper.wait()
    assert checkpoints.committed(tmp_path / "run") == []


def test_a_loss_far_above_its_lowest_mean_for_long_is_lost_and_noise_is_not():
    noise = random.Random(3)
    fine = Divergence()
    assert not any(fine.see(0.3 * noise.lognormvariate(0, 0.7)) for _ in range(5000))
    gone = Divergence()
    steps = [gone.see(0.1) for _ in range(100)] + [gone.see(1.0) for _ in range(LONG + 100)]
    assert 100 + LONG < steps.index(True) <= 100 + LONG + 30
    again = Divergence.of(json.loads(json.dumps(replace(gone).state())))
    assert again == gone


def test_what_is_not_installed_is_named_with_its_extra() -> None:
    with pytest.raises(UsageError, match=r"hdvg train needs torch and nothing_such: .*pip install .*\[train\]"):
        require(
            {"torch": "torch", "nothing_such": "nothing_such"},
            called="hdvg train",
            extra="train",
            find=lambda name: None,
        )


def feed_of(*texts: list[tuple[int, float]]) -> Any:
    """As much of a trainer's feed as counts texts."""
    clips = [SimpleNamespace(texts=found) for found in texts]
    return SimpleNamespace(members=[SimpleNamespace(latents=SimpleNamespace(clips=clips))])


def test_training_without_any_text_is_refused_unless_it_is_meant():
    task = runs.Task(micro(), ((Path("d"), 1.0),), Path("run"))
    with pytest.raises(UsageError, match=r"none of the 2 clips has a text: .* --without-texts"):
        runs._untexted(task, feed_of([], []))
    assert runs._untexted(replace(task, without_texts=True), feed_of([], [])) == [
        "2 of 2 clips have no text: they are learnt without a prompt"
    ]
    assert runs._untexted(task, feed_of([(0, 1.0)], [])) == [
        "1 of 2 clips have no text: they are learnt without a prompt"
    ]
    assert runs._untexted(task, feed_of([(0, 1.0)])) == []
