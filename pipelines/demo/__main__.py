"""`make demo`: serve real videos on this machine, curate them with the commands a user types, train on what is kept."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from contextlib import ExitStack
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from pipelines.demo.site import LINKS, build_site, serve, write_links

KEPT = (
    "select left(clip_id, 12) as clip, round(duration_s, 1) as seconds, round(motion_px_s, 1) as motion_px_s, caption "
    "from dataset where keep order by motion_px_s desc"
)
DROPPED = (
    "select reason, count(*) as clips from (select unnest(reasons) as reason from verdicts) "
    "group by reason order by clips desc, reason"
)
FAILED = "select reason, count(*) as links from failures group by reason order by links desc, reason"
PROMPT = "a bird in green grass"
COUNTS = (
    "select count(*) filter (keep) as kept, count(*) as clips, min(clip_id) filter (not keep) as dropped from dataset"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code of the first command that failed, else 0."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.demo", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("demo-dataset"), metavar="DIR", help="the dataset (default: %(default)s)"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the folder with the served videos and the list of links"
    )
    options = parser.parse_args(arguments)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # our lines stay in order with the commands' own
    started = time.monotonic()
    problem = clear(options.out)
    if problem:
        print(f"demo: {problem}", file=sys.stderr)
        return 2
    with ExitStack() as stack:
        site = Path(tempfile.mkdtemp(prefix="hdvg-demo-"))
        if not options.keep:
            stack.callback(shutil.rmtree, site, ignore_errors=True)
        print(f"Building a small web site of real videos in {site} ...")
        (site / "www").mkdir()
        build_site(site / "www")
        links = site / "links.txt"
        write_links(links, stack.enter_context(serve(site / "www")))
        _print_links(links)
        code = _curate(links, options.out)
    if code == 0:
        _say_result(options.out, time.monotonic() - started)
    if options.keep:
        print(f"The videos and the list of links are kept in {site}")
    return code


def trained(out: Path) -> Path:
    """Where `hdvg train --recipe tiny` puts the run of a dataset."""
    return out.absolute().with_name(f"{out.absolute().name}-tiny")


def page(out: Path) -> Path:
    """Where the demo's report is written: beside the dataset."""
    return out.absolute().with_name(f"{out.absolute().name}-report.html")


def clear(out: Path) -> str | None:
    """Remove the dataset of an earlier demo at `out`; returns why not, if it is anything else (None: `out` is free)."""
    if not out.exists() and not out.is_symlink():
        return None
    if out.is_symlink() or not out.is_dir():
        return f"{out} is no folder; name another place: make demo ARGS='--out my-demo'"
    if any(out.iterdir()):
        foreign = _foreign(out)
        if foreign:
            return f"{out} {foreign}, so it is left alone; name another place: make demo ARGS='--out my-demo'"
    shutil.rmtree(out)
    if (trained(out) / "data.json").exists():
        shutil.rmtree(trained(out))
    return None


def _foreign(out: Path) -> str | None:
    """What shows that `out` is not a demo's dataset: only links to the demo's own server may be in it."""
    import pyarrow.parquet as pq

    from hdvg.dataset.layout import files

    try:
        name = tomllib.loads((out / "dataset.toml").read_text(encoding="utf-8"))["recipe"]["name"]
        links = [
            link for part in files(out, "inputs") for link in pq.read_table(part, columns=["link"])["link"].to_pylist()
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return "is not a dataset that the demo made"
    served = tuple(f"/{path}" for path, _ in LINKS)
    if name != "demo":
        return f"is a dataset of the recipe {name}"
    if not all(link.startswith("http://127.0.0.1:") and link.endswith(served) for link in links):
        return "holds links of yours"
    return None


def _print_links(links: Path) -> None:
    print(f"\nThe list of links, {links}:")
    for link, (_, what) in zip(links.read_text(encoding="utf-8").splitlines(), LINKS, strict=True):
        print(f"  {link:<66} {what}")


def _curate(links: Path, out: Path) -> int:
    """The commands of the demo, in order; stops at the first that fails and returns its exit code."""
    commands = (
        (
            "Fetch, decode once, split, measure, judge, cut, caption, pack:",
            ["run", "demo", "--links", str(links), "--allow-private", "--out", str(out)],
        ),
        ("Ask DuckDB: which clips were kept?", ["query", str(out), KEPT]),
        ("And why were the others dropped?", ["query", str(out), DROPPED]),
        ("Is it whole?", ["verify", str(out)]),
        ("All of it on one page, to open in a browser:", ["report", str(out), "--out", str(page(out))]),
        (
            "Train a text-to-video network on the kept clips, for half a minute:",
            ["train", str(out), "--recipe", "tiny", "--set", "run.minutes=0.5"],
        ),
        (
            "And see what it has learnt by then (little: it is small, and has seen four clips):",
            ["sample", str(trained(out)), PROMPT],
        ),
    )
    for title, arguments in commands:
        print(f"\n{title}\n$ {shlex.join(['hdvg', *arguments])}")
        code = _hdvg(arguments)
        if code:
            return code
    return 0


def _hdvg(arguments: Sequence[str]) -> int:
    """Run one hdvg command as a user would. Ctrl-C reaches it too; it is given the time to end cleanly."""
    process = subprocess.Popen([sys.executable, "-m", "hdvg.cli", *arguments])
    try:
        return process.wait()
    except KeyboardInterrupt:
        return process.wait() or 130


def _ask(out: Path, sql: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "hdvg.cli", "query", str(out), sql, "--json"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    rows: list[dict[str, Any]] = json.loads(answer.stdout)
    return rows


def _say_result(out: Path, took_s: float) -> None:
    """The last lines: what was kept, what was dropped and why, where it lies, what to type next."""
    counts = _ask(out, COUNTS)[0]
    dropped = _listed(_ask(out, DROPPED), "clips")
    failed = _listed(_ask(out, FAILED), "links")
    where, report = shlex.quote(os.path.relpath(out)), os.path.relpath(page(out))
    print(
        f"\nDone in {took_s:.0f} s: {len(LINKS)} links became {counts['clips']} clips."
        f"\n  kept     {counts['kept']} clips with captions, in {where}/shards/*.parquet"
        f"\n  dropped  {counts['clips'] - counts['kept']} clips: {dropped or 'none'}   (a clip may have several reasons)"
        f"\n  no clip  from these links: {failed or 'none'}"
        f"\n  report   {report}: open it in a browser, drag a threshold, send it to a colleague"
        "\n\nNext (once in this shell: source .venv/bin/activate):"
    )
    hints = (
        (f"hdvg explore {where}", "look at every clip in a browser: play, sort, search, mark"),
        (f"hdvg explain {where} {(counts['dropped'] or 'CLIP_ID')[:12]}", "every measure and margin of a dropped clip"),
        (f"hdvg filter {where} --set 'keep.too_short=duration_s >= 0.5'", "another rule: a query, no video is touched"),
        (f'hdvg query {where} "from failures"', "what became of every other link"),
        (f"hdvg train {where} --recipe tiny --set run.minutes=10", "go on training where the demo stopped"),
        ("hdvg run demo --links my-links.txt --out my-dataset", "your own links, or a folder of videos"),
        ("hdvg recipe show demo > mine.toml", "every setting, to change and run"),
    )
    for command, what in hints:
        print(f"  {command:<56} {what}")


def _listed(rows: list[dict[str, Any]], what: str) -> str:
    return ", ".join(f"{row[what]} {row['reason']}" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
