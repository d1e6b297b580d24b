"""A run: one lock, one plan, one order of units through the stages, then the shards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from hdvg.config.recipe import Recipe
from hdvg.config.secrets import refuse_secrets
from hdvg.dataset import plugins
from hdvg.dataset.connection import clips_mb
from hdvg.dataset.dataset import Dataset, folder_problem
from hdvg.dataset.plan import Plan
from hdvg.dataset.shards import lost_clips
from hdvg.dataset.stages import CAPTION, DOWNLOAD, MEASURE, comes_before, entry_of
from hdvg.dataset.store import Store
from hdvg.errors import LostClipsError, UsageError
from hdvg.filtering.pool import settle
from hdvg.planning import make_plan, observe, to_take, with_alone, with_rules
from hdvg.reports.status import REPORT, read_report
from hdvg.sources.egress import way_out
from hdvg.sources.folder import is_pipe
from hdvg.sources.links import Columns, Folders, read_links
from hdvg.sources.lists.filter import Choice
from hdvg.sources.lists.source import list_source
from pipelines.apply_blocklist import apply_block_list
from pipelines.graph import check, check_table, find_stage
from pipelines.listing import accept_all
from pipelines.perform import Done, cut_again
from pipelines.progress import Reporter
from pipelines.release_sources import Release, drop_sources
from pipelines.runners import Order
from pipelines.shard_stage import fill_shards
from pipelines.where import Where
from pipelines.writing import new_run, writing

COMPACT_MB = 20.0
"""Of rows of clips, from which on a run keeps the answers of views: some 40,000 clips."""


@dataclass(frozen=True)
class Task:
    """What a run is to do with the dataset."""

    links: Sequence[str] = ()
    choice: Choice = field(default_factory=Choice)
    """Which entries of lists on sites are taken."""
    all_files: bool = False
    """Of folders among the links, every file: not only those that end as videos do."""
    columns: Columns = field(default_factory=Columns)
    """Of tables among the links, the columns that the user names."""
    stage: str | None = None
    """Run only this one, of the table of stages; `measure` is all keyframe measures, `caption` what all writers need."""
    retry: tuple[str, ...] = ()
    new_work: bool = False
    where: Where = field(default_factory=Where)

    def stages(self, plan: Plan) -> tuple[str, ...]:
        """The names of the stages to run, in order."""
        if self.stage is None:
            return plan.stages
        mine = [name for name in plan.stages if self.stage in {entry_of(name).name, entry_of(name).command}]
        return (*plan.for_captions, *mine) if self.stage == CAPTION else tuple(mine)


def run(root: Path, recipe: Recipe, task: Task, console: Console) -> bool:
    """Do the task over the dataset at `root`, made if it is not there; True unless an item ended in an unknown error, or a
    list of links broke off or has no good link.

    Raises UsageError (bad input, another run at work) and ResourceError (disk full); all commits stay.
    """
    check_table()
    check()
    refuse_secrets(recipe)
    problem = folder_problem(root)
    if problem:
        raise UsageError(f"--out: {problem}; name a new folder, or one that hdvg made")
    before = Dataset.open(root) if (root / "dataset.toml").exists() else None
    if before is None:
        _refuse_nothing(root, task, recipe)
        task.where.get_ready(recipe)
    root.mkdir(parents=True, exist_ok=True)
    root = root.resolve()
    store = Store(root, run=new_run())
    recipe = plugins.keep(recipe, store)
    dataset = Dataset(root, _plan(recipe, before, root, everything=task.stage == MEASURE), store)
    with writing(dataset.store):
        if before is not None:
            _announce_changes(dataset, before.plan, console, new_work=task.new_work)
        dataset.prepare()
        drop_sources(dataset)
        listed = accept_all(dataset, task.links, task.choice, console, all_files=task.all_files, columns=task.columns)
        _block(dataset, console)
        if "lost_clip" in task.retry:
            cut_again(dataset, lost_clips(dataset))
        dataset, fine = _pass_stages(dataset, task, console)
        _block(dataset, console)
        if task.stage is None:
            try:
                fine &= fill_shards(dataset, console, spread=task.where.spread(dataset))
            except LostClipsError as lost:
                console.print(f"{len(lost.clips)} cut clips have no file any more: cut again", highlight=False)
                cut_again(dataset, lost.clips)
                dataset, again = _pass_stages(dataset, task, console)
                fine &= again & fill_shards(dataset, console, spread=task.where.spread(dataset))
        drop_sources(dataset)
        if clips_mb(dataset.root) > COMPACT_MB:
            dataset.compact()
    return fine and listed


def _refuse_nothing(root: Path, task: Task, recipe: Recipe) -> None:
    """Raise UsageError before a new dataset is made of no links, or of links that cannot be read."""
    if not task.links:
        raise UsageError(f"{root} is new: say what to put in with --links FILE|FOLDER|URL")
    for source in task.links:
        if list_source(source) is None and not is_pipe(source):
            read_links(source, columns=task.columns, folders=Folders(task.all_files, ways=recipe.fetch))


def _plan(recipe: Recipe, before: Dataset | None, root: Path, *, everything: bool) -> Plan:
    """The plan by the recipe; of a dataset that is there with the measures of the pass that its clips lack: of those that
    nothing asks for if `everything` is to be measured."""
    if before is None:
        return make_plan(recipe, root=root)
    taken = before.plan.recipe.measure.alone | to_take(before, recipe, everything=everything)
    return make_plan(with_alone(recipe, taken), known=before.plan, observed=observe(before), root=root)


def _block(dataset: Dataset, console: Console) -> None:
    """Take out what the block-list names by now; a second link may have brought the same file again."""
    if found := apply_block_list(dataset):
        console.print(f"{found} videos hold what the block-list names: taken out", highlight=False)


def _announce_changes(dataset: Dataset, before: Plan, console: Console, *, new_work: bool) -> None:
    """Say aloud what other settings mean; refuse to fetch or split everything anew unless `new_work` allows it."""
    plan = dataset.plan
    changed = [
        stage for stage in plan.stages if before.fingerprints.get(stage, "") not in ("", plan.fingerprints[stage])
    ]
    if before.recipe.keep != plan.recipe.keep:
        console.print("other rules: verdicts are decided again, by query; no media is touched")
    if changed:
        console.print(f"other settings: {', '.join(changed)} will be done again for all their items")
    if not new_work and any(entry_of(stage).key == "video_id" for stage in changed):
        raise UsageError(
            f"{dataset.root} was made with other settings for {', '.join(changed)}; doing these again for all videos is new work: "
            "add --new-work if you mean it, use another --out, or the settings in its dataset.toml"
        )


def _pass_stages(dataset: Dataset, task: Task, console: Console) -> tuple[Dataset, bool]:
    """Run the task's stages; where verdicts look at the whole pool of clips, it is settled before the cut, and again
    behind the captions if rules look at these.

    Returns the dataset with what it then knows of its pool, and whether no item ended in an unknown error.
    """
    stages = task.stages(dataset.plan)
    if not dataset.plan.pool_wanted or (task.stage and comes_before(task.stage, MEASURE)):
        return dataset, _pass(dataset, stages, task, console)
    after = dataset.plan.after
    fine = _pass(dataset, tuple(name for name in stages if name not in after), task, console)
    on_captions = dataset.plan.verdicts.on_captions
    search = task.where.search(dataset)
    dataset = settle(dataset, to_index=not on_captions, search=search)
    fine &= _pass(dataset, tuple(name for name in stages if name in after), task, console)
    return (settle(dataset, to_index=True, search=search) if on_captions else dataset), fine


def _pass(dataset: Dataset, stages: tuple[str, ...], task: Task, console: Console) -> bool:
    order = plan_order(dataset, stages, retry=task.retry)
    if not order.units:
        if stages:
            console.print(f"nothing to do at {', '.join(stages)}: {_why_nothing(dataset)}", highlight=False)
        return True
    if DOWNLOAD in {stages[first] for first in order.units.values()}:
        way_out(dataset.plan.recipe.fetch)  # a wrong one is said before the runner starts
    totals = {
        stage.name: sum(first <= index for first in order.units.values()) for index, stage in enumerate(order.stages)
    }
    with Reporter(totals, console) as reporter:
        release = Release(dataset, order)

        def report(done: Done) -> None:
            reporter(done)
            release(done)

        def say(line: str) -> None:
            console.print(line, highlight=False, markup=False)

        task.where.make(dataset.plan.recipe, say)(order, report)
    note_report(dataset, reporter.report())
    return reporter.reasons["error"] == 0


def _why_nothing(dataset: Dataset) -> str:
    """Whether all is done, or items still wait at other stages."""
    with dataset.manifest() as manifest:
        waiting = manifest.rows("select stage, count(*) as items from pending group by stage order by stage")
    if not waiting:
        return "all is done"
    listed = ", ".join(f"{row['items']} at {row['stage']}" for row in waiting)
    return f"items wait at other stages first ({listed}); `hdvg run` does them all"


def note_report(dataset: Dataset, stages: dict[str, Any]) -> None:
    """Keep what the run's stages did, for `hdvg status`; of an earlier run nothing stays."""
    last = read_report(dataset.root)
    before = last["stages"] if last and last["run"] == dataset.store.run else {}
    report = {
        "run": dataset.store.run,
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "stages": before | stages,
    }
    dataset.store.replace(REPORT, json.dumps(report, indent=1))


def plan_order(dataset: Dataset, names: Sequence[str], *, retry: tuple[str, ...] = ()) -> Order:
    """The units with pending work at these stages, each from its first such stage on."""
    with dataset.manifest() as manifest:
        manifest.hold("videos", "checked")  # every stage asks for both
        rows = manifest.rows(
            "select i.unit, w.stage from unfinished w join inputs i on i.video_id = w.video_id and i.status = 'new' "
            "where w.old_status is null or w.old_status = 'retry' "
            "or (w.old_status = 'failed' and list_contains(?::varchar[], w.old_reason)) group by all",
            [list(retry)],
        )
    units: dict[str, int] = {}
    for row in sorted(rows, key=lambda row: row["unit"]):
        if row["stage"] in names:
            index = names.index(row["stage"])
            units[row["unit"]] = min(units.get(row["unit"], index), index)
    return Order(dataset.root, dataset.store.run, tuple(find_stage(name) for name in names), units, retry)


def shard(root: Path, console: Console) -> bool:
    """Write, or complete, the shards of the dataset at `root`; True unless a virtual clip ended in an unknown error."""
    dataset = Dataset.open(root, run=new_run())
    with writing(dataset.store):
        _block(dataset, console)
        return fill_shards(dataset, console)


def decide(root: Path, recipe: Recipe) -> Dataset:
    """Give the dataset other rules: its verdicts change with them, no stage runs."""
    current = Dataset.open(root)
    plan = with_rules(current.plan, recipe)
    dataset = Dataset(current.root, plan, Store(current.root, run=new_run()))
    with writing(dataset.store):
        if plan.pool_wanted:
            dataset.publish_seeds()
            dataset.read_back()
            return settle(dataset)
        dataset.prepare()
        return dataset
