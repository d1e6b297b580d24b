"""A micro network and a feed of made-up clips, for tests of the trainer and the processes that they start."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from hdvg.dataset.store import Store
from hdvg.draws import Order, Source, chance
from hdvg.model.unet import UNet
from hdvg.training.loop import End, Loop
from hdvg.training.network import build, configured
from hdvg.training.parallel import Team
from hdvg.training.samples import Samples, Seat
from hdvg.training.settings import TrainRecipe
from hdvg.training.steps import Stepper

CHANNELS, TEXT = 2, (2, 8)
NETWORK = {
    "widths": (4, 8),
    "layers": 1,
    "groups": 2,
    "head_width": 4,
    "attention": (True, False),
    "swap": {"window_tokens": 8},
}


def micro(**sections: Any) -> TrainRecipe:
    """A recipe whose steps take milliseconds."""
    table: dict[str, dict[str, Any]] = {
        "network": {"change": NETWORK},
        "optimizer": {"warmup_steps": 3, "ema_half_lives": (2.0, 20.0)},
        "run": {"steps": 6, "batch": 4},
        "validation": {"every_steps": 1000},
        "checkpoints": {"every_steps": 3},
        "watch": {"log_every_steps": 1},
    }
    return TrainRecipe.model_validate(
        {**table, **{key: {**table.get(key, {}), **value} for key, value in sections.items()}}
    )


def network(recipe: TrainRecipe) -> UNet:
    return build(
        recipe.network, configured(recipe.network, channels=CHANNELS, text_width=TEXT[1]), seed=recipe.run.seed
    )[0]


class Drawn:
    """Clips of random latents, by name; every second one is an image, if so wanted. Rank r of w takes every w-th sample."""

    def __init__(self, recipe: TrainRecipe, *, clips: int = 8, images: bool = False, poison: int | None = None) -> None:
        self.run, self.order = recipe.run, Order(recipe.run.seed, (Source(clips),))
        self.images, self.poison = images, poison

    def step(self, step: int, *, seat: Seat = Seat()) -> list[Samples]:  # noqa: B008
        places = [self.order.at(step * self.run.batch + number) for number in range(self.run.batch)][
            seat.rank :: seat.world
        ]
        pieces = []
        for image in (False, True):
            mine = [place for place in places if (self.images and place.sample % 2 == 1) == image]
            size = self.run.micro_batch or len(mine) or 1
            pieces += [self._piece(mine[at : at + size], image) for at in range(0, len(mine), size)]
        if step == self.poison and pieces:
            pieces[0].latents_BCTHW[0, 0, 0, 0, 0] = torch.nan
        return pieces

    def held(self) -> list[Samples]:
        return []

    def _piece(self, places: list[Any], image: bool) -> Samples:
        shape = (CHANNELS, 1 if image else 2, 4, 4)

        def normal(
            place: Any, purpose: str, epoch: int, shape: tuple[int, ...]
        ) -> np.ndarray[Any, np.dtype[np.float32]]:
            return chance(self.run.seed, f"clip-{place.sample}", epoch=epoch, purpose=purpose).standard_normal(
                shape, np.float32
            )

        def stacked(purpose: str, shape: tuple[int, ...], *, keep: bool = False) -> torch.Tensor:
            return torch.from_numpy(
                np.stack([normal(place, purpose, 0 if keep else place.epoch, shape) for place in places])
            )

        times = [chance(0, f"clip-{place.sample}", epoch=place.epoch, purpose="time").random() for place in places]
        return Samples(
            tuple(f"clip-{place.sample}" for place in places),
            (0,) * len(places),
            tuple(place.epoch for place in places),
            stacked("latents", shape, keep=True),
            stacked("noise", shape),
            torch.tensor(times, dtype=torch.float32),
            stacked("text", TEXT, keep=True),
        )


class Lines:
    """What a run says of itself, kept in lists and as lines of JSON."""

    def __init__(self, path: Path | None = None) -> None:
        self.path, self.rows, self.validated, self.said = path, [], [], []  # type: ignore[var-annotated]

    def begin(self, step: int) -> None:
        if self.path is not None:
            kept = [line for line in self.lines() if line["step"] <= step]
            self.path.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def lines(self) -> list[dict[str, Any]]:
        assert self.path is not None
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self.rows.append({"step": step, **values})
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(self.rows[-1]) + "\n")

    def validate(self, stepper: Stepper) -> None:
        self.validated.append(stepper.done)

    def sample(self, stepper: Stepper) -> None: ...


def loop(folder: Path, recipe: TrainRecipe, *, feed: Any = None, shows: Lines | None = None) -> Loop:
    """A run that is ready to begin."""
    folder.mkdir(exist_ok=True)
    store = Store(folder, run="test")
    team = Team()
    if team.seat.rank == 0:
        store.begin()
    stepper = Stepper(recipe, network(recipe), team, device=torch.device("cpu"))
    shows = shows or Lines()
    return Loop(stepper, feed or Drawn(recipe), store, shows=shows, data="made-up", say=shows.said.append)


def train(folder: Path, recipe: TrainRecipe, **given: Any) -> End:
    return loop(folder, recipe, **given).run()


class Deadly(Lines):
    """Kills its own process right after it wrote a step's line, with the clips that the step saw in it."""

    def __init__(self, path: Path, feed: Drawn, kill_at: int | None) -> None:
        super().__init__(path)
        self.feed, self.kill_at = feed, kill_at

    def write(self, step: int, values: Mapping[str, float]) -> None:
        clips = [clip for piece in self.feed.step(step - 1) for clip in piece.clip_ids]
        super().write(step, {"loss": values["loss"], "norm": values["gradient_norm"], "clips": clips})  # type: ignore[dict-item]
        if step == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def train_until_killed(folder: Path, recipe: TrainRecipe, kill_at: int | None) -> None:
    """The body of a process that is killed after a step."""
    torch.set_num_threads(1)
    feed = Drawn(recipe)
    train(folder, recipe, feed=feed, shows=Deadly(folder / "log.jsonl", feed, kill_at))


def take_part(rank: int, folder: Path, recipes: dict[str, TrainRecipe], images: bool) -> None:
    """The body of one of two processes: each recipe is trained in a folder of its own."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    for name, recipe in recipes.items():
        feed = Drawn(recipe, images=images)
        shows = Lines(folder / f"{name}-{rank}.jsonl")
        train(folder / name, recipe, feed=feed, shows=shows)
    dist.destroy_process_group()


def alive(*bodies: Callable[[], object]) -> list[int]:
    """Run each in a process of its own, all at once, forked from this one; their exit codes."""
    context = multiprocessing.get_context("fork")
    started = [context.Process(target=body) for body in bodies]
    for process in started:
        process.start()
    for process in started:
        process.join()
    return [process.exitcode or 0 for process in started]


def killed_and_whole(folder: Path) -> list[int]:
    """A run killed after every step that `kills.json` names, in order, and one that is not."""
    recipe = micro(run={"steps": 24}, checkpoints={"every_steps": 3, "keep": 2})
    codes = []
    for name, stops in (("whole", []), ("killed", json.loads((folder / "kills.json").read_text()))):
        (folder / name).mkdir()
        for stop in (*stops, None):
            codes += alive(partial(train_until_killed, folder / name, recipe, stop))
    return codes


def two_processes(folder: Path) -> list[int]:
    """Copies, then shards: five samples a step over two processes, at most two at once, images apart from clips."""
    recipes = {kind: uneven(kind) for kind in ("ddp", "fsdp")}
    return alive(*(partial(take_part, rank, folder, recipes, True) for rank in (0, 1)))


def uneven(sharding: str) -> TrainRecipe:
    return micro(run={"steps": 2, "batch": 5, "micro_batch": 2, "sharding": sharding}, checkpoints={"every_steps": 2})


def elsewhere(what: str, folder: Path) -> list[int]:
    """What the function of that name returns, called in a fresh process, from which it is safe to fork."""
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "tests.training", what, str(folder)],
        cwd=root,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    codes: list[int] = json.loads(done.stdout.splitlines()[-1])
    return codes


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](Path(sys.argv[2]))))
