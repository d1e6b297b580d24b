"""Import published metadata into a dataset, made if it is not there; like a run, under its lock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hdvg.config.recipe import Recipe
from hdvg.config.secrets import refuse_secrets
from hdvg.dataset import plugins
from hdvg.dataset.dataset import Dataset, folder_problem
from hdvg.dataset.store import Store
from hdvg.errors import UsageError
from hdvg.planning import make_plan
from hdvg.published.checking import check
from hdvg.published.ingest import Taken, take
from hdvg.published.sets import find_set
from pipelines.recipes import find_recipe
from pipelines.writing import new_run, writing

LINE_EVERY_S = 5.0


def import_files(
    root: Path, files: Sequence[Path], *, origin: str, recipe: str | None, sets: Sequence[str], limit: int | None, console: Console
) -> Iterator[Taken]:  # fmt: skip
    """Take the files of that set into the dataset at `root`, one after the other.

    Raises UsageError (a file that is none of the set, a folder of other files, another run at work), ResourceError.
    """
    published = find_set(origin)
    if problem := folder_problem(root):
        raise UsageError(f"--out: {problem}; name a new folder, or one that hdvg made")
    for path in files:
        if not path.is_file():
            raise UsageError(f"{path}: no such file; name the metadata as {origin} publishes them")
    there = (root / "dataset.toml").exists()
    wanted = recipe_for(origin, recipe or published.recipe, sets) if recipe or sets or not there else None
    if wanted is not None:
        refuse_secrets(wanted)
    if wanted is None or there:
        before = Dataset.open(root)
        plan = before.plan
        if wanted is not None and plugins.keep(wanted, before.store) != plan.recipe:
            raise UsageError(
                f"{root} has other settings: leave --recipe and --set away, and give others to `hdvg run {root} --set …`"
            )
    else:
        root.mkdir(parents=True, exist_ok=True)
        plan = make_plan(plugins.keep(wanted, Store(root)), root=root)
    dataset = Dataset(root.resolve(), plan, Store(root.resolve(), run=new_run()))
    with writing(dataset.store):
        dataset.prepare()
        for path in files:
            with shown(path, console) as say:
                taken = take(dataset, path, origin=origin, limit=limit, say=say)
            yield taken
        dataset.write_views()


def check_files(
    files: Sequence[Path], *, origin: str, recipe: str | None, sets: Sequence[str], limit: int | None, sample: int | None,
    console: Console,
) -> dict[str, Any]:  # fmt: skip
    """Look at the files and a sample of their links; see `hdvg.published.checking.check`."""
    settings = find_recipe(recipe or find_set(origin).recipe, sets).fetch
    return check(
        files, origin=origin, limit=limit, sample=sample, settings=settings, show=partial(shown, console=console)
    )


def recipe_for(origin: str, name: str, sets: Sequence[str]) -> Recipe:
    """The recipe, whose captions are those that the set gives, if it gives any."""
    given = ["caption.captioner=given", "caption.model=null"] if find_set(origin).captions else []
    return find_recipe(name, [*given, *find_set(origin).settings, *sets])


@contextmanager
def shown(path: Path, console: Console) -> Iterator[Callable[[int], None]]:
    """Show how many of the file's bytes are read: a bar with an ETA on a terminal, a line now and then elsewhere."""
    size = path.stat().st_size if path.is_file() else 0
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn(), TextColumn("ETA"),
        TimeRemainingColumn(), console=console, disable=not console.is_terminal,
    )  # fmt: skip
    task = bar.add_task(path.name, total=size)
    start = last = time.monotonic()

    def say(done: int) -> None:
        nonlocal last
        bar.update(task, completed=done)
        now = time.monotonic()
        if not console.is_terminal and now - last > LINE_EVERY_S:
            last = now
            left_s = (now - start) * (size / max(done, 1) - 1)
            console.print(
                f"{now - start:6.1f} s  {path.name}: {done / 1e6:.0f} of {size / 1e6:.0f} MB read  ETA {left_s:.0f} s",
                highlight=False,
            )

    with bar:
        yield say
