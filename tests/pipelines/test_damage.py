"""What is lost or damaged is named and stops what needs it; nothing published goes without a reason; repair brings it back."""

from __future__ import annotations

import io
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from hdvg.config.recipe import Recipe, parse_recipe
from hdvg.dataset.dataset import Dataset
from hdvg.dataset.snapshot import measures
from hdvg.errors import DamagedError
from hdvg.reports.verify import verify, verify_folder
from pipelines.repair import repair
from pipelines.run import Task, run
from pipelines.where import Where
from tests.digest import contents
from tests.videos import draw_scenes

RECIPE = parse_recipe({"name": "damage", "caption": {"captioner": "title"}, "keep": {"too_short": "duration_s >= 0.7"}})
QUIET = Console(file=io.StringIO())


def go(root: Path, *links: Path, recipe: Recipe = RECIPE) -> bool:
    return run(root, recipe, Task(links=[str(path) for path in links], where=Where(runner="serial")), QUIET)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two lists of one video each; not to be changed."""
    folder = tmp_path_factory.mktemp("damage")
    for seed, title in enumerate(["two dogs run on the grass", "a red car on a street"]):
        (folder / str(seed)).mkdir()
        draw_scenes(folder / str(seed) / f"{title}.mp4", scene_frames=(25 + seed, 30), seed=seed)
        assert go(folder / "d", folder / str(seed))
    return folder / "d"


@pytest.fixture
def dataset(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "d"))


def first(root: Path, pattern: str) -> Path:
    return next(path for path in sorted(root.glob(pattern)) if "seed" not in path.name)


def harm(path: Path, how: str) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    if how == "delete":
        path.unlink()
    elif how == "flip":
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    else:
        path.write_bytes(content[:middle])


HARMS = ("delete", "flip", "cut short")
ALL = (
    *("inputs/00001-*.parquet", "inputs/00002-*.parquet", "parts/download/*-0.parquet", "parts/split/*-0.parquet"),
    *("parts/cut/*-0.parquet", "parts/caption/*-0.parquet", "parts/shard/*.parquet", "shards/*.parquet", "media/*/*.mp4"),
    *("media/*/*.parquet", "ledger.parquet", "dataset.toml"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "how"),
    [
        *(
            (pattern, "delete")
            for pattern in ("inputs/00001-*", "inputs/00002-*", "parts/download/*-0.*", "parts/split/*-0.*")
        ),
        *((pattern, "cut short") for pattern in ("inputs/00002-*", "parts/download/*-0.*", "parts/cut/*-0.*")),
        ("inputs/00001-*", "flip"),
        ("ledger.parquet", "flip"),
    ],
)
def test_a_run_takes_nothing_from_shards_for_what_is_lost(dataset, pattern, how):
    harmed = first(dataset, pattern)
    harm(harmed, how)
    before = files_of(dataset)
    with pytest.raises(DamagedError, match=f"{harmed.name}.*verify --repair"):
        go(dataset)
    assert files_of(dataset) == before


def test_no_shard_shrinks_by_a_part_that_is_damaged_and_can_still_be_read(dataset):
    harmed = first(dataset, "parts/download/*-0.*")
    harm(harmed, "flip")
    before = files_of(dataset)
    with pytest.raises(DamagedError, match=harmed.name):
        go(dataset, recipe=parse_recipe(RECIPE.model_dump(exclude_none=True), ["keep.too_short=duration_s >= 1.1"]))
    assert files_of(dataset) == before


def files_of(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in (*root.glob("shards/*"), *root.glob("media/*/*"))
    }


def test_a_dataset_without_a_ledger_knows_lost_lists_by_their_numbers_and_units(dataset):
    for number in (1, 2):
        root = Path(shutil.copytree(dataset, dataset.with_name(f"old{number}")))
        (root / "ledger.parquet").unlink()
        first(root, f"inputs/0000{number}-*").unlink()
        with pytest.raises(DamagedError, match="inputs/"):
            go(root)
        assert len(list(root.glob("shards/*"))) == 2


def test_a_foreign_part_is_ignored_and_named(dataset):
    before = contents(dataset)
    part, other = (path for path in sorted(dataset.glob("parts/split/*-0.parquet")) if "seed" not in path.name)
    shutil.copy(part, part.with_name(part.name.replace("-0.parquet", "-1.parquet")))
    shutil.copy(part, other.with_name(other.name.replace("-0.parquet", "-7.parquet")))
    (part.with_name("0123456789abcdef-" + part.name.partition("-")[2])).write_bytes(part.read_bytes())
    other.with_name(other.name.replace("-0.parquet", "-3.parquet")).write_bytes(part.read_bytes()[:500])
    assert contents(dataset) == before
    assert sum(problem.check == "foreign" for problem in verify(Dataset.open(dataset))) == 4
    assert go(dataset)
    assert contents(dataset) == before
    assert len(list(dataset.glob("parts/split/*"))) == 3


SOME = ("parts/split/*-0.parquet", "shards/*.parquet", "media/*/*.mp4", "dataset.toml")


@pytest.mark.parametrize(
    ("how", "patterns"),
    [("flip", SOME), *(pytest.param(how, ALL, marks=pytest.mark.slow) for how in HARMS)],
)
def test_verify_names_every_harmed_file_and_repair_brings_it_back(dataset, how, patterns):
    """Each kind of file on its own; the same shards and rows afterwards."""
    before = contents(dataset)
    shards = files_of(dataset)
    for pattern in patterns:
        harmed = first(dataset, pattern)
        whole = harmed.read_bytes()
        harm(harmed, how)
        problems = verify_folder(dataset)
        named = " ".join(f"{one.key} {one.detail}" for one in problems)
        assert (harmed.stem.rpartition("-")[0] or harmed.stem) in named, (pattern, problems)
        if pattern.startswith("inputs/"):
            assert repair(dataset, QUIET).left, pattern
            harmed.write_bytes(whole)
        else:
            done = repair(dataset, QUIET)
            assert done.mended, pattern
            assert not done.left, (pattern, done)
        assert verify_folder(dataset) == [], pattern
        assert contents(dataset) == before, pattern
        assert files_of(dataset) == shards, pattern
    assert go(dataset)
    assert contents(dataset) == before


@pytest.mark.parametrize(
    "lost",
    [
        "parts/split/*-0.parquet",
        *(
            pytest.param(one, marks=pytest.mark.slow)
            for one in ("parts/download/*-0.parquet", "parts/cut/*-0.parquet", "media/*/*.mp4")
        ),
    ],
)
def test_a_source_with_other_bytes_is_told_and_nothing_of_it_is_published(finished, tmp_path, lost):
    """A repair that cannot make a table as it was takes no clip out of a shard and puts none of another video in."""
    folder = Path(shutil.copytree(finished.parent, tmp_path / "all"))
    other = folder / "d"
    before = contents(other)
    source = next((finished.parent / "0").glob("*.mp4"))
    true = source.read_bytes()
    for path in {*other.glob(lost), *other.glob("media/*/*.mp4")}:
        if "seed" not in path.name:
            path.unlink()
    try:
        draw_scenes(source, scene_frames=(40, 22), seed=9)
        done = repair(other, QUIET)
        assert any("bytes" in line or "changed" in line for line in done.drift), done
        assert done.left
        assert shards_of(other) == shards_of(finished)
        if lost.startswith("parts"):
            with pytest.raises(DamagedError, match=r"verify --repair"):
                go(other)
            assert shards_of(other) == shards_of(finished)
    finally:
        source.write_bytes(true)
    done = repair(other, QUIET)
    assert not done.left, done
    assert contents(other) == before
    assert shards_of(other) == shards_of(finished)


def shards_of(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.glob("shards/*")}


KILLED = """
import io, os, signal, sys
from pathlib import Path
from rich.console import Console
from hdvg.dataset.store import FileOps
from pipelines.repair import repair
left = int(sys.argv[2])
def counted(name):
    true = getattr(FileOps, name)
    def one(self, *given):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return true(self, *given)
    return one
for name in ("write", "fsync", "link", "rename", "unlink", "mkdir"):
    setattr(FileOps, name, counted(name))
assert not repair(Path(sys.argv[1]), Console(file=io.StringIO())).left
"""
"""A repair that is killed before a file operation."""


@pytest.mark.parametrize("kills", [2, pytest.param(12, marks=pytest.mark.slow)])
def test_a_repair_killed_at_drawn_moments_ends_as_an_undisturbed_one(dataset, kills):
    before, shards = contents(dataset), files_of(dataset)
    for pattern in (
        "parts/split/*-0.parquet",
        "parts/cut/*-0.parquet",
        "shards/*.parquet",
        "media/*/*.parquet",
        "media/*/*.mp4",
    ):
        harm(first(dataset, pattern), "delete")
    drawn, died = random.Random(kills), 0
    for _ in range(kills):
        script = [sys.executable, "-c", KILLED, str(dataset), str(drawn.randrange(40))]
        died += subprocess.run(script, capture_output=True, check=False).returncode == -signal.SIGKILL
    assert died, "no moment was drawn before the end"
    done = repair(dataset, QUIET)
    assert not done.left, done
    assert contents(dataset) == before
    assert files_of(dataset) == shards
    assert verify_folder(dataset) == []


def test_what_is_made_of_others_alone_is_looked_at_and_made_again(dataset):
    with measures(Dataset.open(dataset), (), lambda _: None):
        pass
    (snapshot,) = dataset.glob("cache/measures-*.parquet")
    harm(snapshot, "cut short")
    (dataset / "manifest.sql").unlink()
    piece = dataset / "parts/caption/pieces/0123456789abcdef-0123456789ab-run-000001.parquet"
    piece.parent.mkdir(exist_ok=True)
    piece.write_bytes(first(dataset, "parts/caption/*-0.parquet").read_bytes()[:-9])
    assert {one.key for one in verify_folder(dataset)} == {
        str(path.relative_to(dataset)) for path in (snapshot, dataset / "manifest.sql", piece)
    }
    assert len(repair(dataset, QUIET).mended) == 3
    assert verify_folder(dataset) == []
    assert (dataset / "manifest.sql").exists()
