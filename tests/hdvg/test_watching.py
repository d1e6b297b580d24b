"""What a run tells of itself while it trains: the curve, the log and the floor, after kills and in several processes too."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.tools import need

# ruff: noqa: E402 - what follows cannot be imported where `need` skips the file
need("torch", "safetensors")

import torch
from rich.console import Console

from hdvg.dataset.store import Store
from hdvg.training import journal
from hdvg.training.flops import count
from hdvg.training.loop import Loop
from hdvg.training.monitor import Curve, Watching, averaged, step_floor, step_flop
from hdvg.training.parallel import Team
from hdvg.training.samples import Samples
from hdvg.training.settings import TrainRecipe
from hdvg.training.steps import Stepper
from hdvg.training.validation import Losses
from tests import training

LEVELS = (0.25, 0.75)


@pytest.fixture(autouse=True)
def _same_numbers_each_time() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


class Held(training.Drawn):
    """Three of the clips are held out, each at two levels."""

    def held(self) -> list[Samples]:
        (everything,) = training.Drawn(self.recipe(6), clips=3).step(0)
        return [replace(everything, time_B=torch.full((6,), level)) for level in LEVELS]

    def recipe(self, batch: int) -> TrainRecipe:
        return training.micro(run={"batch": batch})


def watched(folder: Path, recipe: TrainRecipe, *, sample: Any = None) -> tuple[Loop, Watching, io.StringIO]:
    """A run that is ready to begin, and where it speaks."""
    said = io.StringIO()
    loop = training.loop(folder, recipe, feed=Held(recipe))
    watching = Watching(loop.stepper, loop.feed, loop.store, console=Console(file=said, width=250), sample=sample)
    loop.shows = watching
    return loop, watching, said


def trained(folder: Path, recipe: TrainRecipe, **given: Any) -> str:
    loop, watching, said = watched(folder, recipe, **given)
    loop.run()
    watching.close()
    return said.getvalue()


def test_run_writes_its_curve_log_and_floor(tmp_path: Path) -> None:
    recipe = training.micro(run={"steps": 20, "batch": 4}, validation={"every_steps": 10}, optimizer={"lr": 0.02})
    said = trained(tmp_path / "run", recipe)
    lines = list(journal.read(tmp_path / "run"))
    curve = [line for line in lines if "validation" in line]
    assert [line["step"] for line in curve] == [0, 10, 20]
    assert "validation_change" not in curve[0]
    first, last = curve[0], curve[-1]
    assert last["validation_change"] == pytest.approx(last["validation"] - first["validation"])
    assert last["validation_since_last"] == pytest.approx(last["validation"] - curve[1]["validation"])
    assert last["validation_change_low"] <= last["validation_change"] <= last["validation_change_high"]
    assert first["validation"] == pytest.approx((first["validation_level_0.250"] + first["validation_level_0.750"]) / 2)
    steps = [line for line in lines if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 21))
    assert all(0 < line["of_floor"] < 1 for line in steps)
    assert "step 20" in said
    assert "change" in said


def test_validation_is_of_the_running_mean_and_leaves_no_trace(tmp_path: Path) -> None:
    recipe = training.micro(run={"steps": 6, "batch": 4})
    loop, watching, _ = watched(tmp_path / "run", recipe)
    loop.run()
    stepper = loop.stepper
    before = {name: tensor.clone() for name, tensor in stepper.state().items()}
    with averaged(stepper):
        for name, weight in stepper.model.named_parameters():
            assert torch.equal(weight, before[f"ema.2.{name}"])
        assert not torch.equal(stepper.model.conv_in.weight, before["model.conv_in.weight"])
        assert not stepper.model.training
    watching.validate(stepper)
    assert stepper.model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in stepper.state().items())
    watching.close()


def test_resumed_run_has_the_log_and_curve_of_one_that_was_not_stopped(tmp_path: Path) -> None:
    """The stopped one had gone on for two steps and a validation after its last checkpoint."""
    sections = {"validation": {"every_steps": 2}, "checkpoints": {"every_steps": 3}}
    trained(tmp_path / "whole", training.micro(run={"steps": 7, "batch": 4}, **sections))
    loop, watching, _ = watched(tmp_path / "cut", training.micro(run={"steps": 7, "batch": 4}, **sections))
    loop.run(stop=lambda: 143 if loop.stepper.done == 5 else None)
    watching.close()
    for extension in ("json", "safetensors"):
        (tmp_path / "cut" / "checkpoints" / f"00000005.{extension}").unlink()
    trained(tmp_path / "cut", training.micro(run={"steps": 7, "batch": 4}, **sections))
    told = ("step", "loss", "gradient_norm", "validation", "validation_change", "validation_since_last_low")
    whole, cut = (
        [{key: line[key] for key in told if key in line} for line in journal.read(tmp_path / name)]
        for name in ("whole", "cut")
    )
    assert cut == whole
    assert len(whole) > 10
    for path in (tmp_path / "whole" / "validation").iterdir():
        assert (tmp_path / "cut" / "validation" / path.name).read_bytes() == path.read_bytes()


def test_curve_forgets_what_comes_after_the_resumed_step(tmp_path: Path) -> None:
    store = Store(tmp_path, run="test")
    store.begin()
    curve = Curve(store)
    for step, loss in ((0, 3.0), (10, 2.0), (20, 1.0)):
        values = curve.add(step, Losses.of([("a", 0, 0.5, loss), ("b", 0, 0.5, loss + 1)]))
    assert (values["validation_change"], values["validation_since_last"]) == (-2.0, -1.0)
    curve.begin(10)
    again = curve.add(20, Losses.of([("a", 0, 0.5, 4.0), ("b", 0, 0.5, 5.0)]))
    assert (again["validation_change"], again["validation_since_last"]) == (1.0, 2.0)
    curve.begin(0)
    assert "validation_change" not in curve.add(0, Losses.of([("a", 0, 0.5, 4.0)]))


def test_flops_are_of_the_steps_own_shapes() -> None:
    """Every second clip is an image, and each clip comes once in two steps: half of the samples are images."""
    recipe = training.micro(run={"steps": 1, "batch": 4})
    stepper = Stepper(recipe, training.network(recipe), Team(), device=torch.device("cpu"))
    plain, mixed = (step_flop(stepper, training.Drawn(recipe, clips=4, images=images)) for images in (False, True))
    clip, image = (count(stepper.model.config, (frames, 4, 4), tokens=2).flop for frames in (2, 1))
    assert (plain, mixed) == (4 * clip, 2 * clip + 2 * image)
    assert image < clip / 1.9
    found = step_floor(stepper, training.Drawn(recipe, clips=4))
    assert min(found.math_s, found.state_s, found.weights_s) > 0


def test_samples_are_made_with_the_running_mean(tmp_path: Path) -> None:
    seen: list[tuple[int, float]] = []

    def sample(denoise: Any, step: int) -> None:
        given = torch.ones(1, 2, 2, 4, 4), torch.tensor([500.0]), torch.zeros(1, 2, 8)
        seen.append((step, float(denoise(*given).square().mean())))

    recipe = training.micro(run={"steps": 4, "batch": 4}, watch={"sample_every_steps": 2})
    loop, watching, _ = watched(tmp_path / "run", recipe, sample=sample)
    loop.run()
    assert [step for step, _ in seen] == [2, 4]
    with averaged(loop.stepper) as denoise:
        sample(denoise, 4)
    assert seen[-1] == seen[-2]
    watching.close()
    assert json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[0])["step"] == 0
