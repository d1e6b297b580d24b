"""What stands behind `hdvg.open`, `hdvg.run` and `hdvg.load`; the command line calls the same."""

from __future__ import annotations

import functools
import inspect
import json
import logging
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hdvg.dataset.clips import Clip, find_clip, stream_clips
from hdvg.dataset.dataset import Dataset as Folder
from hdvg.dataset.location import local_text
from hdvg.dataset.manifest import VIEWS, Manifest
from hdvg.environment import require_linux
from hdvg.errors import UsageError, suggestion
from hdvg.registry import require
from hdvg.sources.columns import Columns
from hdvg.sources.gather import Links, gather
from hdvg.sources.lists.filter import Choice, check_conditions
from hdvg.training import NEEDS

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from hdvg.config.recipe import Recipe
    from hdvg.filtering.whatif import WhatIf
    from hdvg.reports.explain import Explanation
    from hdvg.reports.status import Status
    from hdvg.training.inference import Model
    from hdvg.training.torch_dataset import TorchDataset

LIMIT_S = 300.0


class Dataset:
    """A dataset to read, as its settings are when it is opened; a run may work on it meanwhile. For one thread at a time.

    It keeps a DuckDB connection until `close`, or the end of a `with` block.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._held: Manifest | None = None

    @property
    def path(self) -> Path:
        """Its folder, absolute."""
        return self._folder.root

    def sql(self, query: str, *, limit_s: float = LIMIT_S) -> pa.Table:
        """The answer to one SELECT over the views, as an Arrow table; nothing outside the dataset is read, nothing written.

        Raises UsageError with DuckDB's words if it is wrong or refused, or takes longer than `limit_s` seconds.
        """
        return self._manifest.select(query, limit_s=limit_s)

    def relation(self, view: str = "dataset") -> duckdb.DuckDBPyRelation:
        """A view as DuckDB's relation, to be filtered, joined and fetched in DuckDB's ways while the dataset is open.

        Raises UsageError if there is no such view.
        """
        if view not in VIEWS:
            raise UsageError(f"no view `{view}`; {suggestion(view, VIEWS, ', '.join(VIEWS))}")
        return self._manifest.connection.sql(f"from {view}")

    def clips(self, where: str | None = None) -> Iterator[Clip]:
        """The clips of which a condition on the view `dataset` holds, such as "keep and aesthetic > 5"; by default all.

        In the order of video ids and time; rows are read in batches, pictures when a clip is asked for them.
        Raises UsageError, at the first clip, if `where` is no condition.
        """
        return stream_clips(self._folder, self._manifest, where)

    def clip(self, clip_id: str) -> Clip:
        """The clip whose id starts with `clip_id`. Raises UsageError if there is none, or several."""
        return find_clip(self._folder, self._manifest, clip_id)

    def torch(
        self,
        *,
        fps: float = 8.0,
        frames: int = 16,
        size: tuple[int, int] = (256, 256),
        seed: int = 0,
        where: str | None = None,
        drop_text: float = 0.0,
        balance: float = 0.0,
    ) -> TorchDataset:
        """A torch Dataset of the kept clips that lie in shards: an index always gives the same sample, whoever asks for it.

        It draws as the trainer does, clip, window and text for each place of an epoch; see `TorchDataset`. `frames` pictures
        at `fps` a second, of `size` (height, width), multiples of 8, cut in the middle; smaller or shorter clips are left out.
        `where`: a further condition on `dataset`. `drop_text`: the share of samples with an empty text, 0-1. `balance`, 0-1: rare
        kinds of clips are drawn more often, as `draw.balance` of a training.
        Raises UsageError if torch is not installed, or no clip is left.
        """
        require({"torch": "torch"}, called="ds.torch()", extra="train")
        self._folder.store.require_shards()
        from hdvg.training.torch_dataset import TorchDataset, recipe_of

        recipe = recipe_of((frames, *size), fps=fps, seed=seed, where=where, drop_text=drop_text, balance=balance)
        return TorchDataset.open(self._folder, recipe)

    def status(self) -> Status:
        """The funnel, what was dropped and failed and why, what is pending, and how fast a run goes: as `hdvg status`."""
        from hdvg.reports.status import status

        return status(self._folder)

    def explain(self, clip_id: str) -> Explanation:
        """All that is known of the clip whose id starts with `clip_id`. Raises UsageError if there is none, or several."""
        from hdvg.reports.explain import explain

        return explain(self._folder, clip_id)

    def what_if(
        self, rules: Sequence[str] = (), *, target_keep: float | None = None, tune: str | None = None
    ) -> WhatIf:
        """What verdicts would be if rules such as "duration_s >= 3" held; nothing is changed.

        With `target_keep`, a share of all clips, 0-1, the bounds of the measures `tune`, such as "sharpness,motion_px_s>=",
        are moved to reach it. Raises UsageError for what is no rule or measure.
        """
        from hdvg.filtering.supposition import supposed

        rules = [rules] if isinstance(rules, str) else rules
        keep, say = self._folder.plan.recipe.keep, logging.getLogger(__name__).info
        return supposed(self._folder, keep, rules, goal=(target_keep, tune), say=say)

    def close(self) -> None:
        """Close the connection; clips and relations that came of it can no longer be read."""
        if self._held is not None:
            self._held.connection.close()
            self._held = None

    @property
    def _manifest(self) -> Manifest:
        if self._held is None:
            self._held = self._folder.manifest(live=True)
            self._held.guard()
        return self._held

    def __enter__(self) -> Dataset:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"hdvg.open({str(self.path)!r})"


def open(path: str | Path) -> Dataset:
    """The dataset at `path`, to read: no lock is taken, nothing is written. Raises UsageError if there is none.

    Of a dataset that was copied into a bucket, such as s3://bucket/dataset, the tables are copied to this machine first, what is new
    of them; a clip's file comes when it is asked for, one that lies in a shard alone does not.
    """
    from hdvg.dataset.remote import open_to_read

    return Dataset(open_to_read(path))


def run(
    recipe: str | Path | None = None,
    *,
    out: str | Path,
    links: Links = (),
    runner: Literal["local", "ray", "serial"] = "local",
    set: Mapping[str, object] | None = None,
    measures: Mapping[str, type | str] | None = None,
    new_work: bool = False,
    all_files: bool = False,
    link_column: str | None = None,
    text_column: str | None = None,
    where: Sequence[str] = (),
    strict: bool = False,
    max_items: int = Choice.most,
) -> Dataset:
    """Run the whole graph into the folder `out`, as `hdvg run` does, and open the dataset. Interrupted, the same call goes on.

    `recipe`: a shipped one's name or a TOML file; by default the settings that the dataset at `out` has. `links`: lists of
    links, folders, video files and URLs, or any iterable of these. `set`: settings by name, such as
    `{"keep.too_short": "duration_s >= 3"}`; None takes a rule away. `measures`: your own, by name (docs/extending.md), each a
    class in a file of its own, or how a recipe names one. `new_work`: accept settings that fetch or split all videos
    anew. `all_files`: of folders, every file. `link_column`, `text_column`: of tables of links. `where`, `strict`,
    `max_items`: of lists on sites, as `hdvg run` takes them. Progress goes to standard error. A warning says if items failed in a way hdvg does not know.
    Raises UsageError for bad input, ResourceError if disk or memory run short; what was done stays.
    """
    from rich.console import Console

    from pipelines.run import Task
    from pipelines.run import run as run_task
    from pipelines.where import Where

    require_linux()
    if runner not in ("local", "ray", "serial"):
        raise UsageError(f"runner = {runner!r}: 'local', 'ray' or 'serial'")
    out, where = local_text(str(out)), [where] if isinstance(where, str) else where
    choice, about_lists = _choice(where, strict=strict, max_items=max_items)
    with tempfile.TemporaryDirectory(prefix="hdvg-links-") as scratch:
        task = Task(
            links=gather(links, Path(scratch), lists_because=about_lists),
            choice=choice,
            all_files=all_files,
            columns=Columns(link_column, text_column),
            new_work=new_work,
            where=Where(runner),
        )
        own = {f"measure.own.{name}": _named(one) for name, one in (measures or {}).items()}
        fine = run_task(Path(out), _recipe(recipe, Path(out), own | dict(set or {})), task, Console(stderr=True))
    if not fine:
        warnings.warn(
            f"{out}: a list of links broke off, or some items failed in a way hdvg does not know: "
            "sql(\"from failures where reason = 'error'\")",
            stacklevel=2,
        )
    return open(out)


def load(run: str | Path, *, checkpoint: int | None = None, weights: Literal["ema", "raw"] = "ema") -> Model:
    """The network that a training run has made, ready to `sample`.

    `checkpoint`: its step, by default the newest good one. `weights`: their running mean, or the weights themselves.
    Raises UsageError if the folder is no run, has no such checkpoint, or torch is not installed.
    """
    require(NEEDS, called="a trained network", extra="train")
    from hdvg.training.inference import Model
    from hdvg.training.load import open_trained

    say = functools.partial(warnings.warn, stacklevel=3)
    return Model(open_trained(Path(run), step=checkpoint, which=weights, say=say), Path(run))


def _choice(where: Sequence[str], *, strict: bool, max_items: int) -> tuple[Choice, str | None]:
    """Which entries of lists on sites are taken, and the name of an option that says so, if one does."""
    if strict and not where:
        raise UsageError("strict goes with where: it drops entries that do not say what a condition needs")
    if max_items < 1:
        raise UsageError(f"max_items = {max_items}: at least 1 entry of each list")
    check_conditions(where)
    used = {"where": where, "max_items": max_items != Choice.most}
    return Choice(max_items, tuple(where), strict), next((name for name, is_used in used.items() if is_used), None)


def _named(one: type | str) -> str:
    """How a recipe names a class. Raises UsageError for one that lies in no file, such as a notebook's."""
    if isinstance(one, str):
        return one
    path = (
        inspect.getsourcefile(one)
        if one.__module__ != "__main__"
        else getattr(sys.modules["__main__"], "__file__", None)
    )
    if path is None or not Path(path).is_file():
        raise UsageError(f"{one.__name__} lies in no file: write it into one, such as my_measures.py, and import it")
    return f"{path}:{one.__qualname__}"


def _recipe(recipe: str | Path | None, out: Path, changes: Mapping[str, object]) -> Recipe:
    """The recipe of that name or file, or the dataset's own, with changes."""
    from hdvg.config.recipe import parse_recipe
    from pipelines.recipes import find_recipe

    overrides = list(_overrides(changes))
    if recipe is not None:
        return find_recipe(str(recipe), overrides)
    own = Folder.open(out).plan.recipe.model_dump(exclude_none=True)
    return parse_recipe(own, overrides, where=f"{out}/dataset.toml")


def _overrides(changes: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """Changes as `--set` takes them: `section.key=value`."""
    for name, value in changes.items():
        if isinstance(value, Mapping):
            yield from _overrides(value, f"{prefix}{name}.")
        else:
            plain = str(value) if isinstance(value, Path) else value
            try:
                yield f"{prefix}{name}={json.dumps(plain, ensure_ascii=False)}"
            except TypeError as error:
                raise UsageError(
                    f"set: {prefix}{name} = {value!r}: text, a number, true or false, or a list"
                ) from error
