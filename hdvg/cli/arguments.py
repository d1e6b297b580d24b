"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hdvg.dataset.location import dataset_folder, dataset_name, new_folder
from hdvg.errors import UsageError

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="DATASET", callback=dataset_folder, help="the dataset's folder, or its link: s3://bucket/dataset"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON, for scripts")]
Target = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE|DATASET",
        callback=dataset_name,
        help="a recipe with --out; or a dataset, to go on with its own settings",
    ),
]
Links = Annotated[
    list[str] | None,
    typer.Option(
        "--links",
        "-l",
        metavar="FILE|FOLDER|URL",
        help="text, CSV, JSON or Parquet list, folder of videos (s3://bucket/folder/ too), one link, or a list on a site: "
        "list:URL, archive:QUERY, commons:Category:NAME; may be repeated",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DATASET",
        callback=new_folder,
        help="the dataset's folder, made if it is not there; s3://bucket/dataset too",
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="KEY=VALUE",
        help="override a setting: 'keep.too_short=duration_s >= 3'; null takes a rule away",
    ),
]
NewRule = Annotated[
    bool,
    typer.Option("--new-rule", help="with --set keep.NAME=…: NAME is a new rule, though one is called much the same"),
]
RunnerName = Annotated[
    str | None,
    typer.Option(
        "--runner",
        metavar="ray|local|serial",
        help="ray: a cluster, or this machine; local: this machine, quicker on few cores; serial: one job at a time",
    ),
]
Cpus = Annotated[int | None, typer.Option("--cpus", min=1, help="CPUs to use on this machine; default all")]
Gpus = Annotated[int | None, typer.Option("--gpus", min=0, help="GPUs to use on this machine; default all")]
Address = Annotated[
    str | None, typer.Option("--address", metavar="HOST:PORT", help="a Ray cluster that sees the dataset's folder")
]
NewWork = Annotated[bool, typer.Option("--new-work", help="accept settings that fetch or split all videos anew")]
AllFiles = Annotated[
    bool, typer.Option("--all-files", help="of a folder: every file, for what it holds and not for how its name ends")
]
LinkColumn = Annotated[
    str | None,
    typer.Option("--link-column", metavar="NAME", help="of a table of links: the column that holds links or paths"),
]
TextColumn = Annotated[
    str | None,
    typer.Option(
        "--text-column", metavar="NAME", help="of a table of links: the column of texts, kept as given captions"
    ),
]
AllowPrivate = Annotated[
    bool,
    typer.Option(
        "--allow-private",
        help="fetch links to private addresses (loopback, LAN) too: for servers of your own; the dataset remembers it",
    ),
]
AllowEnv = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-env",
        metavar="NAME",
        help="let the recipe send what is in this environment variable to its endpoint as key",
    ),
]


Author = Annotated[
    str | None, typer.Option("--author", metavar="NAME", help="who says so; it is stored; default your user name")
]


def author_of(given: str | None) -> str:
    """The name under which a person's words are stored. Raises UsageError if this machine knows none."""
    import getpass

    try:
        return given if given is not None else getpass.getuser()
    except (OSError, KeyError):
        raise UsageError("who says so? this machine has no name for you: --author NAME") from None


def with_leave(sets: list[str] | None, *, private: bool, env: list[str] | None) -> list[str]:
    """What --set says, and what the flags allow."""
    from hdvg.config.secrets import allow

    allow(tuple(env or ()))
    return [*(sets or []), *(["fetch.private_links=allow"] if private else [])]
