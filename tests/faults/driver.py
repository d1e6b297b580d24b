"""A run in a process of its own that may be killed, and the processes below it."""

from __future__ import annotations

import multiprocessing
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

from rich.console import Console

from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.dataset.location import dataset_text
from hdvg.errors import HdvgError
from pipelines.run import Task, run
from pipelines.where import Where

RECIPE = parse_recipe(
    {
        "name": "kills",
        "caption": {"captioner": "tags"},
        "keep": {"copy": "not duplicate"},
        "cut": {"preset": "ultrafast"},
    }
)
DEATHS = -9


def start(
    root: Path | str,
    links: Path,
    log: Path,
    environment: Mapping[str, str] | None = None,
    *,
    recipe: Recipe = RECIPE,
    runner: str = "serial",
) -> BaseProcess:
    """The run begins, in a fork of a process that has imported everything; `root` may be a link, with what opens it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.driver"])
    process = context.Process(target=_drive, args=(root, links, log, environment or {}, recipe, runner))
    process.start()
    return process


def _drive(
    root: Path | str, links: Path, log: Path, environment: Mapping[str, str], recipe: Recipe, runner: str
) -> None:
    os.environ.update(environment)
    with log.open("a") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        try:
            folder = Path(dataset_text(str(root), new=True))
            fine = run(folder, recipe, Task(links=(str(links),), where=Where(runner)), Console(file=out))
        except HdvgError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(error.exit_code)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0 if fine else 1)


def below(pid: int) -> Iterator[tuple[int, str]]:
    """The living descendants of a process, each with its command line."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{name}/stat").read_text()
        except OSError:
            continue
        children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(name))
    waiting = list(children.get(pid, []))
    while waiting:
        one = waiting.pop()
        waiting += children.get(one, [])
        try:
            line = Path(f"/proc/{one}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        yield one, line


def victims(pid: int, kind: str) -> list[int]:
    """The processes of a kind below a driver: its fork server, or the children of that."""
    servers = [one for one, line in below(pid) if "hdvg.sandbox.server" in line]
    inner = {one for server in servers for one, _ in below(server)}
    return [one for one in servers if (one in inner) == (kind == "child")]
