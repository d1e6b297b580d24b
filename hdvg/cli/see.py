"""The commands that show a dataset: in a browser, in a file to send."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hdvg.cli.arguments import Folder
from hdvg.cli.signals import interruptible

if TYPE_CHECKING:
    from hdvg.explore.serving import Started

commands = typer.Typer()

NEEDS = {"starlette": "starlette", "uvicorn": "uvicorn"}


@commands.command()
def explore(
    dataset: Folder,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="listen here; by default on a free port")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="do not open the link in this machine's browser")] = False,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="listen beyond this machine; needs --allow-host, and TLS before it")
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="what browsers call the TLS server before it; may be repeated"),
    ] = None,
    author: Annotated[str | None, typer.Option("--author", metavar="NAME", help="who marks clips; by default the user")] = None,
) -> None:  # fmt: skip
    """Look through a dataset in a browser: thresholds to drag, clips to play and mark, SQL, a run as it goes. Ctrl-C ends it.

    Example: hdvg explore my-dataset
    """
    from hdvg.dataset.dataset import Dataset
    from hdvg.registry import require

    require(NEEDS, called="hdvg explore", extra="explore")
    from hdvg.explore.serving import Place, serve

    root = Dataset.open(dataset).root

    def ready(started: Started) -> None:
        typer.echo(f"explore {root.name}: {started.link}")
        typer.echo("the link opens one browser, once; Ctrl-C ends the server", err=True)
        typer.echo(
            f"figures for Prometheus: {started.address}metrics with the bearer token {started.metrics}", err=True
        )
        if not no_browser:
            open_link(started.link)

    with interruptible():
        serve(root, Place(host, port, tuple(allow_host or ())), author=author or user(), folder=Path.cwd(), ready=ready)


def user() -> str:
    """Who works at this machine, as the system has it."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def open_link(link: str) -> None:
    """Open a link in this machine's browser, if it has a screen."""
    import os
    import webbrowser

    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(link)
