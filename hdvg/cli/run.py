"""The commands that run stages: `run`, each stage by itself, `caption`, `shard` and `retry`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdvg.cli import output
from hdvg.cli.arguments import (
    Address,
    AllFiles,
    AllowEnv,
    AllowPrivate,
    Cpus,
    Folder,
    Gpus,
    LinkColumn,
    Links,
    NewRule,
    NewWork,
    Out,
    RunnerName,
    Sets,
    Target,
    TextColumn,
    with_leave,
)
from hdvg.cli.changes import changes_of
from hdvg.cli.list_options import MOST, ListOnly, MaxItems, Strict, Where, choose, show_lists
from hdvg.cli.list_options import Json as ListJson
from hdvg.cli.recipes import of_target
from hdvg.cli.signals import interruptible
from hdvg.dataset.stages import STAGES
from hdvg.errors import UsageError

if TYPE_CHECKING:
    from hdvg.config.recipe import Recipe
    from hdvg.sources.lists.filter import Choice

commands = typer.Typer()


@commands.command()
def run(
    target: Target, links: Links = None, out: Out = None, sets: Sets = None, runner: RunnerName = None,
    cpus: Cpus = None, gpus: Gpus = None, address: Address = None, new_work: NewWork = False, new_rule: NewRule = False,
    all_files: AllFiles = False, link_column: LinkColumn = None, text_column: TextColumn = None,
    allow_private: AllowPrivate = False, allow_env: AllowEnv = None,
    list_only: ListOnly = False, max_items: MaxItems = MOST, conditions: Where = None, strict: Strict = False, as_json: ListJson = False,
) -> None:  # fmt: skip
    """Run the whole graph: links in, Parquet shards out. Interrupt it at will; the same command goes on.

    Example: hdvg run demo --links links.txt --out my-dataset --set 'keep.too_short=duration_s >= 3'
    """
    taken, choice = choose(links, list_only=list_only, most=max_items, where=conditions, strict=strict, as_json=as_json)
    sets = with_leave(sets, private=allow_private, env=allow_env)
    root, recipe = of_target(target, out, sets, new_rule=new_rule, only_read=list_only)
    if list_only:
        return _list(taken, choice, recipe, as_json=as_json)
    _work(
        root,
        recipe,
        links=taken,
        choice=choice,
        all_files=all_files,
        columns=(link_column, text_column),
        new_work=new_work,
        where=(runner, address, cpus, gpus),
    )


def _stage_command(stage: str, doc: str) -> None:
    """Add the command that runs one stage of the graph."""

    def command(
        target: Target, links: Links = None, out: Out = None, sets: Sets = None, runner: RunnerName = None,
        cpus: Cpus = None, gpus: Gpus = None, address: Address = None, new_work: NewWork = False, new_rule: NewRule = False,
        all_files: AllFiles = False, link_column: LinkColumn = None, text_column: TextColumn = None,
        allow_private: AllowPrivate = False, allow_env: AllowEnv = None,
        list_only: ListOnly = False, max_items: MaxItems = MOST, conditions: Where = None, strict: Strict = False, as_json: ListJson = False,
    ) -> None:  # fmt: skip
        taken, choice = choose(
            links, list_only=list_only, most=max_items, where=conditions, strict=strict, as_json=as_json
        )
        sets = with_leave(sets, private=allow_private, env=allow_env)
        root, recipe = of_target(target, out, sets, new_rule=new_rule, only_read=list_only)
        if list_only:
            return _list(taken, choice, recipe, as_json=as_json)
        _work(
            root, recipe,
            links=taken, choice=choice, all_files=all_files, columns=(link_column, text_column), new_work=new_work,
            where=(runner, address, cpus, gpus), stage=stage,
        )  # fmt: skip

    commands.command(stage, help=f"{doc}, and say what changed.")(command)


for entry in STAGES.values():
    if entry.help:
        _stage_command(entry.name, entry.help)


@commands.command()
def caption(
    target: Target, out: Out = None, sets: Sets = None, runner: RunnerName = None,
    cpus: Cpus = None, gpus: Gpus = None, address: Address = None, new_rule: NewRule = False,
    captioner: Annotated[str | None, typer.Option("--captioner", help="write beside the captions there are, with this one")] = None,
    model: Annotated[str | None, typer.Option("--model", help="its model: an id or a folder")] = None,
    name: Annotated[str | None, typer.Option("--name", help="what to call this writer; by default as its captioner")] = None,
    allow_env: AllowEnv = None,
    where: Annotated[
        str | None, typer.Option("--recaption-where", metavar="CONDITION", help="only clips of which this holds")
    ] = None,
) -> None:  # fmt: skip
    """Only caption the kept clips, and check what was written. Both texts of a clip stay; `captions` has the best.

    Example: hdvg caption my-dataset --set caption.captioner=blip2

    To redo the doubtful ones: hdvg caption my-dataset --captioner vlm --recaption-where 'caption_similarity < 0.2'
    """
    if captioner is None and (model or name or where):
        raise UsageError(
            "--model, --name and --recaption-where go with --captioner: say who is to write, such as --captioner vlm"
        )
    if captioner == "none":
        raise UsageError("--captioner none writes nothing; --set caption.also.NAME=null takes a writer away")
    if captioner is not None:
        writer = f"caption.also.{name or captioner}"
        settings = {"captioner": captioner, "model": model, "where": where}
        sets = [
            *(f"{writer}.{key}={json.dumps(value)}" for key, value in settings.items() if value is not None),
            *(sets or []),
        ]
    sets = with_leave(sets, private=False, env=allow_env)
    root, recipe = of_target(target, out, sets, new_rule=new_rule)
    _work(root, recipe, where=(runner, address, cpus, gpus), stage="caption")


@commands.command()
def shard(dataset: Folder) -> None:
    """Write, or complete, the Parquet shards of the kept clips. Example: hdvg shard my-dataset"""
    from pipelines.run import shard as write

    with changes_of(dataset, "shard"), interruptible():
        fine = write(dataset, output.console())
    if not fine:
        raise typer.Exit(1)


@commands.command()
def retry(
    dataset: Folder,
    reason: Annotated[list[str], typer.Option("--reason", help="a failure's reason, such as throttled; may be repeated")],
    sets: Sets = None, runner: RunnerName = None, cpus: Cpus = None, gpus: Gpus = None, address: Address = None,
    new_rule: NewRule = False, allow_private: AllowPrivate = False, allow_env: AllowEnv = None,
) -> None:  # fmt: skip
    """Try failed items again, by reason, and whatever follows from them. Example: hdvg retry my-dataset --reason throttled"""
    from hdvg.errors import REASONS, suggestion

    for name in reason:
        if name not in REASONS:
            raise UsageError(
                f"--reason {name}: no such reason; {suggestion(name, REASONS) or 'there are: ' + ', '.join(REASONS)}"
            )
    sets = with_leave(sets, private=allow_private, env=allow_env)
    root, recipe = of_target(str(dataset), None, sets, new_rule=new_rule)
    _work(root, recipe, where=(runner, address, cpus, gpus), retry=tuple(reason))


def _work(
    root: Path,
    recipe: Recipe,
    *,
    where: tuple[str | None, str | None, int | None, int | None],
    columns: tuple[str | None, str | None] = (None, None),
    **task: Any,
) -> None:
    """Run the graph, or one stage of it, then say what changed; `task` are the other fields of `pipelines.run.Task`."""
    from hdvg.sources.columns import Columns
    from pipelines.run import Task
    from pipelines.run import run as run_task
    from pipelines.where import Where

    task["columns"] = Columns(*columns)
    runner, address, cpus, gpus = where
    if runner not in (None, "ray", "local", "serial"):
        raise UsageError(f"--runner {runner}: ray, local or serial")
    command = task.get("stage") or ("retry" if task.get("retry") else "run")
    with changes_of(root, command), interruptible():
        fine = run_task(root, recipe, Task(**task, where=Where(runner, address, cpus, gpus)), output.console())
    if not fine:
        typer.echo(
            "a list of links broke off or has no good link (see above), or some items failed in a way hdvg does not know: "
            "hdvg query … \"from failures where reason = 'error'\"",
            err=True,
        )
        raise typer.Exit(1)


def _list(links: tuple[str, ...], choice: Choice, recipe: Recipe, *, as_json: bool) -> None:
    """Show what lists on sites would give, by the settings of a recipe or a dataset."""
    with interruptible():
        whole = show_lists(links, choice, recipe, as_json=as_json)
    if not whole:
        raise typer.Exit(1)
