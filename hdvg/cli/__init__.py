"""The command line: thin, and light to start; every heavy import stands inside a command's body."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from hdvg.cli import annotate, audit, exchange, filter, forget, inspect, mend, play, recipes, run, see, train
from hdvg.config.deadline import leave
from hdvg.dataset.location import shown
from hdvg.environment import VERSION, require_linux
from hdvg.errors import HdvgError, resource_error

app = typer.Typer(
    name="hdvg",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    help="Turn links to videos into a curated text-video dataset.\n\nStart: hdvg run demo --links links.txt --out my-dataset",
)
for group in (run, filter, annotate, inspect, see, audit, mend, play, exchange, train, forget):
    app.add_typer(group.commands)
app.add_typer(recipes.commands, name="recipe")


@app.callback(invoke_without_command=True)
def version(
    wanted: Annotated[bool, typer.Option("--version", help="print the version", is_eager=True)] = False,
) -> None:
    """Print the version and leave."""
    if wanted:
        typer.echo(VERSION)
        raise typer.Exit


def main() -> None:
    """The console script."""
    # threads of a network that wait must sleep: spinning, two of them on two busy cores took nine times the CPU
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        require_linux()
        app()
    except SystemExit as end:
        leave(end.code if isinstance(end.code, int) else 0)
    except Exception as error:
        known = error if isinstance(error, HdvgError) else resource_error(error)
        if known is None:
            raise
        typer.echo(f"hdvg: {shown(str(known))}", err=True)
        leave(known.exit_code)
