"""The commands that look after the files of a dataset: whether they are whole, mending them, and taking away what nothing needs."""

from __future__ import annotations

from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdvg.cli import output
from hdvg.cli.arguments import Address, Folder, Json
from hdvg.cli.signals import interruptible
from hdvg.cli.tables import print_json, print_table
from hdvg.dataset.location import refuse_mirror, relative
from hdvg.errors import UsageError

if TYPE_CHECKING:
    from hdvg.reports.verify import LookAtAll

commands = typer.Typer()


@commands.command()
def verify(
    dataset: Folder,
    address: Address = None,
    as_json: Json = False,
    mend: Annotated[
        bool, typer.Option("--repair", help="make again what is damaged or lost: that alone, under the run lock")
    ] = False,
) -> None:
    """Check that nothing is lost, nothing stands twice, and every file has its hash; exit 0, or 1 with the list.

    Example: hdvg verify my-dataset --repair
    """
    if mend:
        if address is not None:
            raise UsageError(
                "--repair works on this machine alone: leave --address away, or verify without --repair first"
            )
        return _repair(dataset, as_json=as_json)
    from hdvg.reports.verify import states_here, verify_folder

    look: LookAtAll = states_here
    if address is not None:
        refuse_mirror(dataset, "one machine verifies it, by reading each object once: leave --address away")
        from pipelines.verify_on_ray import on_cluster

        look = on_cluster(address)
    problems = verify_folder(dataset, look)
    if as_json:
        print_json([problem.row() for problem in problems])
    elif problems:
        print_table(["check", "key", "detail"], (problem.row().values() for problem in problems))
        typer.echo(f"`hdvg verify {relative(dataset)} --repair` makes again what it can", err=True)
    else:
        typer.echo("whole: nothing lost, nothing twice, every file as it was written")
    raise typer.Exit(1 if problems else 0)


def _repair(dataset: Path, *, as_json: bool) -> None:
    from pipelines.repair import repair

    with interruptible():
        done = repair(dataset, output.console())
    if as_json:
        print_json({"mended": done.mended, "drift": done.drift, "left": [problem.row() for problem in done.left]})
    else:
        for line in (*done.mended, *(f"drift: {line}" for line in done.drift)):
            typer.echo(line)
        if done.left:
            print_table(["left", "key", "detail"], (problem.row().values() for problem in done.left))
        else:
            typer.echo("whole" if done.mended else "whole: nothing to repair")
    raise typer.Exit(1 if done.left else 0)


@commands.command()
def compact(dataset: Folder, as_json: Json = False) -> None:
    """Keep sorted answers of all views under cache/, so that questions of a large dataset read few files; runs do it too.

    Example: hdvg compact my-dataset
    """
    from hdvg.dataset.dataset import Dataset

    written = Dataset.open(dataset, run="compact").compact()
    if as_json:
        return print_json({"written": written})
    typer.echo(f"{written} answers written" if written else "nothing changed since the last time")


@commands.command()
def gc(
    dataset: Folder,
    remove: Annotated[bool, typer.Option("--remove", help="take it away; without this it is only listed")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="KIND", help="temp, media, settings, cache or foreign; may be repeated"),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the files that nothing needs any more, and with --remove take them away; small files of a table become one.

    Example: hdvg gc my-dataset --only temp --remove
    """
    from dataclasses import asdict

    from hdvg.dataset import compaction, litter
    from hdvg.dataset.dataset import Dataset
    from hdvg.errors import UsageError, suggestion

    for kind in only or []:
        if kind not in litter.KINDS:
            known = f"one of {', '.join(litter.KINDS)}"
            raise UsageError(f"--only {kind}: no such kind; {suggestion(kind, litter.KINDS, known)}")
    opened = Dataset.open(dataset, run="gc")
    with opened.store.lock() if remove else nullcontext():
        listed = litter.find_to_remove(opened) if remove else litter.find(opened)
        found = [one for one in listed if one.kind in (only or litter.KINDS)]
        small = {} if only else compaction.small_files(opened.root)
        if remove:
            litter.remove(opened, found)
            for name in small:
                compaction.compact(opened.store, name)
    if as_json:
        return print_json({"removed": remove, "files": [asdict(one) for one in found], "small_files": small})
    by_kind: dict[str, list[int]] = defaultdict(list)
    for one in found:
        by_kind[one.kind].append(one.bytes)
        typer.echo(one.name)
    rows = ((kind, len(sizes), f"{sum(sizes) / 1e6:.3f}", litter.KINDS[kind]) for kind, sizes in by_kind.items())
    print_table(["kind", "files", "MB", "why"], rows)
    for name, many in small.items():
        typer.echo(f"{name}: {many} small files{', now one' if remove else ''}")
    if (found or small) and not remove:
        typer.echo("nothing was changed; --remove takes them away, and puts small files of a table into one", err=True)
