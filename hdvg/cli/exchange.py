"""The commands that exchange datasets with others: published metadata in, common formats out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hdvg.cli import output
from hdvg.cli.arguments import Address, AllowPrivate, Folder, Json, NewRule, Out, with_leave
from hdvg.cli.recipes import checked_names
from hdvg.cli.signals import interruptible
from hdvg.cli.tables import print_json, print_table
from hdvg.dataset.location import bucket_link, folder_or_bucket, refuse_mirror
from hdvg.errors import UsageError

if TYPE_CHECKING:
    from hdvg.dataset.dataset import Dataset
    from hdvg.exporting import Wanted

commands = typer.Typer()


@commands.command("import")
def import_(
    origin: Annotated[
        str, typer.Argument(metavar="SET", help="hd-vg, hd-vila, panda-70m, openvid, internvid, videoufo, webvid; or spans: your own")
    ],
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="metadata as published: JSON, JSON lines, CSV or Parquet")
    ],
    out: Out = None,
    recipe: Annotated[str | None, typer.Option("--recipe", help="settings of a new dataset; by default the set's own")] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", "-s", metavar="KEY=VALUE", help="override a setting of a new dataset")
    ] = None,
    new_rule: NewRule = False, allow_private: AllowPrivate = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="take only so many videos of each file")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="import nothing: count, estimate the fetch, ask a sample of links if they live")
    ] = False,
    sample: Annotated[int, typer.Option("--sample", min=1, help="with --check: how many links to ask")] = 100,
    check_all: Annotated[bool, typer.Option("--check-all", help="with --check: ask all links")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Take published metadata in: its videos as links, its scenes and captions as rows. Nothing is fetched yet.

    An entry that cannot be read costs itself only: hdvg query DATASET "from rejected". The same file again adds nothing.

    Example: hdvg import hd-vg hdvg_0.json hdvg_1.json --out my-dataset

    To look before: hdvg import hd-vg hdvg_0.json --check --sample 200
    """
    from pipelines.import_set import check_files, import_files

    settings = checked_names(with_leave(sets, private=allow_private, env=None), (), new_rule=new_rule)
    if check or check_all:
        report = check_files(
            files, origin=origin, recipe=recipe, sets=settings, limit=limit, sample=None if check_all else sample,
            console=output.console(),
        )  # fmt: skip
        return print_json(report) if as_json else _show_check(report)
    if out is None:
        raise UsageError("say where the dataset is to lie with --out DATASET, or only look with --check")
    rows = []
    with interruptible():
        for taken in import_files(
            out, files, origin=origin, recipe=recipe, sets=settings, limit=limit, console=output.console()
        ):
            rows.append(taken.plain())
            if not as_json:
                row = rows[-1] | {"rejected": ", ".join(f"{count} {why}" for why, count in taken.rejected.items()) or 0}
                row["file"] += " (imported before)" if row.pop("before") else ""
                print_table(["imported", ""], ([name.replace("_", " "), value] for name, value in row.items()))
    if as_json:
        return print_json({"dataset": str(out), "files": rows})
    if any(row["rejected"] for row in rows):
        typer.echo(f'what was rejected, and why: hdvg query {out} "from rejected"')
    typer.echo(f"next: hdvg run {out}")


@commands.command()
def export(
    dataset: Folder,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="FORMAT",
            help="hd-vg, webdataset, lance, datasets, croissant; what a trainer reads: musubi-tuner, diffusion-pipe, diffsynth, "
            "finetrainers, ltx-trainer, fastvideo, openvid, webvid, videofolder",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", callback=_place, help="new, or an export to bring up to date; s3://… and hf://… too")
    ],
    where: Annotated[
        str | None, typer.Option("--where", metavar="CONDITION", help="only kept clips of which this SQL condition holds")
    ] = None,
    all_given: Annotated[
        bool, typer.Option("--all-given", help="hd-vg: all imported metadata, clips or not; --where is then over its columns")
    ] = False,
    max_mb: Annotated[float | None, typer.Option("--max-mb", min=0.001, help="most MB of clips in a file; as the shards")] = None,
    url: Annotated[str | None, typer.Option("--url", help="where it will be found, for its description")] = None,
    frames: Annotated[
        str | None, typer.Option("--frames", metavar="N,N", help="what a trainer reads: the counts of frames that it will take")
    ] = None,
    fps: Annotated[float | None, typer.Option("--fps", min=0.1, help="what a trainer reads: the rate to which it drops frames")] = None,
    cite: Annotated[str | None, typer.Option("--cite", metavar="TEXT", help="how to cite it, for its description")] = None,
    address: Address = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Write the kept clips for other tools: a killed export goes on, an unchanged one writes nothing.

    Example: hdvg export my-dataset --to webdataset --out my-tars --where 'duration_s > 3 and open_licence'
    """
    from hdvg.audit.results import results
    from hdvg.dataset.dataset import Dataset
    from hdvg.exporting import Wanted

    opened = Dataset.open(dataset)
    found = tuple(rate["sentence"] for rate in results(opened))
    wanted = Wanted(
        to,
        out,
        where=where,
        all_given=all_given,
        max_mb=max_mb,
        url=url,
        cite=cite,
        audited=found,
        frames=_counts(frames),
        fps=fps,
    )
    with interruptible():
        report = _exported(opened, wanted, address)
    return print_json(report) if as_json else _show_export(report)


def _exported(dataset: Dataset, wanted: Wanted, address: str | None) -> dict[str, Any]:
    """The report of an export into a folder, a bucket or a repository of the hub; the last two are noted, for take-downs."""
    from hdvg.exporting import export as write
    from hdvg.exporting.bucket import export_to_bucket
    from hdvg.exporting.hub import export_to_hub, repository_of
    from hdvg.reports.beside import note_written

    repository, link, write_all = repository_of(str(wanted.out)), bucket_link(str(wanted.out)), None
    if address is not None:
        if link is not None:
            raise UsageError(f"--out {link}: one machine exports into a bucket; leave --address away")
        refuse_mirror(dataset.root, "one machine exports it; leave --address away")
        from pipelines.export_on_ray import on_cluster

        write_all = on_cluster(address, dataset)
    if repository is not None:
        report = export_to_hub(dataset, wanted, repository, output.console(), write_all=write_all)
    elif link is not None:
        report = export_to_bucket(dataset, wanted, link, output.console())
    else:
        return write(dataset, wanted, output.console(), write_all=write_all)
    note_written(dataset, "export", [report["out"]])
    return report


def _show_export(report: dict[str, Any]) -> None:
    """What was written, and what was not."""
    typer.echo(
        f"{report['out']}: {report['clips']} of {report['kept']} {report['of']} as {report['format']}, {report['files']} files, "
        f"{report['bytes'] / 2**20:.1f} MiB; {report['files_written']} written in {report['seconds']:.1f} s"
    )
    if report["left_out"]:
        print_table(["left out", "clips"], (row.values() for row in report["left_out"]))
    if counted := report.get("frames"):
        typer.echo(_frames(counted, report["format"]))


def _counts(text: str | None) -> tuple[int, ...]:
    """Of `33,65`."""
    try:
        return tuple(int(word) for word in (text or "").split(",") if word.strip())
    except ValueError:
        raise UsageError(f"--frames {text}: write counts of frames with commas between them, such as 33,65") from None


def _frames(counted: dict[str, Any], trainer: str) -> str:
    """What a trainer makes of the clips' lengths."""
    told = f"; told to take {', '.join(map(str, counted['counts']))}" if counted["counts"] else ""
    text = f"frames: {trainer} takes {counted['rule']}{told}"
    if "named_in" not in counted:
        return f"{text}; every clip fits"
    return f"{text}; of {counted['longer']} clips it leaves out some frames, {counted['left_out']} are too short: {counted['named_in']}"


def _place(out: Path) -> Path | None:
    """A folder, or a link to the hub or into a bucket."""
    from hdvg.exporting.hub import repository_of

    return out if repository_of(str(out)) else folder_or_bucket(out)


def _show_check(report: dict[str, Any]) -> None:
    """What a look at the metadata and its links found."""
    fetch = report["fetch"]
    print_table(
        ["checked", ""],
        [
            ["links", report["links"]],
            ["scenes", report["scenes"]],
            ["hours of scenes", report["hours"]],
            ["rejected", sum(report["rejected"].values())],
            ["links asked", f"{report['asked']}: " + ", ".join(f"{count} {state}" for state, count in report["states"].items())],
            *([name, _share(share)] for name, share in report["shares"].items()),
            ["videos to fetch", fetch["videos"]],
            ["hours to fetch", f"{fetch['hours']:.1f} (from {fetch['hours_from']})"],
            ["GB to fetch", f"{fetch['bytes'] / 1e9:.1f} (from {fetch['bytes_from']})"],
            *([["of these in part", _part(fetch)]] if fetch["part_share"] is not None else []),
        ],
    )  # fmt: skip


def _part(fetch: dict[str, Any]) -> str:
    return f"about {fetch['part_bytes'] / 1e9:.1f} GB, {fetch['part_share']:.0%}, with --set fetch.sections=auto"


def _share(share: dict[str, Any]) -> str:
    if share["share"] is None:
        return "unknown"
    return f"{share['share']:.1%} (95 %: {share['low']:.1%} to {share['high']:.1%})"
