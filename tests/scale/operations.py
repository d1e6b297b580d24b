"""What is measured: commands of hdvg over a synthetic dataset, and the parts of them that decide how they grow."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from typer.testing import CliRunner

from hdvg.cli import app
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.intake import accept
from hdvg.dataset.shard_plan import held_shards, holding
from pipelines.forget import remove
from pipelines.perform import Job, pending_items
from pipelines.run import Task, run
from pipelines.writing import writing

CLIP, VIDEO = hashlib.md5(b"7").hexdigest(), hashlib.md5(b"0").hexdigest()  # ids, as tests/synthetic.py has them
UNIT = 16 * "0"
COUNT = "select count(*) from dataset where keep"
LOOKUP = f"select * from dataset where clip_id = '{CLIP}'"
SUPPOSED = ("--what-if", "motion_px_s >= 6")

Operation = Callable[[Path], object]


def command(*words: str) -> Operation:
    """A command as a user gives it; `DATASET` stands for the folder."""

    def call(root: Path) -> None:
        given = [str(root) if word == "DATASET" else word for word in words]
        result = CliRunner().invoke(app, given)
        assert result.exit_code == 0, (given, result.output[-2000:])

    return call


def views(root: Path) -> None:
    """All views of a dataset, before any query."""
    with Dataset.open(root).manifest(live=True):
        pass


def count(root: Path) -> None:
    """How many clips are kept, asked in Python: the command reads less of what it prints."""
    with Dataset.open(root).manifest() as manifest:
        assert manifest.one(COUNT) > 0


def lookup(root: Path) -> None:
    """One clip by its id, in Python."""
    with Dataset.open(root).manifest() as manifest:
        assert len(manifest.rows("select * from dataset where clip_id = ?", [CLIP])) == 1


def job(root: Path) -> None:
    """What a unit's job is to do."""
    pending_items(Dataset.open(root, run="scale"), Job(root, "scale", "cut", UNIT))


def idle_run(root: Path) -> None:
    """`hdvg run` over a dataset with nothing to do."""
    assert run(root, Dataset.open(root).recipe, Task(), Console(file=io.StringIO()))


def add(root: Path) -> None:
    """A hundred links more, taken in but not fetched."""
    dataset = Dataset.open(root, run="scale")
    with tempfile.TemporaryDirectory() as folder, writing(dataset.store):
        links = Path(folder) / "links.txt"
        links.write_text("".join(f"https://more.example/{number}.mp4\n" for number in range(100)))
        assert accept(dataset, str(links)).new == 100


def take_down(root: Path) -> dict[str, int]:
    """`hdvg forget --purge` of one video: how many shards are read for it, and written anew."""
    dataset = Dataset.open(root)
    before, read = held_shards(root), len(holding(dataset, [VIDEO]))
    remove(dataset, {("video", VIDEO)})
    written = [name for name, content in held_shards(root).items() if before[name] != content]
    return {"shards_read": read, "shards_written": len(written)}


READING: dict[str, Operation] = {
    "views": views,
    "count": count,
    "lookup": lookup,
    "query count": command("query", "DATASET", COUNT),
    "query one clip": command("query", "DATASET", LOOKUP, "--json"),
    "explain": command("explain", "DATASET", CLIP),
    "status": command("status", "DATASET"),
    "filter --what-if": command("filter", "DATASET", *SUPPOSED),
    "filter --what-if again": command("filter", "DATASET", *SUPPOSED),
    "forget --dry-run": command("forget", "DATASET", "--video", VIDEO, "--dry-run"),
    "gc": command("gc", "DATASET"),
    "job": job,
    "idle run": idle_run,
}
"""By name; none of them leaves the dataset other than it was, but for its cache."""

CHANGING: dict[str, Operation] = {
    "filter --set": command("filter", "DATASET", "--set", "keep.too_short=duration_s >= 3"),
    "add 100 links": add,
    "purge": take_down,
}
"""Each over a copy of its own."""

COMPACT: dict[str, Operation] = {"compact": command("compact", "DATASET")}
"""Over a copy without answers."""

OPERATIONS = READING | CHANGING | COMPACT
