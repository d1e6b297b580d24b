"""The command that takes something out of a dataset."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hdvg.cli.arguments import Folder, Json
from hdvg.cli.signals import interruptible
from hdvg.cli.tables import print_json, print_table
from hdvg.errors import ItemError, UsageError

commands = typer.Typer()

WOULD_DO = "a link, a video_id (32 hex digits), the sha256 of a source file (64), or `channel ID`; # begins a comment"


@commands.command()
def forget(
    dataset: Folder,
    video: Annotated[
        list[str] | None, typer.Option("--video", metavar="LINK|ID", help="a link or a video_id; may be repeated")
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option("--channel", metavar="ID", help="an uploader_id, or SITE:HANDLE such as youtube:@name; may be repeated"),
    ] = None,
    sha256: Annotated[
        list[str] | None, typer.Option("--hash", metavar="SHA256", help="of a source file's bytes; may be repeated")
    ] = None,
    listing: Annotated[
        Path | None, typer.Option("--list", metavar="FILE", help=f"a text file, one a line: {WOULD_DO}")
    ] = None,
    purge: Annotated[
        bool, typer.Option("--purge", help="also remove all of it, and what was hidden before, from every file")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would go; change nothing")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Take videos down: no view shows them any more, and no run fetches them again, by whatever link.

    Example: hdvg forget my-dataset --video https://example.org/a.mp4 --purge
    """
    from pipelines.forget import forget as take_down

    names = {
        *(_video(text) for text in video or []),
        *(_channel(text) for text in channel or []),
        *(_hash(text) for text in sha256 or []),
        *(_listed(listing) if listing else []),
    }
    if not names and not purge:
        raise UsageError(
            "hdvg forget: say what, with --video, --channel, --hash or --list; or --purge what was hidden before"
        )
    with interruptible():
        report = take_down(dataset, names, purged=purge, dry_run=dry_run)
    if as_json:
        print_json(report)
    else:
        _say(report)


def _video(text: str) -> tuple[str, str]:
    from hdvg.ids import video_id
    from hdvg.sources.canonical import canonical

    if re.fullmatch(r"[0-9a-f]{32}", text):
        return "video", text
    if text.startswith("file:///"):
        return "video", video_id(text)  # as `source` has it: the file may be gone
    try:
        return "video", video_id(canonical(text, base=Path.cwd()))
    except ItemError as error:
        raise UsageError(
            f"--video {text[:200]}: {error.detail}; would do: a link as it was given, or a video_id"
        ) from None


def _channel(text: str) -> tuple[str, str]:
    from hdvg.sources.people import OPAQUE, opaque_id

    site, colon, handle = text.partition(":")
    known = opaque_id(site, handle) if colon and not OPAQUE.fullmatch(text) else text
    if not known:
        raise UsageError(f"--channel {text!r}: no id; would do: `uploader_id` of the view videos, or SITE:HANDLE")
    return "channel", known


def _hash(text: str) -> tuple[str, str]:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise UsageError(f"--hash {text[:80]}: no sha256; would do: 64 hex digits, as `sha256` of the view videos")
    return "hash", text.lower()


def _listed(path: Path) -> Iterator[tuple[str, str]]:
    """The names of a list. Raises UsageError, with its line, for the first that is none."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"--list {path}: cannot be read: {error}; would do: a text file, one a line: {WOULD_DO}"
        ) from None
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            if text.startswith("channel "):
                yield _channel(text.removeprefix("channel ").strip())
            else:
                yield _hash(text) if re.fullmatch(r"[0-9a-fA-F]{64}", text) else _video(text)
        except UsageError as error:
            raise UsageError(f"{path}, line {number}: {error}; one a line: {WOULD_DO}") from None


def _say(report: Mapping[str, Any]) -> None:
    """What was found, what became of it, and what is out of reach."""
    print_table(["found", ""], ([name.replace("_", " "), count] for name, count in report["found"].items()))
    if report["dry_run"]:
        typer.echo("nothing is changed: this was a dry run")
    elif report["purged"]:
        typer.echo("removed from every file of the dataset, and never fetched again")
    else:
        typer.echo("hidden, and never fetched again; its rows, media and clips in shards stay until --purge")
    if report["index_of_duplicates"]:
        typer.echo(f"out of reach: {report['index_of_duplicates']} holds hashes of its clips' pictures")
    for name, clips in report["models_that_saw_clips"].items():
        typer.echo(f"out of reach: the model in {name} saw {clips} of its clips; hdvg train --which-steps tells when")
    for name, what in report["beside"].items():
        typer.echo(f"out of reach: {name} holds {what}; make it anew, or remove it")
    for name, what in report["written"].items():
        typer.echo(f"out of reach: {name}, {what}")
    typer.echo("out of reach: exports, reports and copies made before; make them anew")
