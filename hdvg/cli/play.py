"""The command that lets a person look at one clip."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from hdvg.cli.arguments import Folder
from hdvg.errors import UsageError

commands = typer.Typer()

PLAYERS = (("mpv", "--loop-file=inf"), ("ffplay", "-loglevel", "error", "-loop", "0"), ("vlc",), ("xdg-open",))
"""Programs that show a video, the first that is there is taken; the last is the desktop's own choice."""


@commands.command()
def play(
    dataset: Folder,
    clip_id: Annotated[str, typer.Argument(metavar="CLIP_ID", help="the clip's id, or how it starts")],
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="write the clip to this file, and print its path")] = None,
    only_path: Annotated[bool, typer.Option("--path", help="do not play: print the path of a file with the clip")] = False,
) -> None:  # fmt: skip
    """Look at a clip, kept or dropped: it is written to a file, which a player of this machine opens; its path is printed.

    A clip that was dropped is cut out of its source, while that is in the dataset.

    Example: hdvg play my-dataset 3f9a --out clip.mp4
    """
    import hdvg

    clip = hdvg.open(dataset).clip(clip_id)
    content = clip.bytes()
    path = out or Path(tempfile.mkdtemp(prefix="hdvg-play-")) / f"{clip.id}.mp4"
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(f"--out {path}: {error.strerror}; name a file in a folder that is there") from error
    command = None if only_path or out is not None else player(os.environ)
    typer.echo(path)
    if command is not None:
        subprocess.Popen([*command, str(path)], stdin=subprocess.DEVNULL, start_new_session=True)


def player(environment: os._Environ[str] | dict[str, str]) -> tuple[str, ...] | None:
    """The command that shows a video on this machine's screen; None without a screen or a player."""
    if not environment.get("DISPLAY") and not environment.get("WAYLAND_DISPLAY"):
        return None
    found = (command for command in PLAYERS if shutil.which(command[0], path=environment.get("PATH")))
    return next(found, None)
