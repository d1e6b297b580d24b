"""The commands that look: at a dataset, or at this machine. They change nothing, but `doctor --build-lavis` builds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hdvg.cli import output
from hdvg.cli.arguments import Folder, Json
from hdvg.errors import UsageError

commands = typer.Typer()


@commands.command()
def query(
    dataset: Folder,
    sql: Annotated[
        str,
        typer.Argument(help="one SELECT over videos, clips, measures, verdicts, captions, shards, failures, dataset"),
    ],
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV with a header")] = False,
    parquet: Annotated[Path | None, typer.Option("--parquet", metavar="FILE", help="write a Parquet file")] = None,
    limit_s: Annotated[float, typer.Option("--limit-s", help="stop a query after this many seconds")] = 300.0,
) -> None:
    """Ask DuckDB about the dataset.

    Example: hdvg query my-dataset "select clip_id, duration_s, caption from dataset where keep order by motion_px_s desc"
    """
    import hdvg

    answer = hdvg.open(dataset).sql(sql, limit_s=limit_s)
    if parquet is not None:
        import pyarrow.parquet as pq

        pq.write_table(answer, parquet)
    elif as_json:
        output.print_json(answer.to_pylist())
    elif as_csv:
        import csv

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.column_names)
        writer.writerows([output.plain(value) for value in row.values()] for row in answer.to_pylist())
    else:
        output.print_table(answer.column_names, (row.values() for row in answer.slice(0, 1000).to_pylist()))
        if answer.num_rows > 1000:
            output.console().print(f"… {answer.num_rows - 1000} more rows; --csv, --json or --parquet give all")


@commands.command()
def status(
    dataset: Folder,
    as_json: Json = False,
    links: Annotated[bool, typer.Option("--links", help="the ledger of links instead: alive or not, by host and year")] = False,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="with --links: write it as CSV; - is standard output")
    ] = None,
) -> None:  # fmt: skip
    """Show the funnel: items and hours per stage, why clips were dropped and items failed, hosts, speed and ETA of a run.

    Example: hdvg status my-dataset --links --csv links.csv
    """
    from hdvg.dataset.dataset import Dataset

    if csv_file is not None and not links:
        raise UsageError("--csv goes with --links: hdvg status DATASET --links --csv FILE")
    opened = Dataset.open(dataset)
    if links:
        output.links(opened, as_json=as_json, csv_file=csv_file)
    else:
        output.status(opened, as_json=as_json)


@commands.command()
def verify(dataset: Folder, as_json: Json = False) -> None:
    """Check that nothing is lost, nothing stands twice, and every file has its hash; exit 0, or 1 with the list."""
    from dataclasses import asdict

    from hdvg.dataset.dataset import Dataset
    from hdvg.reports.verify import verify as find

    problems = find(Dataset.open(dataset))
    if as_json:
        output.print_json([asdict(problem) for problem in problems])
    elif problems:
        output.print_table(["check", "key", "detail"], (asdict(problem).values() for problem in problems))
    else:
        typer.echo("whole: nothing lost, nothing twice, every file as it was written")
    raise typer.Exit(1 if problems else 0)


@commands.command()
def explain(
    dataset: Folder,
    clip_id: Annotated[str, typer.Argument(help="the clip's id, or how it starts")],
    as_json: Json = False,
) -> None:
    """Say all about one clip: measures, rules with margins, verdict, source, span, versions."""
    from dataclasses import asdict

    import hdvg

    said = hdvg.open(dataset).explain(clip_id)
    if as_json:
        return output.print_json(asdict(said))
    typer.echo(f"clip {said.clip_id}: {said.verdict}" + (f" ({', '.join(said.reasons)})" if said.reasons else ""))
    if said.rules:
        names = ["rule", "asks", "value", "threshold", "margin", "passes"]
        output.print_table(names, ([getattr(rule, name) for name in names] for rule in said.rules))
    else:
        typer.echo(f"recipe {said.recipe} has no rules: every clip is kept")
    for section in ("measures", "span", "given", "caption", "clip", "video"):
        if row := getattr(said, section):
            output.print_table([section, ""], row.items())
    if len(said.captions) > 1:
        output.print_table(said.captions[0], (row.values() for row in said.captions))
    if said.failures:
        output.print_table(["stage", "status", "reason", "detail"], (row.values() for row in said.failures))


@commands.command()
def doctor(
    as_json: Json = False,
    folder: Annotated[Path, typer.Option("--folder", help="where datasets will lie")] = Path(),
    build_lavis: Annotated[
        bool,
        typer.Option(
            "--build-lavis", help="first build captioner lavis's environment: minutes, 2.3 GB; $HDVG_LAVIS says where"
        ),
    ] = False,
) -> None:
    """Look whether this machine can do the work: versions, FFmpegs, sandbox, space, ports, GPU, models."""
    from dataclasses import asdict

    from hdvg.reports.doctor import examine

    if build_lavis:
        from hdvg.captioners import lavis_env

        lavis_env.build(say=output.note)
    findings = examine(folder)
    if as_json:
        output.print_json([asdict(finding) for finding in findings])
    else:
        output.print_table(["check", "", "found"], (asdict(finding).values() for finding in findings))
    raise typer.Exit(1 if any(finding.state == "bad" for finding in findings) else 0)
