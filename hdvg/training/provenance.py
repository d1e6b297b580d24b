"""Which clips a run trains on, and which steps saw a clip: computed from the run's folder and arithmetic, without any log.

A run's folder says it in `train.toml` (the recipe), `data.json` and `clips-<n>.parquet` (column clip_id: the clips trained
on of member n, in the order that `Order` numbers them; `share`, if draws are evened out). `data.json` is written last: it commits.

    {"version": 1, "held_by": "video", "sources": [{"name": …, "weight": 1.0, "wanted": 6, "digest": …, "trained": 4,
     "trained_digest": …, "shares_digest": …, "held": [clip ids]}]}
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w

from hdvg.config.recipe import parse, read_toml
from hdvg.dataset.store import Store
from hdvg.draws import Order, Source
from hdvg.errors import UsageError
from hdvg.ids import digest
from hdvg.training.checkpoints import committed
from hdvg.training.settings import TrainRecipe

VERSION = 1
FIRST = 5
"""Ids named of a longer list."""
LISTED = 20
"""Steps written out in a line."""
EARLIER_DEFAULTS = {"data.text_tokens": 32}
"""Defaults of earlier versions: a run that began with one goes on with it, unless the command says otherwise."""
FREE = (
    *("name", "about", "run.steps", "run.minutes", "run.micro_batch", "run.loaders", "run.sharding", "draw.online"),
    *("data.codec_folder", "data.text_folder", "network.checkpointing", "network.compile"),
    *("validation.every_steps", "checkpoints", "watch"),
)
"""Settings that a resumed run may change: none of them says which sample is seen when, or what is learnt from it."""


@dataclass(frozen=True)
class SourceRecord:
    """The clips of one member; those of `wanted` that are neither trained on nor held out failed to encode."""

    name: str
    weight: float
    wanted: int
    digest: str
    trained: tuple[str, ...]
    held: tuple[str, ...]
    shares: tuple[int, ...] = ()
    """How often each clip is drawn, in proportion; none: each once an epoch."""

    @property
    def failed(self) -> int:
        return self.wanted - len(self.trained) - len(self.held)


@dataclass(frozen=True)
class Record:
    """A run's recipe and its clips."""

    recipe: TrainRecipe
    held_by: Literal["video", "clip", "none"]
    sources: tuple[SourceRecord, ...]

    @property
    def order(self) -> Order:
        sources = (Source(len(one.trained), one.weight, one.shares) for one in self.sources)
        return Order(self.recipe.run.seed, tuple(sources))

    @property
    def digest(self) -> str:
        """What a checkpoint names: every sample that was seen follows from it and the number of steps."""
        sources = [
            (one.digest, one.weight, digest(one.trained), *([digest(one.shares)] if one.shares else []))
            for one in self.sources
        ]
        return digest(self.recipe.run.seed, self.recipe.run.batch, sources)

    def said(self) -> list[str]:
        """A line a member, with the counts."""
        whole = {"video": " (whole videos)", "clip": " (single clips: whole videos did not fit)", "none": ""}
        return [
            f"{one.name}: {one.wanted} clips by the query; {len(one.trained)} trained on, {len(one.held)} held out"
            f"{whole[self.held_by] if one.held else ''}, {one.failed} failed to encode"
            for one in self.sources
        ]


@dataclass(frozen=True)
class Sight:
    """A time that a clip was seen."""

    step: int
    epoch: int
    source: str


@dataclass(frozen=True)
class Answer:
    """All that a run did with a clip before step `until`: unknown, held out, or when it was seen."""

    clip_id: str
    until: int
    state: Literal["trained", "held out", "unknown"]
    seen: tuple[Sight, ...] = ()

    def said(self) -> str:
        """One line."""
        if self.state == "unknown":
            return f"clip {self.clip_id}: this run neither trains on it nor holds it out"
        if self.state == "held out":
            return f"clip {self.clip_id}: held out; no step trains on it"
        steps = [
            f"{step} (epoch {', '.join(str(sight.epoch) for sight in sights)})"
            for step, sights in groupby(self.seen, key=lambda sight: sight.step)
        ]
        listed = f", by the steps {', '.join(steps[:LISTED])}" + (" and more" if len(steps) > LISTED else "")
        return f"clip {self.clip_id}: seen {len(self.seen)} times in the first {self.until} steps" + listed * bool(
            steps
        )


def write(run: Path, record: Record) -> None:
    """Publish the record in a run's folder. Raises UsageError if another one is there of which a step was committed."""
    begun = bool(committed(run))
    if begun:
        changes = difference(read(run), record)
        if changes:
            raise UsageError(f"{run} is a run of other settings or clips: {'; '.join(changes)}; take another folder")
    run.mkdir(parents=True, exist_ok=True)
    with Store(run).aside() as store:
        store.replace("train.toml", tomli_w.dumps(record.recipe.model_dump(mode="json", exclude_none=True)))
        if begun:
            return
        sources = []
        for number, one in enumerate(record.sources):
            store.remove(f"clips-{number}.parquet")  # of a start that came to nothing
            clips = {"clip_id": pa.array(one.trained, pa.string())}
            if one.shares:
                clips["share"] = pa.array(one.shares, pa.int64())
            store.publish_table(f"clips-{number}.parquet", pa.table(clips))
            fields = {"name": one.name, "weight": one.weight, "wanted": one.wanted, "digest": one.digest}
            trained = {
                "trained": len(one.trained),
                "trained_digest": digest(one.trained),
                "shares_digest": digest(one.shares),
            }
            sources.append({**fields, **trained, "held": list(one.held)})
        data = {"version": VERSION, "held_by": record.held_by, "sources": sources}
        store.replace("data.json", json.dumps(data, indent=1) + "\n")


def as_begun(run: Path, recipe: TrainRecipe) -> tuple[TrainRecipe, list[str]]:
    """The recipe, with what the run in this folder took for a default when it began; and a line for each such setting."""
    path = run / "train.toml"
    if not (path.is_file() and committed(run)):
        return recipe, []
    begun, lines = parse(TrainRecipe, read_toml(path), where=str(path)), []
    for name, default in EARLIER_DEFAULTS.items():
        section, _, setting = name.partition(".")
        ours, theirs = getattr(recipe, section), getattr(begun, section)
        if setting in ours.model_fields_set or getattr(theirs, setting) != default or getattr(ours, setting) == default:
            continue
        recipe = recipe.model_copy(update={section: ours.model_copy(update={setting: default})})
        lines.append(f"{name} stays {default}, the default when this run began; today's is {getattr(ours, setting)}")
    return recipe, lines


def has_begun(run: Path) -> bool:
    """Whether a run lies in this folder."""
    return (run / "data.json").is_file()


def read(run: Path) -> Record:
    """What `write` wrote. Raises UsageError if the folder is no run's, or its files do not belong together."""
    try:
        data = json.loads((run / "data.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{run} is no training run (data.json: {error}); see `hdvg train --help`") from error
    if data["version"] != VERSION:
        raise UsageError(f"{run}/data.json is of version {data['version']}; this hdvg reads version {VERSION}")
    recipe = parse(TrainRecipe, read_toml(run / "train.toml"), where=str(run / "train.toml"))
    sources = []
    for number, source in enumerate(data["sources"]):
        path = run / f"clips-{number}.parquet"
        try:
            clips = pq.read_table(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise UsageError(f"{path}: {error}; the run's clips are not known without it") from error
        trained = tuple(clips["clip_id"].to_pylist())
        shares = tuple(clips["share"].to_pylist()) if "share" in clips.column_names else ()
        if digest(trained) != source["trained_digest"] or digest(shares) != source.get("shares_digest", digest(())):
            raise UsageError(f"{path} does not list the clips that data.json counted; copy both from the same run")
        given = {key: source[key] for key in ("name", "weight", "wanted", "digest")}
        sources.append(SourceRecord(**given, trained=trained, held=tuple(source["held"]), shares=shares))
    return Record(recipe, data["held_by"], tuple(sources))


def steps_done(run: Path) -> int:
    """The step of the newest checkpoint: so many steps are in its weights. 0 if there is none."""
    return max(committed(run), default=0)


def which_steps(record: Record, clip_id: str, *, until: int) -> Answer:
    """The steps before `until` that saw a clip, named by its id or how that starts. Raises UsageError if several start so."""
    trained = [
        (place, number, name)
        for place, one in enumerate(record.sources)
        for number, name in enumerate(one.trained)
        if name.startswith(clip_id)
    ]
    held = {name for one in record.sources for name in one.held if name.startswith(clip_id)}
    names = {name for _, _, name in trained} | held
    if len(names) > 1:
        raise UsageError(
            f"{len(names)} clips start with `{clip_id}`, such as {some(sorted(names))}: write more of the id"
        )
    if not trained:
        return Answer(min(names, default=clip_id), until, "held out" if names else "unknown")
    batch, order = record.recipe.run.batch, record.order
    seen = [
        Sight(position // batch, epoch, record.sources[place].name)
        for place, number, _ in trained
        for position, epoch in order.places(place, number, until=until * batch)
    ]
    return Answer(min(names), until, "trained", tuple(sorted(seen, key=lambda sight: (sight.step, sight.epoch))))


def clips_of(record: Record, first: int, until: int) -> Iterator[tuple[int, str, int]]:
    """(step, clip_id, epoch) of every sample of the steps `first` to `until` - 1; a step's in no particular order."""
    batch, order = record.recipe.run.batch, record.order
    for position in range(first * batch, until * batch):
        place = order.at(position)
        yield position // batch, record.sources[place.source].trained[place.sample], place.epoch


def difference(before: Record, now: Record) -> list[str]:
    """What keeps a run from going on as it began, one line each; empty if nothing does."""
    old, new = _flat(before.recipe.model_dump(mode="json")), _flat(now.recipe.model_dump(mode="json"))
    lines = [
        f"`{key}` was {json.dumps(old.get(key))}, now it is {json.dumps(new.get(key))}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key) and not any(key == free or key.startswith(f"{free}.") for free in FREE)
    ]
    if len(before.sources) != len(now.sources):
        return [*lines, f"{len(before.sources)} datasets were mixed, now {len(now.sources)}"]
    for one, other in zip(before.sources, now.sources, strict=True):
        lines += [f"{other.name}: {change}" for change in _changes(one, other)]
    return lines


def _changes(before: SourceRecord, now: SourceRecord) -> Iterator[str]:
    """What is another in a member; its name may be, for a dataset may be moved."""
    if before.weight != now.weight:
        yield f"its weight was {before.weight:g}, now {now.weight:g}"
    for what in ("trained", "held"):
        old, new = set(getattr(before, what)), set(getattr(now, what))
        kind = {"trained": "trained on", "held": "held out"}[what]
        for word, ids in (("more", new - old), ("fewer", old - new)):
            if ids:
                yield f"{len(ids)} clips {word} {kind}: {some(sorted(ids))}"
    if before.shares != now.shares and before.trained == now.trained:
        yield "the same clips in other clusters, so that they would be drawn at other times"
    if before.digest != now.digest and (before.trained, before.held) == (now.trained, now.held):
        yield f"the same clips with other latents, texts or measures (digest {before.digest}, now {now.digest})"


def some(names: list[str]) -> str:
    """The first few, and that there are more."""
    return ", ".join(names[:FIRST]) + (", …" if len(names) > FIRST else "")


def _flat(table: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Settings by their full names."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{path}{key}.") if isinstance(value, dict) else {f"{path}{key}": value}
    return flat
