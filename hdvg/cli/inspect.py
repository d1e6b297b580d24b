"""The commands that look: at a dataset, or at this machine. They change nothing, but `doctor --build-lavis` builds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdvg.cli import output
from hdvg.cli.arguments import Folder, Json
from hdvg.cli.tables import choose_columns, inert, print_fitting, print_json, print_records, print_table
from hdvg.dataset.location import folder_or_bucket
from hdvg.errors import UsageError

if TYPE_CHECKING:
    from hdvg.dataset.dataset import Dataset

commands = typer.Typer()

MOST_ROWS = 1000
"""Rows of an answer that a table shows."""


@commands.command()
def query(
    dataset: Annotated[
        str,
        typer.Argument(metavar="DATASET", help="the dataset's folder, or its copy in a bucket: s3://bucket/dataset"),
    ],
    sql: Annotated[
        str,
        typer.Argument(help="one SELECT over videos, clips, measures, verdicts, captions, shards, failures, dataset"),
    ],
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="A,B", help="show these columns, in this order")
    ] = None,
    all_columns: Annotated[bool, typer.Option("--all", help="show every column, one below the other")] = False,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV with a header")] = False,
    parquet: Annotated[Path | None, typer.Option("--parquet", metavar="FILE", help="write a Parquet file")] = None,
    limit_s: Annotated[float, typer.Option("--limit-s", help="stop a query after this many seconds")] = 300.0,
) -> None:
    """Ask DuckDB about the dataset.

    Example: hdvg query my-dataset "select clip_id, duration_s, caption from dataset where keep order by motion_px_s desc"
    """
    from hdvg.dataset.connection import bound_memory
    from hdvg.dataset.remote import open_to_read

    with open_to_read(dataset).manifest() as manifest:
        bound_memory()
        manifest.guard()
        answer = manifest.select(sql, limit_s=limit_s)
    if columns is not None:
        answer = answer.select(choose_columns(answer.column_names, columns))
    if parquet is not None:
        import pyarrow.parquet as pq

        pq.write_table(answer, parquet)
    elif as_json:
        print_json(answer.to_pylist())
    elif as_csv:
        import csv

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(map(inert, answer.column_names))
        writer.writerows([inert(value) for value in row.values()] for row in answer.to_pylist())
    else:
        show = print_records if all_columns else print_fitting
        show(answer.column_names, answer.slice(0, MOST_ROWS).to_pylist())
        if answer.num_rows > MOST_ROWS:
            typer.echo(f"{answer.num_rows - MOST_ROWS} more rows; --csv, --json or --parquet give all", err=True)


@commands.command()
def status(
    dataset: Folder,
    as_json: Json = False,
    links: Annotated[bool, typer.Option("--links", help="the ledger of links instead: alive or not, by host and year")] = False,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="with --links: write it as CSV; - is standard output")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE.png|svg", help="draw the funnel by clips and hours, and a histogram per measure with its threshold")
    ] = None,
    histograms: Annotated[bool, typer.Option("--histograms", help="a histogram per measure here, with the kept clips and the thresholds")] = False,
    concepts: Annotated[bool, typer.Option("--concepts", help="what the kept clips are of: topics, words of captions, clusters, and how often")] = False,
) -> None:  # fmt: skip
    """Show the funnel: items and hours per stage, why clips were dropped and items failed, hosts, speed and ETA of a run.

    Example: hdvg status my-dataset --links --csv links.csv
    """
    from hdvg.dataset.dataset import Dataset

    if csv_file is not None and not links:
        raise UsageError("--csv goes with --links: hdvg status DATASET --links --csv FILE")
    if plot is not None:
        from hdvg.page.plots import check_place

        check_place(plot)
    opened = Dataset.open(dataset)
    if links:
        return output.links(opened, as_json=as_json, csv_file=csv_file)
    output.status(opened, as_json=as_json, histograms=histograms, concepts=concepts)
    if plot is not None:
        _plot(opened, plot)


def _plot(opened: Dataset, path: Path) -> None:
    """Draw the funnel and the histograms into a file."""
    from hdvg.filtering.histograms import spread
    from hdvg.page.plots import plot_spread

    found = spread(opened, say=output.note)
    plot_spread(found, path, title=f"{opened.name} (recipe {opened.plan.recipe.name})")
    typer.echo(path, err=True)


@commands.command()
def explain(
    dataset: Folder,
    clip_id: Annotated[str, typer.Argument(help="the clip's id, or how it starts")],
    as_json: Json = False,
) -> None:
    """Say all about one clip: measures, rules with margins, verdict, source, span, versions."""
    from dataclasses import asdict

    import hdvg

    explanation = hdvg.open(dataset).explain(clip_id)
    if as_json:
        return print_json(asdict(explanation))
    typer.echo(
        f"clip {explanation.clip_id}: {explanation.verdict}"
        + (f" ({', '.join(explanation.reasons)})" if explanation.reasons else "")
    )
    if explanation.rules:
        names = ["rule", "asks", "value", "threshold", "margin", "passes"]
        print_table(names, ([getattr(rule, name) for name in names] for rule in explanation.rules))
    else:
        typer.echo(f"recipe {explanation.recipe} has no rules: every clip is kept")
    for section in ("measures", "span", "given", "caption", "clip", "video"):
        if row := getattr(explanation, section):
            print_table([section, ""], row.items())
    if len(explanation.captions) > 1:
        print_fitting(list(explanation.captions[0]), explanation.captions)
    if explanation.failures:
        print_table(["stage", "status", "reason", "detail"], (row.values() for row in explanation.failures))


@commands.command()
def doctor(
    dataset: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATASET", callback=folder_or_bucket, help="the folder or bucket that is tried; default here"
        ),
    ] = None,
    as_json: Json = False,
    folder: Annotated[Path, typer.Option("--folder", help="the same: where datasets will lie")] = Path(),
    build_lavis: Annotated[
        bool,
        typer.Option(
            "--build-lavis", help="first build captioner lavis's environment: minutes, 2.3 GB; $HDVG_LAVIS says where"
        ),
    ] = False,
) -> None:
    """Look whether this machine can do the work: versions, FFmpegs, sandbox, space, links and locks of a folder, ports, GPU."""
    from dataclasses import asdict

    from hdvg.reports.doctor import examine

    if build_lavis:
        from hdvg.captioners import lavis_env

        lavis_env.build(say=output.note)
    findings = examine(dataset or folder)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table(["check", "", "found"], (asdict(finding).values() for finding in findings))
    raise typer.Exit(1 if any(finding.state == "bad" for finding in findings) else 0)
