"""A run from its beginning: datasets opened and encoded, what is trained on written down, then the loop, in each process."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from hdvg.dataset.dataset import Dataset
from hdvg.dataset.plugins import keep
from hdvg.dataset.store import Store
from hdvg.errors import UsageError
from hdvg.latents.encode import encode
from hdvg.latents.encoders import load_codec, load_text
from hdvg.latents.online import Online
from hdvg.latents.store import Latents
from hdvg.model.config import ModelConfig
from hdvg.model.unet import UNet
from hdvg.model.weights import refuse_other_process
from hdvg.progress import Bars
from hdvg.training import network, provenance
from hdvg.training.feed import DataFeed
from hdvg.training.generate import Maker, every_so_often
from hdvg.training.load import carry_codec
from hdvg.training.loop import End, Loop
from hdvg.training.monitor import Sampled, Watching
from hdvg.training.parallel import Team
from hdvg.training.settings import TrainRecipe
from hdvg.training.sources import Member
from hdvg.training.steps import Stepper
from hdvg.training.traits import read

Stop = Callable[[], int | None]
LOOKED_AT = 100_000
"""Most clips of a dataset that are asked for texts: the first ones."""
PROMPTS = 4
"""Most captions that are sampled on the way."""


@dataclass(frozen=True)
class Task:
    """What is to be trained, on what, and where the run lies."""

    recipe: TrainRecipe
    datasets: tuple[tuple[Path, float], ...]
    """Each with its weight."""
    folder: Path
    without_texts: bool = False
    """Whether it is wanted though no clip has a text."""


def mixed(words: list[str]) -> tuple[tuple[Path, float], ...]:
    """`DATASET` or `DATASET=WEIGHT`, each. Raises UsageError if a weight is none."""
    found = []
    for word in words:
        path, equals, weight = word.rpartition("=")
        if not equals or Path(word).exists():
            found.append((Path(word).resolve(), 1.0))
            continue
        try:
            found.append((Path(path).resolve(), float(weight)))
        except ValueError as error:
            raise UsageError(f"{word}: the weight is a number: {path}=0.5") from error
    return tuple(found)


def folder_of(datasets: tuple[tuple[Path, float], ...], recipe: TrainRecipe) -> Path:
    """Where a run lies unless it is said: beside its first dataset."""
    first = datasets[0][0].resolve()
    return first.with_name(f"{first.name}-{recipe.name}")


def ready(task: Task, *, say: Callable[[str], object] = print) -> Task:
    """The task with what its run took for defaults when it began, and encoders of one's own kept in the first dataset."""
    recipe, lines = provenance.as_begun(task.folder, task.recipe)
    for line in lines:
        say(line)
    return replace(task, recipe=keep(recipe, Dataset.open(task.datasets[0][0]).store))


@contextmanager
def begun(task: Task, console: Console) -> Iterator[list[str]]:
    """The run's folder, locked until the end, and lines that say what is trained on; clips are encoded first.

    Raises UsageError if a run of other settings or clips lies there, or another hdvg works on it.
    """
    _refuse_foreign(task.folder)
    _refuse_unlearnable(task)
    first, *others = (path for path, _ in task.datasets)
    encoded(first, task.recipe, console)
    for path in others:
        encoded(path, task.recipe, console, like=first)
    feed = opened(task)
    untexted = _untexted(task, feed)
    task.folder.mkdir(parents=True, exist_ok=True)
    store = Store(task.folder, run=uuid.uuid4().hex)
    with store.lock():
        store.begin()
        try:
            record = feed.record()
            provenance.write(task.folder, record)
            carry_codec(task.recipe.data, task.datasets[0][0], store)
            yield [*record.said(), *untexted, *_cut(feed), *feed.said(), _size(task, feed), f"run: {task.folder}"]
        finally:
            store.end()


def _untexted(task: Task, feed: DataFeed) -> list[str]:
    """What is to be said of clips without any text. Raises UsageError if there are no others, unless that is wanted."""
    texts = [
        len(member.latents.clips[at].texts) > 0
        for member in feed.members
        for at in range(min(len(member.latents.clips), LOOKED_AT))
    ]
    if not any(texts) and not task.without_texts:
        raise UsageError(
            f"none of the {len(texts)} clips has a text: the network would learn to make videos of nothing that is asked for; "
            f"write captions first: hdvg caption {task.datasets[0][0]} --captioner tags; or train so: --without-texts"
        )
    without = texts.count(False)
    return [f"{without} of {len(texts)} clips have no text: they are learnt without a prompt"] if without else []


def _cut(feed: DataFeed) -> list[str]:
    """What is to be said of texts that are longer than what is taken of them."""
    said = ((member.name, member.latents.lengths.said()) for member in feed.members)
    return [f"{name}: {line}" for name, line in said if line]


def _refuse_foreign(folder: Path) -> None:
    """Raise UsageError unless a run lies or can lie there."""
    held = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if folder.is_file() or "dataset.toml" in held or (held and "run.lock" not in held):
        what = "is a file" if folder.is_file() else "is a dataset" if "dataset.toml" in held else "holds other files"
        raise UsageError(f"{folder} {what}; name a new folder with --out")


def _refuse_unlearnable(task: Task) -> None:
    """Raise UsageError before a run begins whose network could not learn what it is asked to."""
    if provenance.has_begun(task.folder):
        return
    process, start = task.recipe.process, task.recipe.network.start
    if process.unlearnt:
        raise UsageError(process.unlearnt)
    if start is not None:
        refuse_other_process(Path(start), process)


def work(task: Task, *, stop: Stop, console: Console, device: torch.device) -> End:
    """Train in this process, alone or as one of those of torch.distributed, after `begun`."""
    feed, team = opened(task), Team()
    if changes := provenance.difference(provenance.read(task.folder), feed.record()):
        raise UsageError(f"{task.folder}: the clips changed since the run began: {'; '.join(changes)}; begin again")
    store = Store(task.folder, run=uuid.uuid4().hex)
    if team.seat.rank == 0:
        store.begin()
    recipe = task.recipe
    model, new = network.build(recipe.network, _config(task, feed), seed=recipe.run.seed)
    if new and team.seat.rank == 0:
        console.print(f"{len(new)} weights are new, the others are of {recipe.network.start}")
    stepper = Stepper(recipe, model, team, device=device)
    shows = Watching(stepper, feed, store, console=console, sample=_sampler(task, feed, stepper))
    try:
        loop = Loop(stepper, feed, store, shows=shows, data=feed.record().digest, say=console.print)
        return loop.run(stop)
    finally:
        shows.close()
        if team.seat.rank == 0:
            store.end()


def opened(task: Task) -> DataFeed:
    """The feed over the datasets' latents."""
    kind = Online if task.recipe.draw.online else Latents
    members = []
    for path, weight in task.datasets:
        dataset = Dataset.open(path)
        latents = kind.open(dataset, task.recipe.data, where=task.recipe.draw.where)
        traits = read(dataset, latents.clips.names("clip_id"), task.recipe.draw)
        members.append(Member(latents, dataset.place, weight, traits))
    return DataFeed(members, task.recipe)


def device() -> torch.device:
    """Where one process computes."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _sampler(task: Task, feed: DataFeed, stepper: Stepper) -> Sampled | None:
    """What makes videos on the way, if the recipe wants them, by default of the captions of clips that are held out."""
    if task.recipe.watch.sample_every_steps is None:
        return None
    dataset = task.datasets[0][0]
    prompts = tuple(task.recipe.watch.prompts) or _captions(dataset, feed.record().sources[0].held[:PROMPTS])
    maker = Maker(
        task.recipe.process,
        codec=load_codec(task.recipe.data, dataset),
        text=load_text(task.recipe.data, dataset),
        device=stepper.device,
    )
    return every_so_often(task.recipe, task.folder, maker, prompts=prompts or ("",), writes=stepper.team.seat.rank == 0)


def _captions(dataset: Path, clip_ids: tuple[str, ...]) -> tuple[str, ...]:
    """Those of clips that have one."""
    names = ", ".join(f"'{name}'" for name in clip_ids)
    with Dataset.open(dataset).manifest() as manifest:
        rows = manifest.table(
            f"select caption from dataset where clip_id in ({names or 'null'}) and caption is not null order by clip_id"
        )
    return tuple(rows["caption"].to_pylist())


def encoded(path: Path, recipe: TrainRecipe, console: Console, *, like: Path | None = None) -> None:
    """Encode what is not encoded yet; `like`: by the encoders that this dataset or run keeps."""
    dataset = Dataset.open(path)
    if like is not None:
        with dataset.store.aside() as beside:
            carry_codec(recipe.data, like, beside)
    if recipe.draw.online:
        return
    try:
        Latents.open(dataset, recipe.data, where=recipe.draw.where)
    except UsageError:  # not encoded yet; anything else `encode` says again
        console.print(f"{dataset.place}: clips are encoded first", soft_wrap=True)
        with Bars(console) as bars:
            encode(dataset, recipe.data, where=recipe.draw.where, watch=bars)


def _config(task: Task, feed: DataFeed) -> ModelConfig:
    latents = feed.members[0].latents
    return network.configured(
        task.recipe.network, channels=latents.clips[0].shape[-1], text_width=latents.text_shape[1]
    )


def _size(task: Task, feed: DataFeed) -> str:
    """Parameters, and steps that see every clip once."""
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in UNet(_config(task, feed)).parameters())
    clips, batch = sum(source.count for source in feed.order.sources), task.recipe.run.batch
    return f"{count:,} parameters; {batch} samples a step, {math.ceil(clips / batch)} steps an epoch"
